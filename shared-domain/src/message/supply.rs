//! What is on its way to the shelves, and what has to be ordered anew.

use serde::{Deserialize, Serialize};

use crate::{
    catalog::SkuNo,
    id::{IncomingId, LocationId, MerchantId},
    time::Timestamp,
};

/// Goods that are on their way to a shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where to.
    pub location: LocationId,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many, ≥ 1.
    pub quantity: u32,
    /// On which day they should be there, `YYYY-MM-DD`; absent when nobody knows.
    #[serde(default)]
    pub expected_on: Option<String>,
    /// By which the supplier's order is known; the same of one merchant twice is one.
    pub reference: String,
}

/// Announces goods. All or nothing. Nothing of it can be sold before it is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// What is on its way.
    pub goods: Vec<Announced>,
}

/// Goods that were announced have come: they are booked on hand. The same key twice is once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// Which.
    pub incoming: IncomingId,
    /// How many have come, ≥ 1; also more than were announced.
    pub quantity: u32,
    /// No more of them comes.
    #[serde(default)]
    pub last: bool,
    /// The same key twice is once.
    pub key: String,
}

/// Nothing, or nothing more, of announced goods comes. Idempotent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUpIncoming {
    /// Which.
    pub incoming: IncomingId,
}

/// Goods that are on their way; for merchants their own, for admins all. Newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Incoming {
    /// Only this merchant's.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Also those of which nothing is expected any more.
    #[serde(default)]
    pub all: bool,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Announced goods and what has come of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingView {
    /// `inc_…`.
    pub id: IncomingId,
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where to.
    pub location: LocationId,
    /// Its name.
    pub location_name: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many were announced.
    pub quantity: i64,
    /// How many have come.
    pub received: i64,
    /// The day on which they should be there, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_on: Option<String>,
    /// By which the supplier's order is known.
    pub reference: String,
    /// Since when nothing of it is expected any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// When it was announced.
    pub announced_at: Timestamp,
    /// Who announced it: an account's id, or `service`.
    pub who: String,
}

/// How a SKU stands beside its reorder point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockLevel {
    /// None is free.
    Out,
    /// No more are free than its reorder point.
    Low,
    /// More than that.
    Enough,
}

impl StockLevel {
    /// How so many free units stand beside a reorder point.
    #[must_use]
    pub const fn of(available: i64, reorder_point: i64) -> Self {
        if available <= 0 {
            StockLevel::Out
        } else if available <= reorder_point {
            StockLevel::Low
        } else {
            StockLevel::Enough
        }
    }

    /// As shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            StockLevel::Out => "out",
            StockLevel::Low => "low",
            StockLevel::Enough => "enough",
        }
    }
}

/// SKUs of which no more are free than their reorder point, those that came to it last first. For merchants their own, for
/// admins all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LowStock {
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

/// A SKU that is low or out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowStockView {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Who sells it.
    pub merchant: MerchantId,
    /// Low or out.
    pub level: StockLevel,
    /// Since when.
    pub since: Timestamp,
    /// Free units now, all places together.
    pub available: i64,
    /// At how many its merchant wants to order anew.
    pub reorder_point: i64,
    /// On its way.
    pub incoming: i64,
    /// The day on which the first of it should be there, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_on: Option<String>,
}

/// Says at how many free units, all places together, a merchant wants to order a SKU anew.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetReorderPoint {
    /// The SKU; it has been booked before.
    pub sku_no: SkuNo,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many, ≥ 0; 0 to be told only when none is left.
    pub units: i64,
}

/// A SKU passed its reorder point, or ran out, or is back above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockAlert {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How it stands now.
    pub level: StockLevel,
    /// Free units at that moment.
    pub available: i64,
    /// Grows with each change of the SKU's level.
    pub version: i64,
}

/// SKUs stand otherwise beside their reorder points than before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StockAlerts {
    /// Each SKU once.
    pub alerts: Vec<StockAlert>,
}
