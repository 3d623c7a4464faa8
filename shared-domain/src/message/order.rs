//! Orders: placing one, what became of it, paying again, cancelling; what inventory and payment ask of it.

use serde::{Deserialize, Serialize};

use super::{Done, Page, events, requests};
use crate::{
    address::{Address, Contact},
    id::{LocationId, MerchantId, OrderId, ReturnId, ShipmentId},
    money::Money,
    order::{OrderStatus, OrderView, ReturnState, ReturnView},
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

/// Cancels an order of which nothing has been shipped; or, once it is paid, units of some lines that have not been shipped.
/// For its owner and admins; for merchants what is theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub order: OrderId,
    /// The shopper's idempotency key.
    pub key: String,
    /// SKU and quantity; empty for the whole order.
    #[serde(default)]
    pub lines: Vec<(String, u32)>,
    /// What goes back for these lines, at most what they cost: for merchants and admins, when some of it went back before.
    /// Absent for what they cost.
    #[serde(default)]
    pub refund: Option<Money>,
    /// Why: one of [`CANCEL_REASONS`], kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Goods leave the house: for merchants their own, for admins any merchant's. One shipment, one merchant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ship {
    /// Of which order.
    pub order: OrderId,
    /// The idempotency key.
    pub key: String,
    /// SKU and quantity; empty for everything that is still open.
    #[serde(default)]
    pub lines: Vec<(String, u32)>,
    /// Whose goods; needed only when the asker acts for several merchants of this order.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// From there alone; absent for wherever they are held.
    #[serde(default)]
    pub location: Option<LocationId>,
    /// Who carries it.
    #[serde(default)]
    pub carrier: Option<String>,
    /// By which number the carrier tells where it is.
    #[serde(default)]
    pub tracking: Option<String>,
}

/// Where an order goes: for merchants with a part in it once it is paid, and for admins. Who has looked is kept in the
/// history.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Which.
    pub order: OrderId,
}

/// Answer of [`Delivery`]: what a label needs, and nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverTo {
    /// Where it goes.
    pub shipping_address: Address,
}

/// Says anew who carries a shipment and under which number. Absent takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// Of which order.
    pub order: OrderId,
    /// Which shipment.
    pub shipment: ShipmentId,
    /// Who carries it.
    #[serde(default)]
    pub carrier: Option<String>,
    /// By which number.
    #[serde(default)]
    pub tracking: Option<String>,
}

/// A shipment has arrived. A repetition changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// Of which order.
    pub order: OrderId,
    /// Which shipment.
    pub shipment: ShipmentId,
}

/// Why goods are sent back. Words of a list, because the history that keeps them may not name a person.
pub const RETURN_REASONS: [&str; 6] =
    ["changed_mind", "damaged", "wrong_item", "not_as_described", "too_late", "other"];

/// Asks to send goods back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// Which order.
    pub order: OrderId,
    /// The shopper's idempotency key.
    pub key: String,
    /// SKU and quantity.
    pub lines: Vec<(String, u32)>,
    /// Why: one of [`RETURN_REASONS`], kept in the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Answer of [`Return`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReturnAnswer {
    /// The return; goods of several merchants make several, and this is the first.
    pub id: ReturnId,
    /// The order as it is now.
    pub order: OrderView,
}

/// What a merchant says to a return that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnVerdict {
    /// The goods may come.
    Approve,
    /// They may not.
    Refuse,
}

/// Decides about a return. The same verdict again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideReturn {
    /// Of which order.
    pub order: OrderId,
    /// Which return.
    pub r#return: ReturnId,
    /// What is said to it.
    pub verdict: ReturnVerdict,
}

/// Units of one SKU that came back, by what is to be done with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// The article.
    pub sku: String,
    /// As good as new: they go back on the shelf.
    #[serde(default)]
    pub restock: u32,
    /// They cannot be sold any more.
    #[serde(default)]
    pub write_off: u32,
}

/// The goods of a return are here: they are put back on the shelf or written off, and the money goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveReturn {
    /// Of which order.
    pub order: OrderId,
    /// Which return.
    pub r#return: ReturnId,
    /// The idempotency key.
    pub key: String,
    /// What came; fewer than asked for is fine. Empty: everything, as good as new.
    #[serde(default)]
    pub lines: Vec<Received>,
    /// Where it is put; absent for where it came from.
    #[serde(default)]
    pub location: Option<LocationId>,
    /// What goes back; absent for what the units cost. At most what is left of the merchant's part.
    #[serde(default)]
    pub refund: Option<Money>,
}

/// Returns, newest first; for merchants their own, for admins all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Returns {
    /// Only in this state.
    #[serde(default)]
    pub state: Option<ReturnState>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A return in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnOf {
    /// Of which order.
    pub order: OrderId,
    /// That order's number.
    pub number: String,
    /// The return.
    #[serde(flatten)]
    pub view: ReturnView,
}

/// Sagas of shipments, cancellations and returns that are under way or parked, oldest first; for admins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sagas {
    /// Only those that are parked: nobody but a person can bring them on.
    #[serde(default)]
    pub parked: bool,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A saga that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaView {
    /// By which it is retried and compensated; opaque.
    pub id: String,
    /// Of which order.
    pub order: OrderId,
    /// Which kind, for instance `ship`.
    pub saga: String,
    /// The step that has to happen.
    pub step: String,
    /// `forward`, `back` or `parked`.
    pub way: String,
    /// Why it is parked or goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often the step was asked for.
    pub attempts: u32,
    /// Since when it is in this step.
    pub since: Timestamp,
}

/// What an admin does with a saga that is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nudge {
    /// The step is asked for once more.
    Retry,
    /// What was done is taken back, as far as it can be.
    Compensate,
}

/// Brings a parked saga on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NudgeSaga {
    /// Which.
    pub saga: String,
    /// How.
    pub nudge: Nudge,
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

/// Notification asks: whom to tell about an order, and what there is to tell.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Mailing {
    /// Which.
    pub order: OrderId,
}

/// Answer of [`Mailing`].
#[derive(Clone, Serialize, Deserialize)]
pub struct MailTo {
    /// Who ordered; nobody once they have asked to be forgotten.
    pub contact: Option<Contact>,
    /// The order as its owner sees it.
    pub order: OrderView,
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

/// A shipment left the house.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shipped {
    /// Of which order.
    pub order: OrderId,
    /// Which.
    pub shipment: ShipmentId,
}

/// A shipment arrived.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// Of which order.
    pub order: OrderId,
    /// Which.
    pub shipment: ShipmentId,
}

/// Units of a paid order were called off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinesCancelled {
    /// Of which order.
    pub order: OrderId,
    /// SKU and quantity.
    pub lines: Vec<(String, u32)>,
}

/// A return is in another state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReturnChanged {
    /// Of which order.
    pub order: OrderId,
    /// Which.
    pub r#return: ReturnId,
    /// In which state.
    pub state: ReturnState,
}

requests! {
    Place => "order.v1.place", OrderView;
    Outcome => "order.v1.outcome", OrderView;
    Get => "order.v1.get", OrderView;
    List => "order.v1.list", Page<OrderView>;
    Pay => "order.v1.pay", OrderView;
    Cancel => "order.v1.cancel", OrderView;
    Delivery => "order.v1.delivery", DeliverTo;
    Ship => "order.v1.ship", OrderView;
    Track => "order.v1.track", OrderView;
    Deliver => "order.v1.deliver", OrderView;
    Return => "order.v1.return", ReturnAnswer;
    Returns => "order.v1.returns", Page<ReturnOf>;
    DecideReturn => "order.v1.decide_return", OrderView;
    ReceiveReturn => "order.v1.receive_return", OrderView;
    Sagas => "order.v1.sagas", Page<SagaView>;
    NudgeSaga => "order.v1.nudge_saga", SagaView;
    OpenLink => "order.v1.open_link", OrderView;
    RenewLink => "order.v1.renew_link", OrderView;
    CancelByLink => "order.v1.cancel_by_link", OrderView;
    Adopt => "order.v1.adopt", Adopted;
    Mailing => "order.v1.mailing", MailTo;
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
    Shipped => "evt.order.v1.shipped";
    Delivered => "evt.order.v1.delivered";
    LinesCancelled => "evt.order.v1.lines_cancelled";
    ReturnChanged => "evt.order.v1.return_changed";
}
