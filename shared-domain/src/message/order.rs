//! Orders: placing one, what became of it, paying again, cancelling; what inventory and payment ask of it.

use serde::{Deserialize, Serialize};

use super::{Done, Page, events, requests};
use crate::{
    address::{Address, Contact},
    id::{MerchantId, OrderId, ReturnId},
    order::{OrderStatus, OrderView},
    principal::Owner,
    time::Timestamp,
};

/// How the shopper wants to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentChoice {
    /// For instance `simulator`.
    pub provider: String,
    /// What the provider calls it, for instance `card_ok`.
    pub method: String,
}

/// Places the order that a quote describes. A known key answers the order as it is now, before all else is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The shopper's idempotency key; its scope is the session's principal.
    pub key: String,
    /// The quote's token.
    pub quote: String,
    /// Who orders.
    pub contact: Contact,
    /// Where it goes.
    pub shipping_address: Address,
    /// Whom the invoice names, when it is somebody else.
    #[serde(default)]
    pub billing_address: Option<Address>,
    /// How it is paid.
    pub payment: PaymentChoice,
    /// After this the order is refused for good.
    pub deadline: Timestamp,
    /// How long to wait for the provider's first word, in milliseconds.
    pub wait_ms: u32,
    /// A bucket of the client's address, for limits on guests; never the address itself.
    #[serde(default)]
    pub client_bucket: Option<String>,
    /// Where the provider sends the shopper back to after a challenge.
    #[serde(default)]
    pub return_url: Option<String>,
}

/// What became of a checkout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its idempotency key.
    pub key: String,
    /// Its place deadline as the edge set it, when the asker knows it.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
}

/// One of the asker's orders; merchants see their parts, admins all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Get {
    /// Which.
    pub order: OrderId,
}

/// The asker's orders, newest first; for admins all, for merchants those with a part of theirs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// Only with this status.
    #[serde(default)]
    pub status: Option<OrderStatus>,
    /// For admins and merchants: beyond the asker's own.
    #[serde(default)]
    pub all: bool,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Pays an order again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pay {
    /// Which.
    pub order: OrderId,
    /// The shopper's idempotency key.
    pub key: String,
    /// How.
    pub payment: PaymentChoice,
    /// How long to wait for the provider's first word, in milliseconds.
    pub wait_ms: u32,
    /// Where the provider sends the shopper back to after a challenge.
    #[serde(default)]
    pub return_url: Option<String>,
}

/// Why an order is called off. Words of a list, because the history that keeps them may not name a person.
pub const CANCEL_REASONS: [&str; 6] = ["changed_mind", "wrong_item", "too_late", "out_of_stock", "fraud", "other"];

/// Cancels an order that has not been shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub order: OrderId,
    /// The shopper's idempotency key.
    pub key: String,
    /// Why: one of [`CANCEL_REASONS`], kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Asks to send goods back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// Which order.
    pub order: OrderId,
    /// The shopper's idempotency key.
    pub key: String,
    /// SKU and quantity.
    pub lines: Vec<(String, u32)>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Answer of [`Return`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReturnAnswer {
    /// The return.
    pub id: ReturnId,
    /// The order as it is now.
    pub order: OrderView,
}

/// Opens a guest's secret link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenLink {
    /// Which order.
    pub order: OrderId,
    /// The secret of the link.
    pub secret: String,
}

/// Makes a guest's link anew: every older one opens nothing from now on. For its owner and admins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RenewLink {
    /// Which order.
    pub order: OrderId,
}

/// Cancels through a guest's link: who has it and knows the order's e-mail may.
#[derive(Clone, Serialize, Deserialize)]
pub struct CancelByLink {
    /// Which order.
    pub order: OrderId,
    /// The secret of the link.
    pub secret: String,
    /// The e-mail that the order was placed with.
    pub email: String,
    /// The shopper's idempotency key; its scope is the order.
    pub key: String,
    /// Why: one of [`CANCEL_REASONS`], kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Takes over what a guest has ordered with the account's e-mail, for the account that asks.
#[derive(Clone, Serialize, Deserialize)]
pub struct Adopt {
    /// The token of the guest's session: the browser that ordered still has it.
    pub guest: String,
}

/// Answer of [`Adopt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The orders that are the account's since now; none of them on a repetition.
    pub orders: Vec<OrderId>,
}

/// Identity asks: forget who this owner is. The contacts of their orders are emptied, at once or when an order has ended.
/// Asked until acknowledged.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Forget {
    /// Whose orders.
    pub owner: Owner,
}

/// Forgets who has ordered: e-mail, name and addresses of an order; for admins, when a guest asks for it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgetContact {
    /// Which.
    pub order: OrderId,
}

/// Answer of [`ForgetContact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactForgotten {
    /// Whether it is done. If not, the order is still under way, and it is done when the order has ended.
    pub emptied: bool,
}

/// Makes an order again whose money came too late and waits: a new order with the same content, a fresh hold and that
/// money. For admins, and for merchants to whom all of it belongs. An order is made again once; a repetition answers it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reinstate {
    /// The order that has ended.
    pub order: OrderId,
}

/// Inventory asks: may these holds be voided? The order exists, or a tombstone makes sure it never will.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Abandon {
    /// The orders whose holds are in question.
    pub orders: Vec<OrderId>,
}

/// Answer of [`Abandon`] for each order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbandonVerdict {
    /// It exists: its saga alone decides about the hold.
    Exists,
    /// It will never exist: void the hold.
    Abandoned,
}

/// Inventory asks: which orders with parts of these merchants may still be paid although their first attempt has ended
/// without authorisation? Oldest first, at most [`UNPROVEN_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unproven {
    /// The merchants in question.
    pub merchants: Vec<MerchantId>,
}

/// Orders in one answer of [`Unproven`], and in one [`LetGo`].
pub const UNPROVEN_MAX: usize = 1_000;

/// Inventory asks: these orders shall not wait for a payment any longer. Those that may still be paid and are not being
/// paid right now expire; what becomes of each, its saga decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetGo {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// Payment tells: facts of these orders' intents have changed. Asked until acknowledged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PaymentChanged {
    /// The intents as they are now.
    pub intents: Vec<super::payment::IntentState>,
}

/// One entry of an order's append-only history. Ids only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// What, for instance `placed`, `authorised`, `stock_posted`, `captured`.
    pub what: String,
    /// Who: an owner's id, `service:payment`, …
    pub who: String,
    /// Further ids and amounts.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// An order's history; whole for its owner and admins, what and when for its merchants.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct History {
    /// Which.
    pub order: OrderId,
}

/// Open exceptions of orders, newest first; for admins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exceptions {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// An order that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderException {
    /// By which it is closed; opaque.
    pub id: String,
    /// Which order.
    pub order: OrderId,
    /// For instance `unsettled`.
    pub kind: String,
    /// Since when.
    pub opened_at: Timestamp,
}

/// Somebody has looked at an exception. Who and when is kept; the same again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseException {
    /// Its id.
    pub exception: String,
}

/// An order was committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// Which.
    pub order: OrderId,
}

/// An order's status changed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct StatusChanged {
    /// Which.
    pub order: OrderId,
    /// To what.
    pub status: OrderStatus,
}

requests! {
    Place => "order.v1.place", OrderView;
    Outcome => "order.v1.outcome", OrderView;
    Get => "order.v1.get", OrderView;
    List => "order.v1.list", Page<OrderView>;
    Pay => "order.v1.pay", OrderView;
    Cancel => "order.v1.cancel", OrderView;
    Return => "order.v1.return", ReturnAnswer;
    OpenLink => "order.v1.open_link", OrderView;
    RenewLink => "order.v1.renew_link", OrderView;
    CancelByLink => "order.v1.cancel_by_link", OrderView;
    Adopt => "order.v1.adopt", Adopted;
    Forget => "order.v1.forget", Done;
    ForgetContact => "order.v1.forget_contact", ContactForgotten;
    Reinstate => "order.v1.reinstate", OrderView;
    Abandon => "order.v1.abandon", Vec<AbandonVerdict>;
    Unproven => "order.v1.unproven", Vec<OrderId>;
    LetGo => "order.v1.let_go", Done;
    PaymentChanged => "order.v1.payment_changed", Done;
    History => "order.v1.history", Vec<HistoryEntry>;
    Exceptions => "order.v1.exceptions", Page<OrderException>;
    CloseException => "order.v1.close_exception", Done;
}

events! {
    Placed => "evt.order.v1.placed";
    StatusChanged => "evt.order.v1.status_changed";
}
