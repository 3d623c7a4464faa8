//! What is written beside an intent: attempts, refunds, facts, exceptions, raw webhooks.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    id::{AttemptId, IntentId, MerchantId, OrderId, RefundId},
    message::payment::Exception,
    money::Money,
    payment::Fact,
};
use bodega_platform::{Entropy, Tx};
use sqlx::{PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, uuid, uuids};
use crate::{
    changes::{NewAttempt, NewException, NewRefund, RawWebhook},
    intent::AttemptWord,
    requests::reconciliation::suggestion,
};

/// Which of these keys of intents are known as attempts.
pub(crate) async fn known_attempts(
    tx: &mut Tx<'_, '_>,
    keys: &[(IntentId, &str)],
) -> Result<Vec<(IntentId, String)>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select a.intent, a.key from unnest($1::uuid[], $2::text[]) as k (intent, key)
         join attempt a on a.intent = k.intent and a.key = k.key",
    )
    .bind(uuids(keys.iter().map(|(intent, _)| intent.as_u128())))
    .bind(keys.iter().map(|(_, key)| *key).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(intent, key)| (IntentId::from_u128(intent.as_u128()), key)).collect())
}

/// Writes attempts. What is known already stays.
pub(crate) async fn insert_attempts(
    tx: &mut Tx<'_, '_>,
    attempts: &[NewAttempt],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if attempts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into attempt (id, intent, key, buyer, provider, method, return_url, state, begun_at)
         select id, intent, key, buyer, provider, method, return_url, 'asked', $8
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
             as x (id, intent, key, buyer, provider, method, return_url)",
    )
    .bind(uuids(attempts.iter().map(|new| new.ask.id.as_u128())))
    .bind(uuids(attempts.iter().map(|new| new.intent.as_u128())))
    .bind(attempts.iter().map(|new| new.ask.key.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|new| new.ask.buyer.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|new| new.ask.provider.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|new| new.ask.method.as_str()).collect::<Vec<_>>())
    .bind(attempts.iter().map(|new| new.ask.return_url.clone()).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes what became of attempts. An answer is not forgotten by a later "unknown".
pub(crate) async fn answer_attempts(
    tx: &mut Tx<'_, '_>,
    answered: &[(AttemptId, AttemptWord)],
) -> Result<(), sqlx::Error> {
    if answered.is_empty() {
        return Ok(());
    }
    let word = |word: &AttemptWord| match word {
        AttemptWord::Answered(reference) => ("answered", Some(reference.clone())),
        AttemptWord::Unknown => ("unknown", None),
    };
    let (states, references): (Vec<_>, Vec<_>) = answered.iter().map(|(_, w)| word(w)).unzip();
    sqlx::query(
        "update attempt set state = x.state, reference = coalesce(x.reference, attempt.reference)
         from unnest($1::uuid[], $2::text[], $3::text[]) as x (id, state, reference)
         where attempt.id = x.id and (attempt.state <> 'answered' or x.state = 'answered')",
    )
    .bind(uuids(answered.iter().map(|(id, _)| id.as_u128())))
    .bind(states)
    .bind(references)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A refund as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct KnownRefund {
    pub(crate) id: RefundId,
    pub(crate) asked: Option<i64>,
    pub(crate) amount: Money,
    pub(crate) merchant: Option<MerchantId>,
    /// Whether the provider has said that it is done.
    pub(crate) done: bool,
}

/// The refunds of these intents, by key, oldest first.
pub(crate) async fn refunds_of(
    tx: &mut Tx<'_, '_>,
    intents: &[IntentId],
) -> Result<BTreeMap<IntentId, Vec<(String, KnownRefund)>>, sqlx::Error> {
    let mut known: BTreeMap<IntentId, Vec<(String, KnownRefund)>> = BTreeMap::new();
    if intents.is_empty() {
        return Ok(known);
    }
    type Row = (Uuid, Uuid, String, Option<i64>, i64, String, Option<Uuid>, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "select intent, id, key, asked, amount, currency, merchant, state = 'done' from refund
         where intent = any($1) and state <> 'failed' order by id",
    )
    .bind(uuids(intents.iter().map(|intent| intent.as_u128())))
    .fetch_all(&mut **tx)
    .await?;
    for (intent, id, key, asked, amount, currency, merchant, done) in rows {
        let currency = currency.parse().map_err(|_| damaged("refund.currency"))?;
        let amount = Money::new(amount, currency).map_err(|_| damaged("refund.amount"))?;
        let merchant = merchant.map(|id| MerchantId::from_u128(id.as_u128()));
        let refund = KnownRefund { id: RefundId::from_u128(id.as_u128()), asked, amount, merchant, done };
        known.entry(IntentId::from_u128(intent.as_u128())).or_default().push((key, refund));
    }
    Ok(known)
}

/// Writes refunds; one that failed under the same key is tried anew.
pub(crate) async fn insert_refunds(
    tx: &mut Tx<'_, '_>,
    refunds: &[NewRefund],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if refunds.is_empty() {
        return Ok(());
    }
    // A failed refund gives its key free, so that the same ask may be tried anew under a new id.
    sqlx::query(
        "update refund set key = refund.key || ' failed ' || refund.id
         from unnest($1::uuid[], $2::text[]) as x (intent, key)
         where refund.intent = x.intent and refund.key = x.key and refund.state = 'failed'",
    )
    .bind(uuids(refunds.iter().map(|new| new.intent.as_u128())))
    .bind(refunds.iter().map(|new| new.ask.key.as_str()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "insert into refund (id, intent, key, asked, amount, currency, reason, state, requested_at, merchant)
         select id, intent, key, asked, amount, currency, reason, 'asked', $8, merchant
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $9::uuid[])
             as x (id, intent, key, asked, amount, currency, reason, merchant)",
    )
    .bind(uuids(refunds.iter().map(|new| new.ask.id.as_u128())))
    .bind(uuids(refunds.iter().map(|new| new.intent.as_u128())))
    .bind(refunds.iter().map(|new| new.ask.key.as_str()).collect::<Vec<_>>())
    .bind(refunds.iter().map(|new| new.ask.amount.map(Money::amount)).collect::<Vec<_>>())
    .bind(refunds.iter().map(|new| new.amount.amount()).collect::<Vec<_>>())
    .bind(refunds.iter().map(|new| new.amount.currency().code().to_owned()).collect::<Vec<_>>())
    .bind(refunds.iter().map(|new| new.ask.reason.as_str()).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .bind(refunds.iter().map(|new| new.ask.merchant.map(|id| uuid!(id))).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes what became of refunds.
pub(crate) async fn answer_refunds(
    tx: &mut Tx<'_, '_>,
    answered: &[(RefundId, IntentId, bool)],
) -> Result<(), sqlx::Error> {
    if answered.is_empty() {
        return Ok(());
    }
    let states: Vec<&str> = answered.iter().map(|(.., done)| if *done { "done" } else { "failed" }).collect();
    sqlx::query(
        "update refund set state = x.state from unnest($1::uuid[], $2::text[]) as x (id, state)
         where refund.id = x.id and refund.state = 'asked'",
    )
    .bind(uuids(answered.iter().map(|(id, ..)| id.as_u128())))
    .bind(states)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes facts that were news.
pub(crate) async fn insert_facts(
    tx: &mut Tx<'_, '_>,
    facts: &[(IntentId, Fact)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if facts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into fact (intent, kind, reference, amount, seen_at)
         select intent, kind, reference, amount, $5
         from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) as x (intent, kind, reference, amount)
         on conflict do nothing",
    )
    .bind(uuids(facts.iter().map(|(intent, _)| intent.as_u128())))
    .bind(facts.iter().map(|(_, fact)| fact.name()).collect::<Vec<_>>())
    .bind(facts.iter().map(|(_, fact)| fact.reference()).collect::<Vec<_>>())
    .bind(facts.iter().map(|(_, fact)| fact.amount()).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Opens exceptions; one that is open stays as it is.
pub(crate) async fn insert_exceptions(
    tx: &mut Tx<'_, '_>,
    exceptions: &[NewException],
    now: Timestamp,
    entropy: &Entropy,
) -> Result<(), sqlx::Error> {
    if exceptions.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into exception (id, order_id, intent, kind, detail, opened_at)
         select id, order_id, intent, kind, detail, $6
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::jsonb[]) as x (id, order_id, intent, kind, detail)
         on conflict (intent, kind) where closed_at is null do nothing",
    )
    .bind(exceptions.iter().map(|_| entropy.uuid(now)).collect::<Vec<_>>())
    .bind(exceptions.iter().map(|new| uuid!(new.order)).collect::<Vec<_>>())
    .bind(exceptions.iter().map(|new| uuid!(new.intent)).collect::<Vec<_>>())
    .bind(exceptions.iter().map(|new| new.kind).collect::<Vec<_>>())
    .bind(exceptions.iter().map(|new| Json(&new.detail)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps webhooks as they came, each once, with the payment that some of them wait for.
pub(crate) async fn insert_webhooks(
    tx: &mut Tx<'_, '_>,
    webhooks: &[(&RawWebhook, Option<&str>)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if webhooks.is_empty() {
        return Ok(());
    }
    let mut sorted = webhooks.to_vec();
    sorted.sort_by(|(a, _), (b, _)| (&a.provider, &a.event).cmp(&(&b.provider, &b.event)));
    sqlx::query(
        "insert into webhook_raw (provider, event, body, received_at, waits_for)
         select provider, event, body, $4, waits_for
         from unnest($1::text[], $2::text[], $3::bytea[], $5::text[]) as x (provider, event, body, waits_for)
         on conflict do nothing",
    )
    .bind(sorted.iter().map(|(raw, _)| raw.provider.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(raw, _)| raw.event.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(raw, _)| raw.body.as_slice()).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .bind(sorted.iter().map(|(_, waits_for)| *waits_for).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Webhooks since a time that spoke of a payment before we knew its id, and now we do.
pub(crate) async fn early_webhooks(
    pool: &PgPool,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<RawWebhook>, sqlx::Error> {
    // Index: webhook_raw_waiting, intent_by_reference.
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(
        "select w.provider, w.event, w.body from webhook_raw w
         where w.waits_for is not null and w.received_at >= $1
           and exists (select from intent i where i.provider = w.provider and i.provider_ref = w.waits_for)
         order by w.received_at limit $2",
    )
    .bind(OffsetDateTime::from(since))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(provider, event, body)| RawWebhook { provider, event, body }).collect())
}

/// A webhook has been taken in and waits for nothing any more.
pub(crate) async fn webhook_was_taken_in(pool: &PgPool, raw: &RawWebhook) -> Result<(), sqlx::Error> {
    sqlx::query("update webhook_raw set waits_for = null where provider = $1 and event = $2")
        .bind(&raw.provider)
        .bind(&raw.event)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets webhooks that came before a time; gives how many.
pub(crate) async fn delete_webhooks(pool: &PgPool, before: Timestamp) -> Result<u64, sqlx::Error> {
    // Index: webhook_raw_by_age.
    let done = sqlx::query("delete from webhook_raw where received_at < $1")
        .bind(OffsetDateTime::from(before))
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

/// Open exceptions, newest first, after a position.
pub(crate) async fn exceptions(
    pool: &PgPool,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<(Uuid, Exception)>, sqlx::Error> {
    type Row = (Uuid, Option<Uuid>, String, Json<serde_json::Value>, OffsetDateTime);
    // Index: exception_open.
    let rows: Vec<Row> = sqlx::query_as(
        "select id, order_id, kind, detail, opened_at from exception
         where closed_at is null and ($1::uuid is null or id < $1) order by id desc limit $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let read = |(id, order, kind, detail, opened_at): Row| {
        let order = order.map(|order| OrderId::from_u128(order.as_u128()));
        let suggestion = suggestion(&kind);
        (id, Exception { id: id.to_string(), order, kind, detail: detail.0, opened_at: opened_at.into(), suggestion })
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Closes an exception unless it is closed already. `false` when there is none.
pub(crate) async fn close_exception(pool: &PgPool, id: Uuid, who: &str, now: Timestamp) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update exception set closed_at = coalesce(closed_at, $3), closed_by = coalesce(closed_by, $2) where id = $1",
    )
    .bind(id)
    .bind(who)
    .bind(OffsetDateTime::from(now))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}
