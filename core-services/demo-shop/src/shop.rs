//! The shop's own plain types. Services map them to theirs; nothing here knows a database or a wire format.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// When the demo shop opened, Unix milliseconds (2026-01-01): the time inside its derived ids.
const OPENED_AT_MS: u128 = 0x19b_76da_a800;

/// The whole demo shop.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Who sells.
    pub merchants: Vec<Merchant>,
    /// Where stock lies; the first is the shop itself.
    pub locations: Vec<Location>,
    /// In the order in which the shop shows them.
    pub categories: Vec<Category>,
    /// By category, in the order of the categories.
    pub products: Vec<Product>,
    /// Declarative promotions, which edges can compute.
    pub rules: Vec<Rule>,
    /// Promotions computed by the example plugins.
    pub plugins: Vec<PluginPromotion>,
    /// Who can sign in.
    pub accounts: Vec<Account>,
}

/// A seller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// Bits of its id, in UUIDv7 layout.
    pub id: u128,
    /// Unique word.
    pub slug: String,
    /// What shoppers read.
    pub name: String,
    /// A sentence about it.
    pub about: String,
    /// Where its customers write to.
    pub email: String,
}

/// A place that holds stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Bits of its id, in UUIDv7 layout.
    pub id: u128,
    /// Unique word.
    pub slug: String,
    /// What merchants read.
    pub name: String,
}

/// A shelf of the shop.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its address, `/c/{slug}`.
    pub slug: String,
    /// What shoppers read.
    pub title: String,
    /// A sentence under the title.
    pub about: String,
    /// Name of a picture.
    pub picture: String,
}

/// How a product is taxed; the rates belong to the market, not to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxClass {
    /// The market's full rate.
    Standard,
    /// The rate for food, books and plants.
    Reduced,
}

impl TaxClass {
    /// The word that data and wire use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Reduced => "reduced",
        }
    }
}

/// The type of an attribute's value, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    /// Free text.
    Text,
    /// Yes or no.
    Flag,
    /// Pieces or pages: a number without a unit.
    Count,
    /// Weight.
    Grams,
    /// Volume.
    Millilitres,
    /// Length.
    Centimetres,
    /// Time.
    Days,
}

/// A value as the data gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Of kind [`AttributeKind::Flag`].
    Flag(bool),
    /// Of the kinds with a number, in the kind's unit.
    Number(u32),
    /// Of kind [`AttributeKind::Text`].
    Text(String),
}

/// Something that a product says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Stable word, for rules and plugins.
    pub key: String,
    /// What shoppers read.
    pub title: String,
    /// What kind of value it is.
    pub kind: AttributeKind,
    /// The value, of that kind.
    pub value: AttributeValue,
}

impl Attribute {
    /// The value with its unit, as shoppers read it: `900 g`, `2 kg`, `Yes`.
    #[must_use]
    pub fn display(&self) -> String {
        match (&self.value, self.kind) {
            (AttributeValue::Text(text), _) => text.clone(),
            (AttributeValue::Flag(true), _) => "Yes".to_owned(),
            (AttributeValue::Flag(false), _) => "No".to_owned(),
            (AttributeValue::Number(n), AttributeKind::Grams) if *n >= 1000 && n % 1000 == 0 => {
                format!("{} kg", n / 1000)
            }
            (AttributeValue::Number(n), AttributeKind::Grams) => format!("{n} g"),
            (AttributeValue::Number(n), AttributeKind::Millilitres) => format!("{n} ml"),
            (AttributeValue::Number(n), AttributeKind::Centimetres) => format!("{n} cm"),
            (AttributeValue::Number(1), AttributeKind::Days) => "1 day".to_owned(),
            (AttributeValue::Number(n), AttributeKind::Days) => format!("{n} days"),
            (AttributeValue::Number(n), _) => n.to_string(),
        }
    }
}

/// Something to sell, with at least one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its address, `/p/{slug}`.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// Two or three sentences, plain text.
    pub description: String,
    /// Slug of its category.
    pub category: String,
    /// Slug of its seller.
    pub merchant: String,
    /// Name of its picture; its variants share it.
    pub picture: String,
    /// How it is taxed.
    pub tax: TaxClass,
    /// In display order.
    pub attributes: Vec<Attribute>,
    /// At least one.
    pub variants: Vec<Variant>,
}

impl Product {
    /// Bits of its id, derived from the slug.
    #[must_use]
    pub fn id(&self) -> u128 {
        derived_id("product", &self.slug)
    }
}

/// What can be put into a cart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The code that people use.
    pub sku: String,
    /// What tells it from its siblings, for instance `size → 500 g`; empty for an only variant.
    pub options: BTreeMap<String, String>,
    /// Price lists: ISO 4217 code → minor units of that currency.
    #[serde(rename = "price")]
    pub prices: BTreeMap<String, i64>,
    /// Units on hand: slug of the location → pieces.
    pub stock: BTreeMap<String, u32>,
}

impl Variant {
    /// Bits of its id, derived from the SKU.
    #[must_use]
    pub fn id(&self) -> u128 {
        derived_id("sku", &self.sku)
    }

    /// Its option values in a row (`500 g`); empty for an only variant.
    #[must_use]
    pub fn title(&self) -> String {
        self.options.values().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Units on hand at all locations together.
    #[must_use]
    pub fn on_hand(&self) -> u64 {
        self.stock.values().copied().map(u64::from).sum()
    }
}

/// What a declarative rule takes off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// Hundredths of a percent of each matching line.
    PercentageBp(u32),
    /// Minor units off the matching lines together, by currency.
    Amount(BTreeMap<String, i64>),
}

/// A promotion that needs no code, so that edges can show it as an estimate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Bits of its id, in UUIDv7 layout.
    pub id: u128,
    /// Unique word.
    pub slug: String,
    /// What shoppers read beside the discount.
    pub label: String,
    /// Slug of the merchant who pays for it and whose lines it sees.
    pub funded_by: String,
    /// Only lines of this category; all of the merchant's without it.
    pub category: Option<String>,
    /// Only carts whose matching lines come to at least so many minor units, by currency; empty for any.
    pub min_subtotal: BTreeMap<String, i64>,
    /// What it takes off.
    pub discount: Discount,
}

/// A promotion computed by one of the example plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginPromotion {
    /// Bits of its id, in UUIDv7 layout.
    pub id: u128,
    /// Unique word.
    pub slug: String,
    /// Name of the plugin, as it describes itself.
    pub plugin: String,
    /// What merchants read.
    pub label: String,
    /// Slug of the merchant who pays for it and whose lines it sees.
    pub funded_by: String,
    /// The plugin's configuration: a JSON document.
    pub configuration: String,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys.
    Shopper,
    /// Sells for one merchant.
    Merchant,
    /// Runs the marketplace.
    Admin,
}

/// Somebody who can sign in; the password is made when the shop is started.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Under `bodega.example`, which nobody can own.
    pub email: String,
    /// Shown in the account page.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Slug of the merchant it sells for, for the role of a merchant.
    pub merchant: Option<String>,
}

/// An id that is the same on every machine: the opening day and a hash of what is named, in UUIDv7 layout.
fn derived_id(kind: &str, name: &str) -> u128 {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(name.as_bytes());
    let digest = hash.finalize();
    let mut low = [0_u8; 16];
    low[6..].copy_from_slice(&digest[..10]);
    let value = (OPENED_AT_MS << 80) | u128::from_be_bytes(low);
    let value = (value & !(0xf << 76)) | (0x7 << 76);
    (value & !(0b11 << 62)) | (0b10 << 62)
}
