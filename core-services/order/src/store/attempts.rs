//! SQL of attempts to pay: counted over a while that moves with the clock.

use std::collections::BTreeMap;

use bodega_domain::{Timestamp, id::OrderId};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::uuid;
use crate::content::ATTEMPTS_AT;

/// An attempt, once for each of the counters that it counts on.
pub(crate) struct NewAttempt<'a> {
    pub(crate) order: OrderId,
    pub(crate) cause: &'a str,
    pub(crate) key: &'a str,
}

/// How many attempts there have been since then, by counter. On the counter of a client address those that paid do not
/// count: an office may buy as much as it likes.
pub(crate) async fn begun_since(
    connection: impl sqlx::PgExecutor<'_>,
    keys: &[String],
    since: Timestamp,
) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Index: attempt_of_key.
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select a.key, count(*) from attempt a
         where a.key = any($1) and a.at > $2
           and not (starts_with(a.key, $3)
                    and exists (select from orders o where o.id = a.order_id
                                and o.status not in ('awaiting_payment', 'expired', 'cancelled')))
         group by a.key",
    )
    .bind(keys)
    .bind(OffsetDateTime::from(since))
    .bind(ATTEMPTS_AT)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Notes attempts.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    attempts: &[NewAttempt<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if attempts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into attempt (order_id, cause, key, at)
         select o, c, k, $4 from unnest($1::uuid[], $2::text[], $3::text[]) as t(o, c, k)",
    )
    .bind(attempts.iter().map(|attempt| uuid(attempt.order)).collect::<Vec<Uuid>>())
    .bind(attempts.iter().map(|attempt| attempt.cause).collect::<Vec<_>>())
    .bind(attempts.iter().map(|attempt| attempt.key).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets an attempt that was not begun after all.
pub(crate) async fn delete(tx: &mut PgConnection, order: OrderId, cause: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from attempt where order_id = $1 and cause = $2")
        .bind(uuid(order))
        .bind(cause)
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes attempts that count no more.
pub(crate) async fn delete_before(pool: &PgPool, before: Timestamp) -> Result<u64, sqlx::Error> {
    let done =
        sqlx::query("delete from attempt where at < $1").bind(OffsetDateTime::from(before)).execute(pool).await?;
    Ok(done.rows_affected())
}
