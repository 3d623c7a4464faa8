//! `settlement`: the provider's own account of the money, and what follows from laying it beside ours.

use bodega_domain::{
    Timestamp,
    id::{IntentId, OrderId},
};
use bodega_platform::Entropy;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::uuid;
use crate::{limits::UNMATCHED_SHOWN_MAX, provider::SettlementLine};

/// When the newest line of a provider was settled.
pub(crate) async fn newest(pool: &PgPool, provider: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let at: Option<OffsetDateTime> = sqlx::query_scalar("select max(settled_at) from settlement where provider = $1")
        .bind(provider)
        .fetch_one(pool)
        .await?;
    Ok(at.map(Timestamp::from))
}

/// Keeps lines that are new and books their fees, in one statement. Gives how many fees were booked.
pub(crate) async fn insert(
    pool: &PgPool,
    provider: &str,
    lines: &[SettlementLine],
    now: Timestamp,
    entropy: &Entropy,
) -> Result<u64, sqlx::Error> {
    let ids = || lines.iter().map(|_| entropy.uuid(now)).collect::<Vec<_>>();
    let done = sqlx::query(
        "with x as (
             select * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
                 $8::timestamptz[], $9::uuid[], $10::uuid[])
                 as x (line, kind, reference, amount, fee, currency, settled_at, transfer, journal)),
         new as (
             insert into settlement (provider, line, kind, reference, intent, amount, fee, currency, settled_at)
             select $1, x.line, x.kind, x.reference, i.id, x.amount, x.fee, x.currency, x.settled_at
             from x left join intent i on i.provider = $1 and i.provider_ref = x.reference
             order by x.line
             on conflict do nothing returning line, intent, fee, currency)
         insert into transfer (id, journal, intent, order_id, at, debit, credit, amount, currency, merchant, reason)
         select x.transfer, x.journal, new.intent, i.order_id, $11, 'provider_fees', 'provider_clearing', new.fee,
             new.currency, null, 'provider_fee'
         from new join x on x.line = new.line left join intent i on i.id = new.intent
         where new.fee > 0",
    )
    .bind(provider)
    .bind(lines.iter().map(|line| line.line.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.kind.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.reference.clone()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.amount).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.fee).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.currency.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| OffsetDateTime::from(line.at)).collect::<Vec<_>>())
    .bind(ids())
    .bind(ids())
    .bind(OffsetDateTime::from(now))
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Names the intents of lines that came before their reference was known. Gives when the oldest of them was settled.
pub(crate) async fn match_again(pool: &PgPool, provider: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    // Index: settlement_unmatched.
    let at: Option<OffsetDateTime> = sqlx::query_scalar(
        "with matched as (
             update settlement set intent = i.id from intent i
             where settlement.provider = $1 and settlement.intent is null
               and i.provider = $1 and i.provider_ref = settlement.reference
             returning settled_at)
         select min(settled_at) from matched",
    )
    .bind(provider)
    .fetch_one(pool)
    .await?;
    Ok(at.map(Timestamp::from))
}

/// Shows a person the lines before a time that name no payment of ours, a few at once and each once: while they look
/// at some, the rest waits. Gives how many were shown.
pub(crate) async fn show_unmatched(
    pool: &PgPool,
    provider: &str,
    before: Timestamp,
    now: Timestamp,
    entropy: &Entropy,
) -> Result<u64, sqlx::Error> {
    // Index: settlement_unmatched. Payouts and the like are about no payment.
    let done = sqlx::query(
        "with lost as (
             select line, kind, amount, currency from settlement
             where provider = $1 and intent is null and not shown and settled_at < $2
               and (reference is not null or kind in ('charge', 'payment', 'refund', 'payment_refund'))
             order by settled_at limit $5),
         opened as (
             insert into exception (id, kind, detail, opened_at)
             select $3, 'unmatched_settlement', jsonb_build_object('provider', $1, 'lines', jsonb_agg(to_jsonb(lost))), $4
             from lost
             where not exists (
                 select 1 from exception
                 where kind = 'unmatched_settlement' and closed_at is null and detail ->> 'provider' = $1)
             having count(*) > 0
             returning id)
         update settlement set shown = true from lost
         where settlement.provider = $1 and settlement.line = lost.line and exists (select 1 from opened)",
    )
    .bind(provider)
    .bind(OffsetDateTime::from(before))
    .bind(entropy.uuid(now))
    .bind(OffsetDateTime::from(now))
    .bind(UNMATCHED_SHOWN_MAX)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Asks anew about intents of which the provider settled more than we have heard: a webhook was lost. Looks at those
/// with a line since a time, and gives how many it asks about.
pub(crate) async fn ask_about_unheard(
    pool: &PgPool,
    provider: &str,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    // Indexes: settlement_by_age, settlement_by_intent. What does not match is a person's already.
    let done = sqlx::query(
        "insert into job (kind, subject, intent, due_at, created_at)
         select 'poll', i.id, i.id, $2, $2
         from intent i
         join (select intent,
                   coalesce(sum(amount) filter (where kind = 'charge'), 0) as charged,
                   -coalesce(sum(amount) filter (where kind = 'refund'), 0) as returned
               from settlement
               where provider = $1
                 and intent in (select intent from settlement where provider = $1 and settled_at >= $3)
               group by intent) s on s.intent = i.id
         where (s.charged > i.captured or s.returned > i.refunded) and not i.mismatch
         on conflict do nothing",
    )
    .bind(provider)
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(since))
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// The last intent of the page that begins after one; none when nothing comes after it.
pub(crate) async fn page_end(
    pool: &PgPool,
    after: Option<IntentId>,
    page: i64,
) -> Result<Option<IntentId>, sqlx::Error> {
    let ids: Option<Uuid> = sqlx::query_scalar(
        "select id from (select id from intent where $1::uuid is null or id > $1 order by id limit $2) as page
         order by id desc limit 1",
    )
    .bind(after.map(|id| uuid!(id)))
    .bind(page)
    .fetch_optional(pool)
    .await?;
    Ok(ids.map(|id| IntentId::from_u128(id.as_u128())))
}

/// Intents of a page whose transfers do not add up to what their row says is booked. There are none, unless something is
/// broken.
pub(crate) async fn books_that_differ(
    pool: &PgPool,
    after: Option<IntentId>,
    end: IntentId,
) -> Result<Vec<(IntentId, OrderId)>, sqlx::Error> {
    // Index: transfer_by_intent.
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select i.id, i.order_id
         from intent i
         cross join lateral (
             select coalesce(sum(case when debit = 'provider_clearing' then amount
                                      when credit = 'provider_clearing' then -amount else 0 end), 0) as clearing,
                 coalesce(sum(case when credit = 'customer_unapplied' then amount
                                   when debit = 'customer_unapplied' then -amount else 0 end), 0) as unapplied
             from transfer where intent = i.id and reason <> 'provider_fee') t
         where ($1::uuid is null or i.id > $1) and i.id <= $2
           and (t.clearing <> i.booked_captured - i.booked_refunded - i.booked_disputed
                or t.unapplied
                   <> i.booked_captured - i.booked_applied - (i.booked_refunded - i.booked_applied_refunded))
         limit 100",
    )
    .bind(after.map(|id| uuid!(id)))
    .bind(uuid!(end))
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(intent, order)| (IntentId::from_u128(intent.as_u128()), OrderId::from_u128(order.as_u128())))
        .collect())
}
