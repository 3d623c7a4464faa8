//! The catalogue as shoppers and edges see it: views, their keys in edge storage, availability bands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::{MerchantId, ProductId},
    money::{Currency, Money},
};

/// A small dense number that the catalogue issues for a SKU and never reuses: what carts and stock count by.
pub type SkuNo = u32;

/// How much there is, as shoppers may know it. The number itself is known to the core alone and decided at the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// Plenty.
    InStock,
    /// A few.
    Low,
    /// None.
    #[default]
    Out,
}

impl Band {
    /// Below how many available units a SKU is `low`.
    pub const LOW_BELOW: i64 = 10;

    /// The band of so many available units.
    #[must_use]
    pub const fn of(available: i64) -> Self {
        if available <= 0 {
            Band::Out
        } else if available < Self::LOW_BELOW {
            Band::Low
        } else {
            Band::InStock
        }
    }
}

/// Prices of a SKU, one a price list. A currency selects a list, never a rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(pub BTreeMap<String, i64>);

impl Prices {
    /// The price in a currency, if there is one.
    #[must_use]
    pub fn get(&self, currency: Currency) -> Option<Money> {
        self.0.get(currency.code()).and_then(|amount| Money::new(*amount, currency).ok())
    }
}

/// A picture: content-addressed, under `/media/{hash}.{ext}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// SHA-256 of the bytes, 64 hexadecimal digits.
    pub hash: String,
    /// `webp`, `png` or `jpg`.
    pub ext: String,
    /// Text for people who do not see it.
    pub alt: String,
}

/// One buyable variant inside a product view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantView {
    /// The code that people use.
    pub sku: String,
    /// The number that carts use.
    pub sku_no: SkuNo,
    /// What tells it from its siblings ("500 g"); empty for an only variant.
    pub title: String,
    /// Its option values, for instance `size → 500 g`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Its prices.
    pub prices: Prices,
    /// How much there is.
    pub band: Band,
}

/// A product page's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductView {
    /// The product.
    pub id: ProductId,
    /// Its address, `/p/{slug}`.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// A few sentences, plain text.
    pub description: String,
    /// The category's slug.
    pub category: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// The seller's name.
    pub merchant_name: String,
    /// Name and value, in display order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    /// Its picture.
    pub picture: Option<Picture>,
    /// At least one.
    pub variants: Vec<VariantView>,
    /// Its tax class. For those who write it, so only the catalogue's own answer has it, not the view at edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_class: Option<TaxClass>,
    /// Grows with each write of the product, not with its stock; where `tax_class` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// A product on a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductCard {
    /// Its address, `/p/{slug}`.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// The category's slug.
    pub category: String,
    /// The seller's name.
    pub merchant_name: String,
    /// Its picture.
    pub picture: Option<Picture>,
    /// The lowest price of its variants in each currency.
    pub prices_from: Prices,
    /// How many variants there are.
    pub variants: u32,
    /// The SKU to add in one click when there is only one variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_sku: Option<String>,
    /// The best band among its variants.
    pub band: Band,
}

/// A SKU as the cart page needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuView {
    /// The code that people use.
    pub sku: String,
    /// The number that carts use.
    pub sku_no: SkuNo,
    /// Its product's slug.
    pub product: String,
    /// Product and variant title together.
    pub title: String,
    /// The category's slug, for promotion rules.
    pub category: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// Decides its tax rate.
    pub tax_class: TaxClass,
    /// Its prices.
    pub prices: Prices,
    /// How much there is.
    pub band: Band,
    /// Its picture.
    pub picture: Option<Picture>,
}

/// Decides the tax rate at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxClass {
    /// The standard rate.
    #[default]
    Standard,
    /// Food, books, flowers.
    Reduced,
    /// No tax.
    Zero,
}

/// A category in the navigation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryView {
    /// Its address, `/c/{slug}`.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// How many products it has.
    pub products: u32,
    /// A picture for the tile.
    pub picture: Option<Picture>,
}

/// One stored page of a category's listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingPage {
    /// Products of this page, in display order.
    pub items: Vec<ProductCard>,
    /// How many pages there are.
    pub pages: u32,
    /// How many products there are in all pages.
    pub total: u32,
}

/// What an edge stores, and under which key. A key is `{kind}/{key}`.
pub mod keys {
    /// `product/{slug}` → [`super::ProductView`].
    pub const PRODUCT: &str = "product";
    /// `sku/{sku_no}` → [`super::SkuView`].
    pub const SKU: &str = "sku";
    /// `skucode/{sku}` → the SKU's number as JSON.
    pub const SKU_CODE: &str = "skucode";
    /// `listing/{category}/{page}` (pages count from 1; category `all` holds everything) → [`super::ListingPage`].
    pub const LISTING: &str = "listing";
    /// `categories/all` → a list of [`super::CategoryView`].
    pub const CATEGORIES: &str = "categories";
    /// `promotions/active` → a list of declarative promotion rules: the declarative rules an edge may estimate with.
    pub const PROMOTIONS: &str = "promotions";
    /// `revoked/{session id}` → when the entry may be dropped, RFC 3339 as JSON.
    pub const REVOKED: &str = "revoked";
    /// `key/identity` → a list of [`crate::token::PublicKey`].
    pub const PUBLIC_KEYS: &str = "key";
    /// `flag/{name}` → JSON.
    pub const FLAG: &str = "flag";
}

/// A view as it crosses the replication: any kind, any key, its version and its body or its absence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewEntry {
    /// One of [`keys`].
    pub kind: String,
    /// The key inside the kind.
    pub key: String,
    /// Grows with each change of this key.
    pub version: i64,
    /// JSON; `None` is a tombstone.
    pub body: Option<serde_json::Value>,
}
