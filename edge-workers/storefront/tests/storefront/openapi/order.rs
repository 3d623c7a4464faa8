//! The shapes of orders, beside those of the rest.
#![allow(dead_code, unreachable_pub, missing_docs)]

use utoipa::ToSchema;

use super::schema::{Money, PaymentChoice, Totals};

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OrderStatus {
    AwaitingPayment,
    Paid,
    InFulfilment,
    Delivered,
    Completed,
    Cancelled,
    Expired,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Fulfilment {
    None,
    Partial,
    Shipped,
    Delivered,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Returns {
    None,
    Requested,
    Partial,
    Full,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum PaymentStatus {
    Pending,
    RequiresAction,
    Processing,
    Authorised,
    PartiallyCaptured,
    Captured,
    Refused,
    Cancelled,
    PartiallyRefunded,
    Refunded,
    Disputed,
    Unknown,
}

#[derive(ToSchema)]
pub struct PaymentAmounts {
    authorised: Money,
    captured: Money,
    refunded: Money,
}

#[derive(ToSchema)]
pub struct NextAction {
    r#type: String,
    url: String,
}

#[derive(ToSchema)]
pub struct Payment {
    status: PaymentStatus,
    amounts: PaymentAmounts,
    #[schema(nullable = false)]
    next_action: Option<NextAction>,
    /// Money that came too late waits until then for the shop's decision; afterwards it goes back.
    #[schema(nullable = false)]
    held_until: Option<String>,
    /// Merchants whose money is taken only when their goods leave.
    #[schema(nullable = false)]
    at_shipment: Option<Vec<AtShipment>>,
    /// Until when the provider lets it be taken, as far as it says so.
    #[schema(nullable = false)]
    capture_before: Option<String>,
}

#[derive(ToSchema)]
pub struct AtShipment {
    merchant: String,
    /// What still waits for its goods to leave.
    waiting: Money,
    /// What is not taken any more, because its goods never leave.
    forgone: Money,
}

#[derive(ToSchema)]
pub struct OrderPart {
    merchant: String,
    skus: Vec<String>,
    total: Money,
    fulfilment: Fulfilment,
}

/// How many pieces of a line are where.
#[derive(ToSchema)]
pub struct Units {
    /// Called off before they were shipped.
    cancelled: u32,
    /// Being packed.
    preparing: u32,
    /// Shipped, whatever became of them then.
    shipped: u32,
    /// Of those, arrived.
    delivered: u32,
    /// Of those, asked to be sent back and not received yet.
    returning: u32,
    /// Of those, received back.
    returned: u32,
}

/// As it was quoted, and what became of it.
#[derive(ToSchema)]
pub struct OrderLine {
    sku_no: u32,
    sku: String,
    title: String,
    merchant: String,
    quantity: u32,
    unit_price: Money,
    subtotal: Money,
    discount: Money,
    tax_rate_bp: u32,
    tax: Money,
    total: Money,
    /// Absent as long as nothing has happened to any piece.
    #[schema(nullable = false)]
    units: Option<Units>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ShipmentState {
    Preparing,
    Shipped,
    Delivered,
    Failed,
}

/// Goods of one merchant that leave together.
#[derive(ToSchema)]
pub struct Shipment {
    id: String,
    merchant: String,
    /// SKU and quantity.
    #[schema(value_type = Vec<Vec<Object>>)]
    lines: Vec<Vec<serde_json::Value>>,
    state: ShipmentState,
    #[schema(nullable = false)]
    carrier: Option<String>,
    /// By which number the carrier tells where it is.
    #[schema(nullable = false)]
    tracking: Option<String>,
    #[schema(nullable = false)]
    shipped_at: Option<String>,
    #[schema(nullable = false)]
    delivered_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ReturnState {
    Requested,
    Approved,
    Refused,
    Receiving,
    Received,
}

/// Goods of one merchant that the shopper sends back.
#[derive(ToSchema)]
pub struct ReturnRequest {
    id: String,
    merchant: String,
    /// SKU and quantity: as asked for, and as received once it is.
    #[schema(value_type = Vec<Vec<Object>>)]
    lines: Vec<Vec<serde_json::Value>>,
    state: ReturnState,
    #[schema(nullable = false)]
    reason: Option<String>,
    requested_at: String,
    /// What goes back for it, once it was received.
    #[schema(nullable = false)]
    refund: Option<Money>,
}

#[derive(ToSchema)]
pub struct Order {
    id: String,
    number: String,
    placed_at: String,
    status: OrderStatus,
    fulfilment: Fulfilment,
    returns: Returns,
    lines: Vec<OrderLine>,
    totals: Totals,
    parts: Vec<OrderPart>,
    payment: Payment,
    /// What was sent, oldest first; absent as long as nothing was.
    #[schema(nullable = false)]
    shipments: Option<Vec<Shipment>>,
    /// What the shopper sends back, oldest first; absent as long as it is nothing.
    #[schema(nullable = false)]
    return_requests: Option<Vec<ReturnRequest>>,
    /// A guest's secret link.
    #[schema(nullable = false)]
    link: Option<String>,
    /// The order that was made again with this one's late money.
    #[schema(nullable = false)]
    reinstated_as: Option<String>,
    /// The ended order whose late money pays this one.
    #[schema(nullable = false)]
    reinstates: Option<String>,
}

#[derive(ToSchema)]
pub struct OrderPage {
    items: Vec<Order>,
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
pub struct PayIn {
    payment: PaymentChoice,
}

#[derive(ToSchema)]
pub struct CancelIn {
    /// Only these pieces of a paid order, which have not been shipped; left out for the whole order.
    lines: Option<Vec<PiecesIn>>,
    /// One of `changed_mind`, `wrong_item`, `too_late`, `out_of_stock`, `fraud`, `other`.
    reason: Option<String>,
    /// The order's, for who has opened its link; then the whole order is cancelled.
    email: Option<String>,
}

/// So many pieces of an article; each article once.
#[derive(ToSchema)]
pub struct PiecesIn {
    sku: String,
    #[schema(minimum = 1)]
    quantity: u32,
}

#[derive(ToSchema)]
pub struct ReturnIn {
    lines: Vec<PiecesIn>,
    /// One of `changed_mind`, `damaged`, `wrong_item`, `not_as_described`, `too_late`, `other`.
    reason: Option<String>,
}

#[derive(ToSchema)]
pub struct Return {
    /// The return; goods of several merchants make several, and this is the first.
    id: String,
    order: Order,
}
