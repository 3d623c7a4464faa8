//! Stock: holds, their posting and voiding, levels and movements. Batches cross the bus, each with a verdict a member.

use serde::{Deserialize, Serialize};

pub use super::supply::{
    Announce, Announced, GiveUpIncoming, Incoming, IncomingView, LowStock, LowStockView, Receive, SetReorderPoint,
    StockAlert, StockAlerts, StockLevel,
};

use super::{Done, Page, events, requests};
use crate::{
    catalog::{Band, SkuNo},
    id::{CancellationId, LocationId, MerchantId, OrderId, ShipmentId},
    time::Timestamp,
};

/// One line that an order needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLine {
    /// The SKU.
    pub sku_no: SkuNo,
    /// How many, ≥ 1.
    pub quantity: u32,
    /// Who sells it.
    pub merchant: MerchantId,
}

/// One order that needs stock: whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAsk {
    /// The order it is for; one order has at most one hold.
    pub order: OrderId,
    /// Its lines.
    pub lines: Vec<HoldLine>,
    /// From when inventory may ask what became of the order.
    pub ask_at: Timestamp,
}

/// Holds for a batch of orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Independent of each other.
    pub asks: Vec<HoldAsk>,
}

/// What became of one ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldVerdict {
    /// Held now, or held before by the same order.
    Held,
    /// Not enough; nothing was held for this order.
    Short(Vec<Shortage>),
    /// This order's hold was voided before; it can never be held again.
    Voided,
    /// The database refuses this one; nothing was held for it.
    Failed,
}

/// A line that could not be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// The SKU.
    pub sku_no: SkuNo,
    /// How many this order needs of it, its lines added up.
    pub wanted: u32,
    /// How many there are for it.
    pub available: u32,
}

/// Gives the holds of orders back. Idempotent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Void {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// Turns the holds of orders into promised stock. Idempotent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Post {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// Gives posted stock back (a capture failed, a paid order was cancelled before shipment). Idempotent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpost {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// What became of a hold when it was to be posted, voided or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// Held.
    Pending,
    /// Promised.
    Posted,
    /// Given back.
    Voided,
    /// There is none.
    None,
}

/// Some units of one SKU of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// The SKU.
    pub sku_no: SkuNo,
    /// How many, ≥ 1.
    pub quantity: u32,
}

/// Units at one location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// How many, ≥ 1.
    pub quantity: u32,
}

/// Goods of a posted hold leave the house: on hand and posted fall together. The same shipment twice is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ship {
    /// The shipment.
    pub shipment: ShipmentId,
    /// The order whose hold it comes out of.
    pub order: OrderId,
    /// Whose goods.
    pub merchant: MerchantId,
    /// What; each SKU once.
    pub units: Vec<Units>,
    /// From there alone; absent for wherever they are held.
    #[serde(default)]
    pub location: Option<LocationId>,
}

/// What became of a part of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartVerdict {
    /// Done, now or before: this is what was moved, and where.
    Moved(Vec<Taken>),
    /// The order does not hold so much there, or not so much is in the house; nothing was moved.
    Short(Vec<Shortage>),
    /// It was undone before; it can never be done again.
    Undone,
}

/// Takes a shipment back that has not left after all. Idempotent; one that never was can never come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unship {
    /// The shipment.
    pub shipment: ShipmentId,
    /// Its order.
    pub order: OrderId,
}

/// Gives a part of a posted hold back: the order was called off by line. The same cancellation twice is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The cancellation.
    pub cancellation: CancellationId,
    /// The order whose hold it is a part of.
    pub order: OrderId,
    /// Whose goods.
    pub merchant: MerchantId,
    /// What; each SKU once.
    pub units: Vec<Units>,
}

/// A change of what is on hand, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Who sells it.
    pub merchant: MerchantId,
    /// Added to what is on hand.
    pub delta: i64,
    /// For instance `count`, `delivery`, `damage`, `seed`.
    pub reason: String,
    /// The same reference twice is one change.
    pub reference: String,
}

/// Changes what is on hand. All or nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adjust {
    /// The changes.
    pub adjustments: Vec<Adjustment>,
}

/// What was counted at one location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// The SKU; it has been booked there before.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// How many there are, ≥ 0.
    pub on_hand: i64,
}

/// Sets what is on hand to what was counted: the differences become movements. All or nothing, once for each key. For
/// merchants their own stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// What was counted; each SKU at each location once.
    pub counts: Vec<Counted>,
    /// The idempotency key; its scope is the asker.
    pub key: String,
}

/// Answer of [`Count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountAnswer {
    /// Rows that were other than counted.
    pub changed: u32,
    /// Rows that were as counted.
    pub same: u32,
}

/// Carries units from one shelf to another. Only what is promised to nobody can go. The same reference twice is once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Who sells it.
    pub merchant: MerchantId,
    /// From there.
    pub from: LocationId,
    /// To there.
    pub to: LocationId,
    /// How many, ≥ 1.
    pub quantity: u32,
    /// By which it is known.
    pub reference: String,
}

/// Keeps so many units of a SKU at a location back from orders. What is held or promised already stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSafety {
    /// The SKU; it has been booked there before.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many, ≥ 0.
    pub safety: i64,
}

/// Makes or renames a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Its id.
    pub id: LocationId,
    /// Its name.
    pub name: String,
    /// Smaller is allocated first.
    pub priority: i32,
}

/// Makes or renames locations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutLocations {
    /// The locations.
    pub locations: Vec<Location>,
}

/// Stock levels, for merchants and admins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Levels {
    /// Only these SKUs; empty for all, paged.
    #[serde(default)]
    pub sku_nos: Vec<SkuNo>,
    /// Only this merchant's.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A stock row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Its name.
    pub location_name: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// In the house.
    pub on_hand: i64,
    /// Held by orders that are not paid yet.
    pub pending: i64,
    /// Promised to paid orders.
    pub posted: i64,
    /// Promised beyond what was counted.
    pub short: i64,
    /// Never promised.
    pub safety: i64,
    /// `on_hand − safety − pending − posted`.
    pub available: i64,
    /// On its way there.
    #[serde(default)]
    pub incoming: i64,
    /// At how many free units, all places together, its merchant wants to order anew.
    #[serde(default)]
    pub reorder_point: i64,
}

/// Changes of what is on hand, newest first; for merchants their own, for admins all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Movements {
    /// Only of these SKUs; empty for all.
    #[serde(default)]
    pub sku_nos: Vec<SkuNo>,
    /// Only this merchant's.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A change of what is on hand, as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovementView {
    /// When.
    pub at: Timestamp,
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Its name.
    pub location_name: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// Added to what was on hand.
    pub delta: i64,
    /// Why.
    pub reason: String,
    /// What made it one change.
    pub reference: String,
    /// Who asked: an account's id, or `service`. Not known of old ones.
    #[serde(default)]
    pub who: Option<String>,
}

/// All locations, in the order of their allocation.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Locations {}

/// Stock that is promised beyond what was counted, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exceptions {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A stock row of which more is promised than there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockException {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many are missing now.
    pub short: i64,
    /// When a count found it.
    pub opened_at: Timestamp,
}

/// What merchants allow of their stock; those that never said anything allow all. Merchants see their own, admins all that
/// were ever set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// Only of this merchant, also when it never said anything.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Says what a merchant allows of its stock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// Whose.
    pub merchant: MerchantId,
    /// Percent of what is on hand of a SKU that orders may hold together whose first attempt to pay has ended without
    /// authorisation, at most 100; absent for all of it.
    #[serde(default)]
    pub unproven_share_max: Option<u8>,
}

/// What a merchant allows of its stock, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whose.
    pub merchant: MerchantId,
    /// Percent, as in [`SetPolicy`].
    pub unproven_share_max: Option<u8>,
    /// Its last changes, newest first; none for the default that nobody ever changed.
    pub changes: Vec<PolicyChange>,
}

/// Somebody said what a merchant allows of its stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Percent since then, as in [`SetPolicy`].
    pub unproven_share_max: Option<u8>,
    /// When.
    pub at: Timestamp,
    /// Who: an account's id.
    pub who: String,
}

/// The hold of an order, for checks and dashboards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HoldOf {
    /// The order.
    pub order: OrderId,
}

/// A band changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BandsChanged {
    /// SKU, band, and a version that grows with each change of the SKU's band.
    pub bands: Vec<(SkuNo, Band, i64)>,
}

requests! {
    Hold => "inventory.v1.hold", Vec<HoldVerdict>;
    Void => "inventory.v1.void", Vec<HoldState>;
    Post => "inventory.v1.post", Vec<HoldState>;
    Unpost => "inventory.v1.unpost", Vec<HoldState>;
    Ship => "inventory.v1.ship", PartVerdict;
    Unship => "inventory.v1.unship", Done;
    Release => "inventory.v1.release", PartVerdict;
    Adjust => "inventory.v1.adjust", Done;
    Count => "inventory.v1.count", CountAnswer;
    Transfer => "inventory.v1.transfer", Done;
    SetSafety => "inventory.v1.set_safety", Done;
    Announce => "inventory.v1.announce", Vec<IncomingView>;
    Receive => "inventory.v1.receive", IncomingView;
    GiveUpIncoming => "inventory.v1.give_up_incoming", IncomingView;
    Incoming => "inventory.v1.incoming", Page<IncomingView>;
    LowStock => "inventory.v1.low_stock", Page<LowStockView>;
    SetReorderPoint => "inventory.v1.set_reorder_point", Done;
    PutLocations => "inventory.v1.put_locations", Done;
    Levels => "inventory.v1.levels", Page<Level>;
    Movements => "inventory.v1.movements", Page<MovementView>;
    Locations => "inventory.v1.locations", Vec<Location>;
    Exceptions => "inventory.v1.exceptions", Page<StockException>;
    HoldOf => "inventory.v1.hold_of", HoldState;
    Policies => "inventory.v1.policies", Page<Policy>;
    SetPolicy => "inventory.v1.set_policy", Policy;
}

events! {
    BandsChanged => "evt.inventory.v1.bands_changed";
    StockAlerts => "evt.inventory.v1.stock_alerts";
}
