//! `capture_part`: what was asked for, and given up, of payments whose money is taken at shipment.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Timestamp,
    id::{IntentId, MerchantId},
    ledger::MerchantShare,
    message::payment::CaptureAt,
};
use bodega_platform::Tx;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, ledger, uuid, uuids};
use crate::{
    changes::NewException,
    intent::parcels::{Made, NewPart, Part, PartState},
};

/// Whose money of these intents waits until the goods leave.
pub(crate) async fn put_off(
    tx: &mut Tx<'_, '_>,
    intents: &[IntentId],
) -> Result<BTreeMap<IntentId, Vec<MerchantId>>, sqlx::Error> {
    let mut found: BTreeMap<IntentId, Vec<MerchantId>> = BTreeMap::new();
    if intents.is_empty() {
        return Ok(found);
    }
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select s.intent, s.merchant from intent_share s
         cross join lateral (
             select capture from merchant_policy p where p.merchant = s.merchant order by n desc limit 1) as now
         where s.intent = any($1) and now.capture = $2
         order by s.intent, s.merchant",
    )
    .bind(uuids(intents.iter().map(|intent| intent.as_u128())))
    .bind(CaptureAt::Shipment.as_str())
    .fetch_all(&mut **tx)
    .await?;
    for (intent, merchant) in rows {
        let merchants = found.entry(IntentId::from_u128(intent.as_u128())).or_default();
        merchants.push(MerchantId::from_u128(merchant.as_u128()));
    }
    Ok(found)
}

/// What these intents are made of; their rows are locked by the caller.
pub(crate) async fn made(
    tx: &mut Tx<'_, '_>,
    intents: &BTreeSet<IntentId>,
) -> Result<BTreeMap<IntentId, Made>, sqlx::Error> {
    let mut made: BTreeMap<IntentId, Made> = BTreeMap::new();
    if intents.is_empty() {
        return Ok(made);
    }
    let ids: Vec<IntentId> = intents.iter().copied().collect();
    for (intent, shares) in ledger::shares(tx, &ids).await? {
        made.entry(intent).or_default().shares = shares;
    }
    let rows: Vec<(Uuid, String, Uuid, i64, i64, i64, String)> = sqlx::query_as(
        "select intent, key, merchant, payable, tax, fee, state from capture_part
         where intent = any($1) order by intent, n",
    )
    .bind(uuids(ids.iter().map(|intent| intent.as_u128())))
    .fetch_all(&mut **tx)
    .await?;
    for (intent, key, merchant, payable, tax, fee, state) in rows {
        let state = PartState::parse(&state).ok_or_else(|| damaged("capture_part.state"))?;
        let share = MerchantShare { merchant: MerchantId::from_u128(merchant.as_u128()), payable, tax, fee };
        made.entry(IntentId::from_u128(intent.as_u128())).or_default().parts.push(Part { key, share, state });
    }
    Ok(made)
}

/// Writes new parts.
pub(crate) async fn insert(tx: &mut Tx<'_, '_>, parts: &[NewPart]) -> Result<(), sqlx::Error> {
    if parts.is_empty() {
        return Ok(());
    }
    let share = |of: fn(&MerchantShare) -> i64| parts.iter().map(|new| of(&new.part.share)).collect::<Vec<_>>();
    sqlx::query(
        "insert into capture_part (intent, n, key, merchant, payable, tax, fee, state, last)
         select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
             $8::text[], $9::boolean[])",
    )
    .bind(uuids(parts.iter().map(|new| new.intent.as_u128())))
    .bind(parts.iter().map(|new| i16::try_from(new.n).unwrap_or(i16::MAX)).collect::<Vec<_>>())
    .bind(parts.iter().map(|new| new.part.key.as_str()).collect::<Vec<_>>())
    .bind(uuids(parts.iter().map(|new| new.part.share.merchant.as_u128())))
    .bind(share(|share| share.payable))
    .bind(share(|share| share.tax))
    .bind(share(|share| share.fee))
    .bind(parts.iter().map(|new| new.part.state.as_str()).collect::<Vec<_>>())
    .bind(parts.iter().map(|new| new.last).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that of these intents nothing beyond so much was handed over: what was asked for beyond it is refused.
pub(crate) async fn refuse(tx: &mut Tx<'_, '_>, refused: &[(IntentId, i64)]) -> Result<(), sqlx::Error> {
    if refused.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update capture_part p set state = 'refused'
         from (
             select c.intent, c.n, x.taken, sum(c.payable + c.tax + c.fee) over (partition by c.intent order by c.n) as reach
             from unnest($1::uuid[], $2::bigint[]) as x (intent, taken)
             join capture_part c on c.intent = x.intent and c.state = 'asked') as asked
         where p.intent = asked.intent and p.n = asked.n and asked.reach > asked.taken",
    )
    .bind(uuids(refused.iter().map(|(intent, _)| intent.as_u128())))
    .bind(refused.iter().map(|(_, taken)| *taken).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Authorisations of which something still waits and that end before a moment; so many at most.
pub(crate) async fn ending(pool: &PgPool, before: Timestamp, limit: i64) -> Result<Vec<NewException>, sqlx::Error> {
    type Row = (Uuid, Uuid, i64, OffsetDateTime);
    // Index: intent_to_capture.
    let rows: Vec<Row> = sqlx::query_as(
        "select i.id, i.order_id, i.waiting, i.capture_before from intent i
         where i.waiting > 0 and i.capture_before < $1 and not i.cancelled and not i.closing
           and not exists (select from exception e where e.intent = i.id and e.kind = 'capture_due')
         order by i.capture_before limit $2",
    )
    .bind(OffsetDateTime::from(before))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let exception = |(intent, order, waiting, until): Row| {
        let (intent, until) = (IntentId::from_u128(intent.as_u128()), Timestamp::from(until));
        NewException {
            order: bodega_domain::id::OrderId::from_u128(order.as_u128()),
            intent,
            kind: "capture_due",
            detail: serde_json::json!({ "intent": intent, "waiting": waiting, "capture_before": until }),
        }
    };
    Ok(rows.into_iter().map(exception).collect())
}
