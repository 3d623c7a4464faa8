//! Availability bands as inventory reports them.

use bodega_domain::catalog::{Band, SkuNo};
use sqlx::PgConnection;
use uuid::Uuid;

/// How a band is written in the database.
pub(crate) const fn word(band: Band) -> &'static str {
    match band {
        Band::InStock => "in_stock",
        Band::Low => "low",
        Band::Out => "out",
    }
}

/// The band of a word; none that the database holds is another.
pub(crate) fn of(word: &str) -> Band {
    match word {
        "in_stock" => Band::InStock,
        "low" => Band::Low,
        _ => Band::Out,
    }
}

/// Keeps the newer reports and gives back the products they touch.
pub(crate) async fn write(
    connection: &mut PgConnection,
    bands: &[(SkuNo, Band, i64)],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let numbers: Vec<i32> = bands.iter().map(|(sku, ..)| i32::try_from(*sku).unwrap_or(0)).collect();
    let words: Vec<&str> = bands.iter().map(|(_, band, _)| word(*band)).collect();
    let versions: Vec<i64> = bands.iter().map(|(.., version)| *version).collect();
    sqlx::query_scalar(
        "with written as (
            insert into band as b (sku_no, band, version)
            select distinct on (sku_no) sku_no, band, version
            from unnest($1::int[], $2::text[], $3::bigint[]) as r (sku_no, band, version)
            order by sku_no, version desc
            on conflict (sku_no) do update set band = excluded.band, version = excluded.version
            where b.version < excluded.version
            returning sku_no)
         select distinct v.product from variant v join written using (sku_no)",
    )
    .bind(numbers)
    .bind(words)
    .bind(versions)
    .fetch_all(connection)
    .await
}
