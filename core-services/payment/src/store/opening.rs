//! What opening a batch of intents writes and reads.

use std::collections::BTreeMap;

use bodega_domain::{Timestamp, id::IntentId, ledger::MerchantShare};
use bodega_platform::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{intents::status_text, uuid};
use crate::{
    intent::{AttemptAsk, Intent},
    job::JobKind,
};

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

/// What is written of one order that is opened.
pub(crate) struct NewIntent<'a> {
    pub(crate) intent: Intent,
    pub(crate) shares: &'a [MerchantShare],
    /// The first attempt, and when the call that makes it is taken up again by others. Without a time there is no call to
    /// make.
    pub(crate) attempt: Option<(AttemptAsk, Option<Timestamp>)>,
}

/// Writes intents that do not exist yet, with everything that belongs to them, in one statement. Gives the ids of those that
/// it wrote.
pub(crate) async fn insert(
    tx: &mut Tx<'_, '_>,
    new: &[NewIntent<'_>],
    now: Timestamp,
) -> Result<Vec<IntentId>, sqlx::Error> {
    // Sorted by what is unique, so that two batches wait for each other and never in a circle.
    let mut sorted: Vec<&NewIntent<'_>> = new.iter().collect();
    sorted.sort_by_key(|new| new.intent.order);
    let intents: Vec<&Intent> = sorted.iter().map(|new| &new.intent).collect();
    let shares: Vec<(IntentId, &MerchantShare)> =
        sorted.iter().flat_map(|new| new.shares.iter().map(|share| (new.intent.id, share))).collect();
    let attempts: Vec<(IntentId, &AttemptAsk, Option<Timestamp>)> =
        sorted.iter().filter_map(|new| new.attempt.as_ref().map(|(ask, call)| (new.intent.id, ask, *call))).collect();
    let rows: Vec<Uuid> = sqlx::query_scalar(
        "with new as (
             insert into intent (id, order_id, buyer, provider, amount, currency, attempts, last_attempt,
                 last_attempted_at, last_reference, refused, status, closing, cancelled, revision, told_revision, tell_at,
                 opened_at)
             select id, order_id, buyer, provider, amount, currency, attempts, last_attempt,
                 last_attempted_at, last_reference, refused, status, closing, cancelled, 1, 1, $1, $1
             from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::integer[],
                 $9::uuid[], $10::timestamptz[], $11::text[], $12::jsonb[], $13::text[], $14::boolean[], $15::boolean[])
                 as x (id, order_id, buyer, provider, amount, currency, attempts, last_attempt, last_attempted_at,
                     last_reference, refused, status, closing, cancelled)
             on conflict on constraint intent_one_per_order do nothing
             returning id),
         new_shares as (
             insert into intent_share (intent, merchant, payable, tax, fee)
             select x.* from unnest($16::uuid[], $17::uuid[], $18::bigint[], $19::bigint[], $20::bigint[])
                 as x (intent, merchant, payable, tax, fee)
             where intent in (select id from new)),
         begun as (
             select x.* from unnest($21::uuid[], $22::uuid[], $23::text[], $24::text[], $25::text[], $26::text[],
                 $27::text[], $28::timestamptz[])
                 as x (id, intent, key, buyer, provider, method, return_url, call)
             where intent in (select id from new)),
         new_attempts as (
             insert into attempt (id, intent, key, buyer, provider, method, return_url, state, begun_at)
             select id, intent, key, buyer, provider, method, return_url, 'asked', $1 from begun),
         new_jobs as (
             insert into job (kind, subject, intent, due_at, created_at)
             select $29, id, intent, call, $1 from begun where call is not null)
         select id from new",
    )
    .bind(OffsetDateTime::from(now))
    .bind(intents.iter().map(|intent| uuid!(intent.id)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| uuid!(intent.order)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.buyer.as_str()).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.provider.as_str()).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.amount.amount()).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.amount.currency().code().to_owned()).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.attempts).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.last_attempt.map(|id| uuid!(id))).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.last_attempted_at.map(OffsetDateTime::from)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.last_reference.clone()).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| sqlx::types::Json(&intent.facts.refused)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| status_text(intent.status)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.closing).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.facts.cancelled).collect::<Vec<_>>())
    .bind(shares.iter().map(|(intent, _)| uuid!(intent)).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| uuid!(share.merchant)).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| share.payable).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| share.tax).collect::<Vec<_>>())
    .bind(shares.iter().map(|(_, share)| share.fee).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(_, ask, _)| uuid!(ask.id)).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(intent, ..)| uuid!(intent)).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(_, ask, _)| ask.key.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(_, ask, _)| ask.buyer.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(_, ask, _)| ask.provider.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(_, ask, _)| ask.method.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(_, ask, _)| ask.return_url.clone()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|(.., call)| call.map(OffsetDateTime::from)).collect::<Vec<_>>())
    .bind(JobKind::Pay.as_str())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|id| IntentId::from_u128(id.as_u128())).collect())
}
