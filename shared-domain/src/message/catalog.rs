//! What the catalogue answers: shoppers' reads, prices for pricing, views for the replicator, edits by merchants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Done, Page, events, requests};
use crate::{
    catalog::{Band, CategoryView, Picture, ProductCard, ProductView, SkuNo, SkuView, TaxClass, ViewEntry},
    id::{MerchantId, ProductId},
    money::Currency,
};

/// Products of a category, or all, in display order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// Category slug; absent for all.
    #[serde(default)]
    pub category: Option<String>,
    /// Only of this merchant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Full-text search over title, description and category.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Search {
    /// What the shopper typed.
    pub q: String,
    /// Only in this category.
    #[serde(default)]
    pub category: Option<String>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// One product.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Get {
    /// Its slug.
    pub slug: String,
}

/// All categories.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Categories {}

/// SKUs by number, for pricing: what they are and what they cost now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PriceLines {
    /// At most as many as a cart has lines.
    pub sku_nos: Vec<SkuNo>,
    /// The price list.
    pub currency: Currency,
}

/// Answer of [`PriceLines`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PricedLines {
    /// The known ones, in no order. A SKU without a price in the currency has none in `prices`.
    pub skus: Vec<SkuView>,
    /// Version of the price data.
    pub price_version: i64,
    /// Name of each merchant among them.
    pub merchants: BTreeMap<String, String>,
}

/// Views for edges after a position, in order, without holes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Views {
    /// The last position that the asker has; 0 for a snapshot.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
    /// Leave tombstones out (a snapshot into an empty store needs none).
    #[serde(default)]
    pub live_only: bool,
}

/// Answer of [`Views`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ViewsPage {
    /// Changes with their positions, ascending; a key that changed twice appears once, at its last position.
    pub entries: Vec<(i64, ViewEntry)>,
    /// The last position there is.
    pub head: i64,
    /// Changes after a restore of the database: positions of another epoch mean nothing.
    pub epoch: String,
    /// Deletions up to here are not told any more: who stopped before it begins again with a snapshot.
    #[serde(default)]
    pub horizon: i64,
}

/// A digest of each kind of view at the head, to be compared with an edge's.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Digests {}

/// Answer of [`Digests`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DigestsAnswer {
    /// The position they are of.
    pub position: i64,
    /// The epoch of the position.
    pub epoch: String,
    /// Kind → (live keys, sum of hashes modulo 2^64 as hexadecimal).
    pub kinds: BTreeMap<String, (i64, String)>,
}

/// A merchant of the marketplace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchant {
    /// Its id.
    pub id: MerchantId,
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
}

/// A merchant by slug, for those who give out roles.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MerchantOf {
    /// Its slug.
    pub slug: String,
}

/// A product as merchants write it. Slug is the identity; the rest replaces what was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductIn {
    /// Its address; lower case, digits and dashes.
    pub slug: String,
    /// The version that this edit began with, 0 for a product that is not there yet: another one there is
    /// `precondition_failed`. Absent, it is written over whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// Its name.
    pub title: String,
    /// A few sentences.
    pub description: String,
    /// Category slug.
    pub category: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// Tax class of all its variants.
    #[serde(default)]
    pub tax_class: TaxClass,
    /// Name and value, in display order.
    #[serde(default)]
    pub attributes: Vec<(String, String)>,
    /// Its picture.
    #[serde(default)]
    pub picture: Option<Picture>,
    /// At least one.
    pub variants: Vec<VariantIn>,
}

/// A variant as merchants write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantIn {
    /// Its code, unique in the whole marketplace.
    pub sku: String,
    /// What tells it from its siblings.
    #[serde(default)]
    pub title: String,
    /// Option values.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Currency code → minor units.
    pub prices: BTreeMap<String, i64>,
}

/// Category as admins write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryIn {
    /// Its address.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// Display order.
    #[serde(default)]
    pub position: i32,
}

/// Writes many at once: the seed, an import, an edit of one. All or nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Upsert {
    /// Merchants first.
    #[serde(default)]
    pub merchants: Vec<Merchant>,
    /// Then categories.
    #[serde(default)]
    pub categories: Vec<CategoryIn>,
    /// Then products.
    #[serde(default)]
    pub products: Vec<ProductIn>,
}

/// Answer of [`Upsert`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upserted {
    /// SKU code → its number.
    pub sku_nos: BTreeMap<String, SkuNo>,
    /// Slug → id.
    pub products: BTreeMap<String, ProductId>,
}

/// Takes a product out of the shop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retire {
    /// Its slug.
    pub slug: String,
}

/// Stores a view that another service owns (revocations, rules, keys), so that edges get it in the one order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutViews {
    /// Kind, key and body; the catalogue gives the versions.
    pub entries: Vec<(String, String, Option<serde_json::Value>)>,
}

/// Sets the availability bands that inventory reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetBands {
    /// SKU, band, and the version that inventory gave: an older one is passed over.
    pub bands: Vec<(SkuNo, Band, i64)>,
}

/// A product was written or retired.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProductChanged {
    /// Its slug.
    pub slug: String,
    /// Whether it is gone.
    pub retired: bool,
}

/// Views changed; the replicator wakes up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ViewsChanged {
    /// The last position.
    pub head: i64,
}

requests! {
    List => "catalog.v1.list", Page<ProductCard>;
    Search => "catalog.v1.search", Page<ProductCard>;
    Get => "catalog.v1.get", ProductView;
    Categories => "catalog.v1.categories", Vec<CategoryView>;
    MerchantOf => "catalog.v1.merchant", Merchant;
    PriceLines => "catalog.v1.price_lines", PricedLines;
    Views => "catalog.v1.views", ViewsPage;
    Digests => "catalog.v1.digests", DigestsAnswer;
    Upsert => "catalog.v1.upsert", Upserted;
    Retire => "catalog.v1.retire", Done;
    PutViews => "catalog.v1.put_views", Done;
    SetBands => "catalog.v1.set_bands", Done;
}

events! {
    ProductChanged => "evt.catalog.v1.product_changed";
}

/// Subject of the edge change log for a bucket; the payload is [`ViewsChanged`].
pub const EDGE_FEED: &str = "edgefeed.v1";
