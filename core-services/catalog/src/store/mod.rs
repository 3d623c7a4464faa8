//! All SQL of the catalogue.
//!
//! Writers of products, bands and categories take the row of `counters` first ([`lock`]): listing pages depend on every
//! product of a category, so these changes are made one after the other. Views that other services put have keys of
//! their own and need no lock.

pub(crate) mod band;
pub(crate) mod feed;
pub(crate) mod listing;
pub(crate) mod product;
pub(crate) mod projection;
pub(crate) mod read;
pub(crate) mod view;

use sqlx::PgConnection;

/// What the catalogue counts.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(crate) struct Counters {
    /// The last SKU number issued.
    pub(crate) sku_no: i32,
    /// The last product's place in the display order.
    pub(crate) ordinal: i64,
    /// Grows with each change of a price.
    pub(crate) price_version: i64,
}

/// Waits until no other transaction changes products, and keeps the others waiting until the commit.
pub(crate) async fn lock(connection: &mut PgConnection) -> Result<Counters, sqlx::Error> {
    sqlx::query_as("select sku_no, ordinal, price_version from counters for update").fetch_one(connection).await
}

/// Keeps what was counted.
pub(crate) async fn count(connection: &mut PgConnection, counters: Counters) -> Result<(), sqlx::Error> {
    sqlx::query("update counters set sku_no = $1, ordinal = $2, price_version = $3")
        .bind(counters.sku_no)
        .bind(counters.ordinal)
        .bind(counters.price_version)
        .execute(connection)
        .await
        .map(|_| ())
}
