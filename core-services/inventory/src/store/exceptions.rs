//! SQL of exceptions: stock that is promised beyond what was counted.

use bodega_domain::{
    Timestamp,
    id::{LocationId, MerchantId},
    message::inventory::StockException,
};
use sqlx::{PgConnection, PgPool, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{SkuNo, decode_sku, uuid};

/// Opens and closes the exceptions of these locked stock rows, as they are short now. Each brings an id of its own.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    rows: &[(Uuid, SkuNo, LocationId)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = rows.iter().map(|(id, ..)| *id).collect();
    let skus: Vec<i64> = rows.iter().map(|(_, sku, _)| i64::from(*sku)).collect();
    let locations: Vec<Uuid> = rows.iter().map(|(.., location)| uuid(location.as_u128())).collect();
    sqlx::query(
        "insert into exception (id, sku_no, location, merchant, opened_at)
         select t.id, s.sku_no, s.location, s.merchant, $4
         from unnest($1::uuid[], $2::bigint[], $3::uuid[]) as t(id, sku_no, location)
         join stock s on s.sku_no = t.sku_no and s.location = t.location
         where s.short > 0
         on conflict (sku_no, location) where closed_at is null do nothing",
    )
    .bind(&ids)
    .bind(&skus)
    .bind(&locations)
    .bind(OffsetDateTime::from(now))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update exception e set closed_at = $3
         from unnest($1::bigint[], $2::uuid[]) as t(sku_no, location)
         join stock s on s.sku_no = t.sku_no and s.location = t.location
         where e.sku_no = t.sku_no and e.location = t.location and e.closed_at is null and s.short = 0",
    )
    .bind(&skus)
    .bind(&locations)
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Open exceptions with their ids, newest first, before a position.
pub(crate) async fn open(
    pool: &PgPool,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<(Uuid, StockException)>, sqlx::Error> {
    let rows = sqlx::query(
        "select e.id, e.sku_no, e.location, e.merchant, e.opened_at, s.short
         from exception e join stock s on s.sku_no = e.sku_no and s.location = e.location
         where e.closed_at is null and ($1::uuid is null or e.id < $1) order by e.id desc limit $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let exception = StockException {
                sku_no: decode_sku(row, "sku_no")?,
                location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
                merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
                short: row.try_get("short")?,
                opened_at: row.try_get::<OffsetDateTime, _>("opened_at")?.into(),
            };
            Ok((row.try_get("id")?, exception))
        })
        .collect()
}
