//! `job`: provider calls that must happen.

use bodega_domain::{
    Timestamp,
    id::{IntentId, OrderId},
    money::Money,
};
use bodega_platform::Tx;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, uuid, uuids};
use crate::job::{Job, JobKind};

/// Writes jobs, each due when `due` says; one that is there already stays as it is.
pub(crate) async fn insert(
    tx: &mut Tx<'_, '_>,
    jobs: &[Job],
    due: impl Fn(&Job) -> Timestamp,
) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into job (kind, subject, intent, due_at, created_at)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
         on conflict do nothing",
    )
    .bind(jobs.iter().map(|job| job.kind.as_str()).collect::<Vec<_>>())
    .bind(uuids(jobs.iter().map(|job| job.subject)))
    .bind(jobs.iter().map(|job| uuid!(job.intent)).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| OffsetDateTime::from(due(job))).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| OffsetDateTime::from(job.created_at)).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets jobs that are done.
pub(crate) async fn delete(tx: &mut Tx<'_, '_>, done: &[(JobKind, u128)]) -> Result<(), sqlx::Error> {
    if done.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "delete from job using unnest($1::text[], $2::uuid[]) as x (kind, subject)
         where job.kind = x.kind and job.subject = x.subject",
    )
    .bind(done.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>())
    .bind(uuids(done.iter().map(|(_, subject)| *subject)))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts jobs off.
pub(crate) async fn put_off(tx: &mut Tx<'_, '_>, again: &[(Job, Timestamp)]) -> Result<(), sqlx::Error> {
    if again.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update job set due_at = x.due_at, tries = x.tries
         from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::integer[]) as x (kind, subject, due_at, tries)
         where job.kind = x.kind and job.subject = x.subject",
    )
    .bind(again.iter().map(|(job, _)| job.kind.as_str()).collect::<Vec<_>>())
    .bind(uuids(again.iter().map(|(job, _)| job.subject)))
    .bind(again.iter().map(|(_, due)| OffsetDateTime::from(*due)).collect::<Vec<_>>())
    .bind(again.iter().map(|(job, _)| i32::try_from(job.tries + 1).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes everything due now: after a start nobody of this process is at work on anything, and repeating what another
/// process is at work on has no second effect.
pub(crate) async fn all_due(pool: &PgPool, now: Timestamp) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("update job set due_at = $1 where due_at > $1 and kind <> 'poll'")
        .bind(OffsetDateTime::from(now))
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    subject: Uuid,
    tries: i32,
    created_at: OffsetDateTime,
    intent: Uuid,
    order_id: Uuid,
    provider: String,
    provider_ref: Option<String>,
    amount: i64,
    taken: i64,
    last: bool,
    currency: String,
    method: Option<String>,
    return_url: Option<String>,
    awaits_answer: bool,
}

/// Takes jobs that are due, for the time of a lease, with everything that the calls need.
pub(crate) async fn take(
    pool: &PgPool,
    now: Timestamp,
    leased_until: Timestamp,
    limit: i64,
) -> Result<Vec<Job>, sqlx::Error> {
    // Index: job_due.
    let rows: Vec<Row> = sqlx::query_as(
        "with taken as (
             update job set due_at = $2
             where (kind, subject) in (
                 select kind, subject from job where due_at <= $1 order by due_at limit $3 for update skip locked)
             returning kind, subject, tries, created_at, intent)
         select t.kind, t.subject, t.tries, t.created_at, t.intent, i.order_id,
                coalesce(a.provider, i.provider) as provider, i.provider_ref,
                case when t.kind = 'capture' then coalesce(p.reach, i.capture_claimed)
                     else coalesce(r.amount, i.amount) end as amount,
                i.captured as taken, coalesce(p.last, true) as last, i.currency, a.method, a.return_url,
                i.last_attempt is not null and i.last_reference is null as awaits_answer
         from taken t
         join intent i on i.id = t.intent
         left join attempt a on t.kind = 'pay' and a.id = t.subject
         left join refund r on t.kind = 'refund' and r.id = t.subject
         -- Parcels are taken one after the other, each as it was asked for, whatever was asked for since.
         left join lateral (
             select max(run)::bigint as reach, bool_or(last) as last
             from (select key, last, sum(payable + tax + fee) over (order by n) as run
                   from capture_part where intent = i.id and state = 'asked') c
             where t.kind = 'capture' group by key having max(run) > i.captured order by 1 limit 1) p on true",
    )
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(leased_until))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| read(row, leased_until)).collect()
}

fn read(row: Row, due_at: Timestamp) -> Result<Job, sqlx::Error> {
    let currency = row.currency.parse().map_err(|_| damaged("intent.currency"))?;
    Ok(Job {
        kind: JobKind::parse(&row.kind).ok_or_else(|| damaged("job.kind"))?,
        subject: row.subject.as_u128(),
        tries: u32::try_from(row.tries).unwrap_or(0),
        due_at,
        created_at: row.created_at.into(),
        intent: IntentId::from_u128(row.intent.as_u128()),
        order: OrderId::from_u128(row.order_id.as_u128()),
        provider: row.provider,
        reference: row.provider_ref,
        amount: Money::new(row.amount, currency).map_err(|_| damaged("job amount"))?,
        taken: row.taken,
        last: row.last,
        method: row.method.unwrap_or_default(),
        return_url: row.return_url,
        awaits_answer: row.awaits_answer,
    })
}
