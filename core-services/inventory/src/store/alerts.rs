//! SQL of reorder points: which SKUs are low or out, and what merchants were told last.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    id::MerchantId,
    message::inventory::{LowStockView, StockAlert, StockLevel},
    stock::Standing,
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{SkuNo, decode_sku, uuid};

const fn level_number(level: StockLevel) -> i16 {
    match level {
        StockLevel::Out => 0,
        StockLevel::Low => 1,
        StockLevel::Enough => 2,
    }
}

const fn level_of(number: i16) -> StockLevel {
    match number {
        0 => StockLevel::Out,
        1 => StockLevel::Low,
        _ => StockLevel::Enough,
    }
}

/// Stores how SKUs stand and returns those that stand otherwise than before. What was never low has no row: that it is not
/// low is no news. The caller holds the locks of their stock rows.
pub(crate) async fn put(
    tx: &mut PgConnection,
    standings: &BTreeMap<SkuNo, Standing>,
    now: Timestamp,
) -> Result<Vec<StockAlert>, sqlx::Error> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "with fresh as (
             select * from unnest($1::bigint[], $2::uuid[], $3::smallint[]) as t (sku_no, merchant, level)),
         changed as (
             update alert a set level = f.level, merchant = f.merchant, version = a.version + 1, since = $4
             from fresh f where a.sku_no = f.sku_no and a.level <> f.level returning a.sku_no, a.version),
         first as (
             insert into alert (sku_no, merchant, level, version, since)
             select sku_no, merchant, level, 1, $4 from fresh where level < 2 order by sku_no
             on conflict do nothing returning sku_no, version)
         select * from changed union all select * from first order by sku_no",
    )
    .bind(standings.keys().map(|sku| i64::from(*sku)).collect::<Vec<_>>())
    .bind(standings.values().map(|standing| uuid(standing.merchant.as_u128())).collect::<Vec<_>>())
    .bind(standings.values().map(|standing| level_number(standing.level)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .fetch_all(tx)
    .await?;
    let alert = |(sku, version): (i64, i64)| {
        let sku_no = SkuNo::try_from(sku).ok()?;
        let Standing { merchant, available, level, .. } = *standings.get(&sku_no)?;
        Some(StockAlert { sku_no, merchant, level, available, version })
    };
    Ok(rows.into_iter().filter_map(alert).collect())
}

/// Sets the reorder point of a SKU whose rows are locked, and notes who said so.
pub(crate) async fn set_reorder_point(
    tx: &mut PgConnection,
    sku_no: SkuNo,
    units: i64,
    who: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("update stock set reorder_point = $2 where sku_no = $1")
        .bind(i64::from(sku_no))
        .bind(units)
        .execute(&mut *tx)
        .await?;
    sqlx::query("insert into reorder_change (sku_no, reorder_point, at, who) values ($1, $2, $3, $4)")
        .bind(i64::from(sku_no))
        .bind(units)
        .bind(OffsetDateTime::from(now))
        .bind(who)
        .execute(tx)
        .await?;
    Ok(())
}

/// What to list.
pub(crate) struct LowStockQuery {
    /// Empty for all merchants.
    pub(crate) merchants: Vec<MerchantId>,
    pub(crate) before: Option<(Timestamp, SkuNo)>,
    pub(crate) limit: i64,
}

fn view(row: &PgRow) -> Result<LowStockView, sqlx::Error> {
    Ok(LowStockView {
        sku_no: decode_sku(row, "sku_no")?,
        merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
        level: level_of(row.try_get("level")?),
        since: row.try_get::<OffsetDateTime, _>("since")?.into(),
        available: row.try_get("available")?,
        reorder_point: row.try_get("reorder_point")?,
        incoming: row.try_get("incoming")?,
        expected_on: row.try_get::<Option<Date>, _>("expected_on")?.map(|day| day.to_string()),
    })
}

/// SKUs that are low or out, those that came to it last first.
pub(crate) async fn low(pool: &PgPool, query: &LowStockQuery) -> Result<Vec<LowStockView>, sqlx::Error> {
    // Index: alert_open; the sums are of a page's SKUs alone.
    let rows = sqlx::query(
        "select a.sku_no, a.merchant, a.level, a.since, s.available, s.reorder_point, i.units as incoming, i.expected_on
         from (select * from alert
               where level < 2 and (cardinality($1::uuid[]) = 0 or merchant = any($1))
                 and ($2::timestamptz is null or (since, sku_no) < ($2, $3))
               order by since desc, sku_no desc limit $4) a
         cross join lateral (
             select coalesce(sum(greatest(0, on_hand - safety - pending - posted)), 0)::bigint as available,
                    coalesce(max(reorder_point), 0) as reorder_point
             from stock where sku_no = a.sku_no) s
         cross join lateral (
             select coalesce(sum(greatest(0, quantity - received)), 0)::bigint as units, min(expected_on) as expected_on
             from incoming where sku_no = a.sku_no and closed_at is null) i
         order by a.since desc, a.sku_no desc",
    )
    .bind(query.merchants.iter().map(|merchant| uuid(merchant.as_u128())).collect::<Vec<_>>())
    .bind(query.before.map(|(since, _)| OffsetDateTime::from(since)))
    .bind(query.before.map(|(_, sku)| i64::from(sku)))
    .bind(query.limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(view).collect()
}
