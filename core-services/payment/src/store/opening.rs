//! What opening a batch of intents writes and reads.

use std::collections::BTreeMap;

use bodega_domain::{Timestamp, id::IntentId, ledger::MerchantShare};
use bodega_platform::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{intents::status_text, uuid};
use crate::intent::Intent;

/// How many attempts each of these buyers began since a time.
pub(crate) async fn attempts_since(
    tx: &mut Tx<'_, '_>,
    buyers: Vec<String>,
    since: Timestamp,
) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    if buyers.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Index: attempt_by_buyer.
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select buyer, count(*) from attempt where buyer = any($1) and begun_at > $2 group by buyer")
            .bind(buyers)
            .bind(OffsetDateTime::from(since))
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().collect())
}

/// Writes intents that do not exist yet, and gives the ids of those that it wrote.
pub(crate) async fn insert(
    tx: &mut Tx<'_, '_>,
    intents: &[&Intent],
    now: Timestamp,
) -> Result<Vec<IntentId>, sqlx::Error> {
    // Sorted by what is unique, so that two batches wait for each other and never in a circle.
    let mut sorted = intents.to_vec();
    sorted.sort_by_key(|intent| intent.order);
    let rows: Vec<Uuid> = sqlx::query_scalar(
        "insert into intent (id, order_id, buyer, provider, amount, currency, attempts, last_attempt,
             last_attempted_at, last_reference, refused, status, revision, told_revision, tell_at, opened_at)
         select id, order_id, buyer, provider, amount, currency, attempts, last_attempt,
             last_attempted_at, last_reference, refused, status, 1, 1, $12, $12
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::integer[],
             $8::uuid[], $9::timestamptz[], $10::text[], $11::jsonb[], $13::text[])
             as x (id, order_id, buyer, provider, amount, currency, attempts, last_attempt, last_attempted_at,
                 last_reference, refused, status)
         on conflict on constraint intent_one_per_order do nothing
         returning id",
    )
    .bind(sorted.iter().map(|intent| uuid!(intent.id)).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| uuid!(intent.order)).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.buyer.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.provider.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.amount.amount()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.amount.currency().code().to_owned()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.attempts).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.last_attempt.map(|id| uuid!(id))).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.last_attempted_at.map(OffsetDateTime::from)).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| intent.last_reference.clone()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|intent| sqlx::types::Json(&intent.facts.refused)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .bind(sorted.iter().map(|intent| status_text(intent.status)).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|id| IntentId::from_u128(id.as_u128())).collect())
}

/// Writes the shares of new intents.
pub(crate) async fn insert_shares(
    tx: &mut Tx<'_, '_>,
    shares: &[(IntentId, MerchantShare)],
) -> Result<(), sqlx::Error> {
    if shares.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into intent_share (intent, merchant, payable, tax, fee)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])",
    )
    .bind(shares.iter().map(|(intent, _)| uuid!(intent)).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| uuid!(share.merchant)).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| share.payable).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| share.tax).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| share.fee).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
