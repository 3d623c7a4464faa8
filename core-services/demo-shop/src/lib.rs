//! The demo corner shop: two merchants, ten categories, some 140 products with pictures, prices, stock, promotions
//! and accounts, as data that the executable carries; and a generator of large catalogues in its likeness.
//!
//! Everything here is deterministic: ids are fixed or derived from slugs, so that seeding twice finds the same rows.
//! No clock, no randomness, no passwords.

mod data;
mod large;
mod pictures;
mod shop;

pub use data::{DataError, demo_shop};
pub use large::PRODUCTS_MAX;
pub use pictures::{EXTENSION, MEDIA_TYPE, PICTURES, Picture, picture};
pub use shop::{
    Account, Attribute, AttributeKind, AttributeValue, Category, Discount, Location, Merchant, PluginPromotion,
    Product, Role, Rule, Shop, TaxClass, Variant,
};
