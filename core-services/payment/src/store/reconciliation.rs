//! `reconciliation`, and which payments differ from the report.

use bodega_domain::{
    Timestamp,
    id::{IntentId, OrderId},
    message::payment::Reconciliation,
};
use bodega_platform::{Entropy, Tx};
use sqlx::PgPool;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{damaged, uuid, uuids};
use crate::changes::NewException;

/// What is found to differ, by its kind of exception.
pub(crate) const KINDS: [&str; 3] = ["settled_more", "settled_less", "settled_in_another_currency"];

type Row = (Uuid, String, OffsetDateTime, Option<OffsetDateTime>, i64, i64, i64, Option<String>);

fn view((id, who, asked_at, finished_at, lines, payments, differences, trouble): Row) -> Reconciliation {
    let (id, asked_at, finished_at) = (id.to_string(), asked_at.into(), finished_at.map(Timestamp::from));
    Reconciliation { id, who, asked_at, finished_at, lines, payments, differences, trouble }
}

/// A run that somebody asks for, unless one is not finished yet: then that one.
pub(crate) async fn ask(
    pool: &PgPool,
    who: &str,
    now: Timestamp,
    entropy: &Entropy,
) -> Result<Option<Reconciliation>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "with new as (
             insert into reconciliation (id, who, asked_at, due_at)
             select $1, $2, $3, $3 where not exists (select from reconciliation where due_at is not null)
             returning id, who, asked_at, finished_at, lines, payments, differences, trouble)
         select * from new
         union all
         select id, who, asked_at, finished_at, lines, payments, differences, trouble
         from reconciliation where due_at is not null
         limit 1",
    )
    .bind(entropy.uuid(now))
    .bind(who)
    .bind(OffsetDateTime::from(now))
    .fetch_optional(pool)
    .await?;
    Ok(row.map(view))
}

/// The run of a night, unless it was asked for already.
pub(crate) async fn ask_for_night(
    pool: &PgPool,
    night: Date,
    who: &str,
    now: Timestamp,
    entropy: &Entropy,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into reconciliation (id, who, night, asked_at, due_at) values ($1, $2, $3, $4, $4)
         on conflict (night) do nothing",
    )
    .bind(entropy.uuid(now))
    .bind(who)
    .bind(night)
    .bind(OffsetDateTime::from(now))
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a run that is due, until a time. A run that is taken over is begun anew.
pub(crate) async fn take(pool: &PgPool, now: Timestamp, until: Timestamp) -> Result<Option<Uuid>, sqlx::Error> {
    // Index: reconciliation_due.
    sqlx::query_scalar(
        "update reconciliation set due_at = $2, lines = 0, payments = 0, differences = 0, trouble = null
         where id in (
             select id from reconciliation where due_at <= $1 order by due_at limit 1 for update skip locked)
         returning id",
    )
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(until))
    .fetch_optional(pool)
    .await
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) lines: i64,
    pub(crate) payments: i64,
    pub(crate) differences: i64,
    pub(crate) trouble: Option<String>,
}

/// Says how far a run is; `until` none: it is finished. `false` when somebody else has finished it.
pub(crate) async fn report(
    pool: &PgPool,
    run: Uuid,
    progress: &Progress,
    now: Timestamp,
    until: Option<Timestamp>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update reconciliation set lines = $2, payments = $3, differences = $4, trouble = $5, due_at = $6,
             finished_at = case when $6 is null then $7 end
         where id = $1 and due_at is not null",
    )
    .bind(run)
    .bind(progress.lines)
    .bind(progress.payments)
    .bind(progress.differences)
    .bind(&progress.trouble)
    .bind(until.map(OffsetDateTime::from))
    .bind(OffsetDateTime::from(now))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Runs, newest first, before a position.
pub(crate) async fn list(pool: &PgPool, before: Option<Uuid>, limit: i64) -> Result<Vec<Reconciliation>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, who, asked_at, finished_at, lines, payments, differences, trouble from reconciliation
         where $1::uuid is null or id < $1 order by id desc limit $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(view).collect())
}

/// From when on something is not looked at yet.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Lines of the report that we may still hear of.
    pub(crate) lines: Timestamp,
    /// Money that the report may still tell of.
    pub(crate) money: Timestamp,
}

/// Payments of a page that differ from the report, and how many payments the page has.
pub(crate) async fn differing(
    pool: &PgPool,
    after: Option<IntentId>,
    end: IntentId,
    patience: Patience,
) -> Result<(i64, Vec<NewException>), sqlx::Error> {
    type Found = (Uuid, Uuid, i64, i64, i64, i64, bool, bool, bool);
    // Indexes: settlement_by_intent, transfer_by_intent. Money of a payment whose amount does not fit is a person's already.
    let rows: Vec<Found> = sqlx::query_as(
        "select i.id, i.order_id, i.captured, i.refunded, s.charged, s.returned,
             (s.charged > i.captured or s.returned > i.refunded) and s.newest < $3 and not i.mismatch as more,
             s.charged < t.taken or s.returned < t.given as less,
             s.other_currency
         from intent i
         cross join lateral (
             select coalesce(sum(amount) filter (where kind in ('charge', 'payment')), 0)::bigint as charged,
                 coalesce(-sum(amount) filter (where kind in ('refund', 'payment_refund')), 0)::bigint as returned,
                 coalesce(bool_or(currency <> i.currency), false) as other_currency,
                 coalesce(max(settled_at), '-infinity') as newest
             from settlement where intent = i.id) s
         cross join lateral (
             select coalesce(sum(amount) filter (
                     where debit = 'provider_clearing' and reason in ('capture', 'late_payment')), 0)::bigint as taken,
                 coalesce(sum(case when credit = 'provider_clearing' then amount
                                   when debit = 'provider_clearing' then -amount else 0 end) filter (
                     where reason in ('refund', 'part_refund')), 0)::bigint as given
             from transfer where intent = i.id and at < $4) t
         where ($1::uuid is null or i.id > $1) and i.id <= $2",
    )
    .bind(after.map(|id| uuid!(id)))
    .bind(uuid!(end))
    .bind(OffsetDateTime::from(patience.lines))
    .bind(OffsetDateTime::from(patience.money))
    .fetch_all(pool)
    .await?;
    let payments = i64::try_from(rows.len()).map_err(|_| damaged("a page"))?;
    let mut found = Vec::new();
    for (intent, order, captured, refunded, charged, returned, more, less, other_currency) in rows {
        let [intent, order] = [intent, order].map(|id| id.as_u128());
        for (kind, is) in KINDS.into_iter().zip([more, less, other_currency]) {
            if is {
                let detail = serde_json::json!({
                    "intent": IntentId::from_u128(intent), "taken": captured, "settled": charged,
                    "given_back": refunded, "settled_back": returned,
                });
                let (order, intent) = (OrderId::from_u128(order), IntentId::from_u128(intent));
                found.push(NewException { order, intent, kind, detail });
            }
        }
    }
    Ok((payments, found))
}

/// Closes what was found in a page before and is not found any more.
pub(crate) async fn close_others(
    tx: &mut Tx<'_, '_>,
    after: Option<IntentId>,
    end: IntentId,
    found: &[NewException],
    who: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // Index: exception_open_once.
    sqlx::query(
        "update exception set closed_at = $6, closed_by = $7
         where closed_at is null and kind = any($3) and ($1::uuid is null or intent > $1) and intent <= $2
           and (intent, kind) not in (select * from unnest($4::uuid[], $5::text[]))",
    )
    .bind(after.map(|id| uuid!(id)))
    .bind(uuid!(end))
    .bind(KINDS.map(str::to_owned).to_vec())
    .bind(uuids(found.iter().map(|one| one.intent.as_u128())))
    .bind(found.iter().map(|one| one.kind).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .bind(who)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
