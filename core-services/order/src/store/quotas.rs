//! SQL of limits: counters that orders take of and give back, and attempts to pay, counted over a while that moves with the
//! clock.

use std::collections::BTreeMap;

use bodega_domain::{Timestamp, id::OrderId};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::uuid;

/// How much of quotas (`$1`) is used, and how many attempts (`$2`) there have been since `$3`, by key. On the counter of a
/// client address, `attempt:at:…`, those that paid do not count: an office may buy as much as it likes.
// Index: attempt_of_key.
macro_rules! used_sql {
    () => {
        "select key, used::bigint from quota where key = any($1)
         union all
         select a.key, count(*) from attempt a
         where a.key = any($2) and a.at > $3
           and not (starts_with(a.key, 'attempt:at:')
                    and exists (select from orders o where o.id = a.order_id
                                and o.status not in ('awaiting_payment', 'expired', 'cancelled')))
         group by a.key"
    };
}
pub(super) use used_sql;

/// An attempt, once for each of the counters that it counts on.
pub(crate) struct NewAttempt<'a> {
    pub(crate) order: OrderId,
    pub(crate) cause: &'a str,
    pub(crate) key: &'a str,
}

/// Locks quotas, each once, making those that are missing. What they hold is read by a later statement, which sees what
/// those who had the lock before have written.
pub(crate) async fn lock(tx: &mut PgConnection, keys: &[String]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    // A conflict locks its row although nothing is changed.
    sqlx::query(
        "insert into quota as q (key, used) select distinct k, 0 from unnest($1::text[]) as t (k) order by k
         on conflict (key) do update set used = q.used where false",
    )
    .bind(keys)
    .execute(tx)
    .await?;
    Ok(())
}

/// How much is used of quotas, and how many attempts there have been since then, by key.
pub(crate) async fn used(
    executor: impl sqlx::PgExecutor<'_>,
    quotas: &[String],
    attempts: &[String],
    since: Timestamp,
) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    if quotas.is_empty() && attempts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(String, i64)> = sqlx::query_as(used_sql!())
        .bind(quotas)
        .bind(attempts)
        .bind(OffsetDateTime::from(since))
        .fetch_all(executor)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Adds to locked quotas and notes attempts. Never below zero: a quota that is given back twice stays at zero.
pub(crate) async fn change(
    tx: &mut PgConnection,
    deltas: &BTreeMap<String, i64>,
    attempts: &[NewAttempt<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if deltas.is_empty() && attempts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "with begun as (
             insert into attempt (order_id, cause, key, at)
             select o, c, k, $6 from unnest($3::uuid[], $4::text[], $5::text[]) as t (o, c, k))
         update quota q set used = greatest(0, q.used + d.delta)
         from unnest($1::text[], $2::bigint[]) as d (key, delta) where q.key = d.key",
    )
    .bind(deltas.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(deltas.values().copied().collect::<Vec<_>>())
    .bind(attempts.iter().map(|attempt| uuid(attempt.order)).collect::<Vec<Uuid>>())
    .bind(attempts.iter().map(|attempt| attempt.cause).collect::<Vec<_>>())
    .bind(attempts.iter().map(|attempt| attempt.key).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets an attempt that was not begun after all.
pub(crate) async fn forget_attempt(tx: &mut PgConnection, order: OrderId, cause: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from attempt where order_id = $1 and cause = $2")
        .bind(uuid(order))
        .bind(cause)
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes attempts that count no more.
pub(crate) async fn delete_attempts_before(pool: &PgPool, before: Timestamp) -> Result<u64, sqlx::Error> {
    let done =
        sqlx::query("delete from attempt where at < $1").bind(OffsetDateTime::from(before)).execute(pool).await?;
    Ok(done.rows_affected())
}
