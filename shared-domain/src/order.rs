//! An order's life: its statuses, and which of them may follow which.

use serde::{Deserialize, Serialize};

use crate::{
    fulfilment::Units,
    id::{MerchantId, OrderId, ReturnId, ShipmentId},
    money::Money,
    quote::{QuoteLine, Totals},
    time::Timestamp,
};

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Committed, not yet paid in full.
    AwaitingPayment,
    /// Captured in full, stock posted.
    Paid,
    /// At least one part is being sent.
    InFulfilment,
    /// Everything has arrived.
    Delivered,
    /// Nothing more can happen.
    Completed,
    /// Called off.
    Cancelled,
    /// Never paid in time.
    Expired,
}

impl OrderStatus {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderStatus::AwaitingPayment => "awaiting_payment",
            OrderStatus::Paid => "paid",
            OrderStatus::InFulfilment => "in_fulfilment",
            OrderStatus::Delivered => "delivered",
            OrderStatus::Completed => "completed",
            OrderStatus::Cancelled => "cancelled",
            OrderStatus::Expired => "expired",
        }
    }
}

/// What has left the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    /// Nothing.
    None,
    /// Some of it.
    Partial,
    /// All of it.
    Shipped,
    /// All of it, and it arrived.
    Delivered,
}

impl Fulfilment {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Fulfilment::None => "none",
            Fulfilment::Partial => "partial",
            Fulfilment::Shipped => "shipped",
            Fulfilment::Delivered => "delivered",
        }
    }
}

/// What is coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Returns {
    /// Nothing.
    None,
    /// Asked for.
    Requested,
    /// Some of it.
    Partial,
    /// All of it.
    Full,
}

impl Returns {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Returns::None => "none",
            Returns::Requested => "requested",
            Returns::Partial => "partial",
            Returns::Full => "full",
        }
    }
}

/// Where a payment is, derived from the facts its provider gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// No attempt has been answered yet.
    Pending,
    /// The shopper has to do something.
    RequiresAction,
    /// The provider is working on it.
    Processing,
    /// Authorised in full.
    Authorised,
    /// Some of it captured.
    PartiallyCaptured,
    /// Captured in full.
    Captured,
    /// The last attempt was refused; another may follow.
    Refused,
    /// Called off.
    Cancelled,
    /// Some of it given back.
    PartiallyRefunded,
    /// All of it given back.
    Refunded,
    /// The shopper's bank disputes it.
    Disputed,
    /// The provider does not say.
    Unknown,
}

/// What the shopper has to do at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAction {
    /// `redirect`.
    pub r#type: String,
    /// Where to.
    pub url: String,
}

/// Cumulative amounts of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAmounts {
    /// Reserved at the provider.
    pub authorised: Money,
    /// Taken.
    pub captured: Money,
    /// Given back.
    pub refunded: Money,
}

/// The payment inside an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentView {
    /// Where it is.
    pub status: PaymentStatus,
    /// How much.
    pub amounts: PaymentAmounts,
    /// What the shopper has to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextAction>,
    /// Money that came too late waits until then for the shop to make the order again; afterwards it goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Merchants whose money is taken only when their goods leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_shipment: Vec<AtShipment>,
    /// Until when the provider lets it be taken, as far as it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<Timestamp>,
}

impl PaymentView {
    /// What is taken only when its goods leave, and has not been yet.
    #[must_use]
    pub fn waiting(&self) -> Option<Money> {
        let mut waiting = self.at_shipment.iter().map(|part| part.waiting);
        let first = waiting.next()?;
        let sum = waiting.try_fold(first, Money::checked_add).ok()?;
        Some(sum).filter(|sum| sum.amount() > 0)
    }
}

/// A merchant's money that is taken only when its goods leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtShipment {
    /// Whose.
    pub merchant: MerchantId,
    /// What still waits for that.
    pub waiting: Money,
    /// What is not taken any more, because its goods never leave.
    pub forgone: Money,
}

/// A merchant's part of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPart {
    /// Whose.
    pub merchant: MerchantId,
    /// The SKUs of its lines.
    pub skus: Vec<String>,
    /// Its share of the total.
    pub total: Money,
    /// Where its goods are.
    pub fulfilment: Fulfilment,
}

/// A line of an order: what was quoted, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// As it was ordered.
    #[serde(flatten)]
    pub quoted: QuoteLine,
    /// Where its units are; absent as long as nothing has happened to any.
    #[serde(default, skip_serializing_if = "Units::untouched")]
    pub units: Units,
}

impl core::ops::Deref for OrderLine {
    type Target = QuoteLine;

    fn deref(&self) -> &QuoteLine {
        &self.quoted
    }
}

impl From<QuoteLine> for OrderLine {
    fn from(quoted: QuoteLine) -> Self {
        Self { quoted, units: Units::default() }
    }
}

/// Where a shipment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShipmentState {
    /// Its stock is being taken out of the books.
    Preparing,
    /// It has left.
    Shipped,
    /// It has arrived.
    Delivered,
    /// It did not come about.
    Failed,
}

impl ShipmentState {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ShipmentState::Preparing => "preparing",
            ShipmentState::Shipped => "shipped",
            ShipmentState::Delivered => "delivered",
            ShipmentState::Failed => "failed",
        }
    }
}

/// Goods of one merchant that leave the house together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentView {
    /// `shp_…`.
    pub id: ShipmentId,
    /// Whose goods.
    pub merchant: MerchantId,
    /// SKU and quantity.
    pub lines: Vec<(String, u32)>,
    /// Where it is.
    pub state: ShipmentState,
    /// Who carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// By which number the carrier tells where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped_at: Option<Timestamp>,
    /// When it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
}

/// Where a return is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnState {
    /// The buyer asks for it.
    Requested,
    /// The buyer may send the goods back.
    Approved,
    /// The buyer may not.
    Refused,
    /// The goods are here; money and stock are being put right.
    Receiving,
    /// Done: the money is on its way back.
    Received,
}

impl ReturnState {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ReturnState::Requested => "requested",
            ReturnState::Approved => "approved",
            ReturnState::Refused => "refused",
            ReturnState::Receiving => "receiving",
            ReturnState::Received => "received",
        }
    }
}

/// Goods of one merchant that the buyer sends back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnView {
    /// `ret_…`.
    pub id: ReturnId,
    /// Whose goods.
    pub merchant: MerchantId,
    /// SKU and quantity: as asked for, and as received once it is.
    pub lines: Vec<(String, u32)>,
    /// Where it is.
    pub state: ReturnState,
    /// Why: one of [`crate::message::order::RETURN_REASONS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// What goes back for it, once it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Money>,
}

/// An order as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// `ord_…`.
    pub id: OrderId,
    /// Short, for people and telephones.
    pub number: String,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// Where it is.
    pub status: OrderStatus,
    /// What has left the house.
    pub fulfilment: Fulfilment,
    /// What is coming back.
    pub returns: Returns,
    /// What was bought, and what became of it.
    pub lines: Vec<OrderLine>,
    /// What it costs.
    pub totals: Totals,
    /// One a merchant.
    pub parts: Vec<OrderPart>,
    /// How it is paid.
    pub payment: PaymentView,
    /// What was sent, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shipments: Vec<ShipmentView>,
    /// What the buyer sends back, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub return_requests: Vec<ReturnView>,
    /// Relative address of the guest's secret link, for its owner only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The order that was made again with this one's late money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinstated_as: Option<OrderId>,
    /// The ended order whose late money pays this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinstates: Option<OrderId>,
}
