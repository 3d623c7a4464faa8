//! A cart and its effects, as in `promotion.wit`; what the fields mean is said there.

use serde::{Deserialize, Serialize};

/// A cart as one plugin sees it, without the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cart {
    /// ISO 4217.
    pub currency: String,
    /// Decimal digits of the minor unit.
    pub minor_digits: u8,
    /// Slug of the market.
    pub market: String,
    /// The lines that the plugin may see, ascending by index.
    pub lines: Vec<Line>,
    /// Sum of their totals, minor units.
    pub subtotal: i64,
    /// Codes that the shopper entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Slug of the customer group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_group: Option<String>,
    /// Seconds since 1970 UTC at which the quote is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<i64>,
}

/// One line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its position in the shopper's whole cart.
    pub index: u32,
    /// SKU code.
    pub sku: String,
    /// Slug of the product.
    pub product: String,
    /// Slug of the merchant.
    pub merchant: String,
    /// Slugs of the categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Minor units for one.
    pub unit_price: i64,
    /// Minor units for all.
    pub total: i64,
}

/// One discount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is made cheaper.
    pub target: Target,
    /// How much cheaper.
    pub discount: Discount,
    /// What the shopper reads.
    pub label: String,
}

/// What is made cheaper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Everything that the plugin saw.
    Order,
    /// The shipping price.
    Shipping,
    /// These lines together.
    Lines(Vec<LineUnits>),
}

/// Part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineUnits {
    /// [`Line::index`].
    pub index: u32,
    /// So many pieces of it; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u32>,
}

/// How much cheaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// Hundredths of a percent, 1 to 10'000.
    PercentageBp(u32),
    /// Minor units off the target as a whole, at least 1.
    Amount(i64),
}
