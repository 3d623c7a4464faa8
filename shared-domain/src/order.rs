//! An order's life: its statuses, and which of them may follow which.

use serde::{Deserialize, Serialize};

use crate::{
    id::{MerchantId, OrderId},
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
    /// What was bought.
    pub lines: Vec<QuoteLine>,
    /// What it costs.
    pub totals: Totals,
    /// One a merchant.
    pub parts: Vec<OrderPart>,
    /// How it is paid.
    pub payment: PaymentView,
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
