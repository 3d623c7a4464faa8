//! `merchant_policy`: what merchants allow of their stock. A row a change; the last one counts.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    catalog::SkuNo,
    id::{MerchantId, OrderId},
    message::inventory::{Policy, PolicyChange},
    stock::UnprovenHold,
};
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{decode_order, decode_sku, uuid};

fn merchant_of(id: Uuid) -> MerchantId {
    MerchantId::from_u128(id.as_u128())
}

/// The CHECK keeps it within 100.
fn share_of(stored: Option<i16>) -> Option<u8> {
    stored.and_then(|percent| u8::try_from(percent).ok())
}

/// Merchants that allow a share only, with the percent.
pub(crate) async fn shares(pool: &PgPool) -> Result<BTreeMap<MerchantId, u8>, sqlx::Error> {
    let rows: Vec<(Uuid, Option<i16>)> = sqlx::query_as(
        "select distinct on (merchant) merchant, unproven_share_max from merchant_policy order by merchant, n desc",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(|(merchant, share)| Some((merchant_of(merchant), share_of(share)?))).collect())
}

/// What these orders hold, pending, of each SKU of these merchants.
pub(crate) async fn held_of(
    pool: &PgPool,
    orders: &[OrderId],
    merchants: &[MerchantId],
) -> Result<Vec<UnprovenHold>, sqlx::Error> {
    let rows = sqlx::query(
        "select l.order_id, l.sku_no, l.merchant, sum(l.quantity)::bigint as quantity, h.created
         from hold h join hold_line l on l.order_id = h.order_id
         where h.order_id = any($1) and h.state = 0 and l.merchant = any($2)
         group by l.order_id, l.sku_no, l.merchant, h.created",
    )
    .bind(orders.iter().map(|order| uuid(order.as_u128())).collect::<Vec<_>>())
    .bind(merchants.iter().map(|merchant| uuid(merchant.as_u128())).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(UnprovenHold {
                order: decode_order(row)?,
                sku_no: decode_sku(row, "sku_no")?,
                merchant: merchant_of(row.try_get("merchant")?),
                quantity: row.try_get("quantity")?,
                held_at: row.try_get::<OffsetDateTime, _>("created")?.into(),
            })
        })
        .collect()
}

/// What is on hand of these SKUs, all places together.
pub(crate) async fn on_hand(pool: &PgPool, skus: &[SkuNo]) -> Result<BTreeMap<SkuNo, i64>, sqlx::Error> {
    let rows =
        sqlx::query("select sku_no, sum(on_hand)::bigint as on_hand from stock where sku_no = any($1) group by sku_no")
            .bind(skus.iter().map(|sku| i64::from(*sku)).collect::<Vec<_>>())
            .fetch_all(pool)
            .await?;
    rows.iter().map(|row| Ok((decode_sku(row, "sku_no")?, row.try_get("on_hand")?))).collect()
}

/// Writes what somebody says about a merchant's stock, unless it is so already.
pub(crate) async fn set(
    pool: &PgPool,
    merchant: MerchantId,
    unproven_share_max: Option<u8>,
    who: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into merchant_policy (merchant, unproven_share_max, at, who)
         select $1, $2, $3, $4
         where $2 is distinct from (
             select unproven_share_max from merchant_policy where merchant = $1 order by n desc limit 1)",
    )
    .bind(uuid(merchant.as_u128()))
    .bind(unproven_share_max.map(i16::from))
    .bind(OffsetDateTime::from(now))
    .bind(who)
    .execute(pool)
    .await?;
    Ok(())
}

/// A page of the merchants that ever said something, after one of them.
pub(crate) async fn merchants(
    pool: &PgPool,
    after: Option<MerchantId>,
    limit: i64,
) -> Result<Vec<MerchantId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select distinct merchant from merchant_policy where $1::uuid is null or merchant > $1 order by merchant limit $2",
    )
    .bind(after.map(|merchant| uuid(merchant.as_u128())))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(merchant_of).collect())
}

/// What these merchants allow, in their order, with so many last changes each.
pub(crate) async fn of(pool: &PgPool, merchants: &[MerchantId], changes: i64) -> Result<Vec<Policy>, sqlx::Error> {
    let rows: Vec<(Uuid, Option<i16>, OffsetDateTime, String)> = sqlx::query_as(
        "select m, p.unproven_share_max, p.at, p.who from unnest($1::uuid[]) as asked (m)
         cross join lateral (
             select n, unproven_share_max, at, who from merchant_policy where merchant = m order by n desc limit $2) as p
         order by p.n desc",
    )
    .bind(merchants.iter().map(|merchant| uuid(merchant.as_u128())).collect::<Vec<_>>())
    .bind(changes)
    .fetch_all(pool)
    .await?;
    let policy = |merchant: &MerchantId| Policy { merchant: *merchant, unproven_share_max: None, changes: Vec::new() };
    let mut policies: Vec<Policy> = merchants.iter().map(policy).collect();
    for (merchant, share, at, who) in rows {
        if let Some(policy) = policies.iter_mut().find(|policy| policy.merchant == merchant_of(merchant)) {
            policy.changes.push(PolicyChange { unproven_share_max: share_of(share), at: at.into(), who });
        }
    }
    for policy in &mut policies {
        policy.unproven_share_max = policy.changes.first().and_then(|change| change.unproven_share_max);
    }
    Ok(policies)
}
