//! `merchant_policy`: what merchants want done with money. A row a change; the last one counts.

use std::collections::BTreeSet;

use bodega_domain::{
    Timestamp,
    id::{IntentId, MerchantId},
    message::payment::{CaptureAt, LateMoney, Policy, PolicyChange},
};
use bodega_platform::Tx;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, uuid, uuids};

/// Those of these intents whose late money waits: each of their merchants wants it to.
pub(crate) async fn that_wait(tx: &mut Tx<'_, '_>, intents: &[IntentId]) -> Result<BTreeSet<IntentId>, sqlx::Error> {
    if intents.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select s.intent from intent_share s
         left join lateral (
             select late_money from merchant_policy p where p.merchant = s.merchant order by n desc limit 1) as now on true
         where s.intent = any($1)
         group by s.intent having bool_and(coalesce(now.late_money = $2, false))",
    )
    .bind(uuids(intents.iter().map(|intent| intent.as_u128())))
    .bind(LateMoney::Hold24h.as_str())
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(|id| IntentId::from_u128(id.as_u128())).collect())
}

/// Writes what somebody says about a merchant's money, unless it is so already. What is not said stays as it is.
pub(crate) async fn set(
    pool: &PgPool,
    merchant: MerchantId,
    late_money: Option<LateMoney>,
    capture: Option<CaptureAt>,
    who: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into merchant_policy (merchant, late_money, capture, at, who)
         select $1, coalesce($2, late_money), coalesce($3, capture), $4, $5
         from (
             select late_money, capture, n from merchant_policy where merchant = $1
             union all select $6, $7, 0
             order by n desc limit 1) as now
         where coalesce($2, late_money) <> late_money or coalesce($3, capture) <> capture",
    )
    .bind(uuid!(merchant))
    .bind(late_money.map(LateMoney::as_str))
    .bind(capture.map(CaptureAt::as_str))
    .bind(OffsetDateTime::from(now))
    .bind(who)
    .bind(LateMoney::default().as_str())
    .bind(CaptureAt::default().as_str())
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
    .bind(after.map(|merchant| uuid!(merchant)))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(|id| MerchantId::from_u128(id.as_u128())).collect())
}

/// What these merchants want, in their order, with so many last changes each.
pub(crate) async fn of(pool: &PgPool, merchants: &[MerchantId], changes: i64) -> Result<Vec<Policy>, sqlx::Error> {
    let rows: Vec<(Uuid, String, String, OffsetDateTime, String)> = sqlx::query_as(
        "select m, p.late_money, p.capture, p.at, p.who from unnest($1::uuid[]) as asked (m)
         cross join lateral (
             select n, late_money, capture, at, who from merchant_policy where merchant = m order by n desc limit $2) as p
         order by p.n desc",
    )
    .bind(uuids(merchants.iter().map(|merchant| merchant.as_u128())))
    .bind(changes)
    .fetch_all(pool)
    .await?;
    let policy = |merchant: &MerchantId| Policy {
        merchant: *merchant,
        late_money: LateMoney::default(),
        capture: CaptureAt::default(),
        changes: vec![],
    };
    let mut policies: Vec<Policy> = merchants.iter().map(policy).collect();
    for (merchant, late_money, capture, at, who) in rows {
        let late_money = late_money.parse().map_err(|_| damaged("merchant_policy.late_money"))?;
        let capture = capture.parse().map_err(|_| damaged("merchant_policy.capture"))?;
        let of = policies.iter_mut().find(|policy| policy.merchant.as_u128() == merchant.as_u128());
        if let Some(policy) = of {
            policy.changes.push(PolicyChange { late_money, capture, at: at.into(), who });
        }
    }
    for policy in &mut policies {
        if let Some(last) = policy.changes.first() {
            (policy.late_money, policy.capture) = (last.late_money, last.capture);
        }
    }
    Ok(policies)
}
