//! SQL of exceptions: orders that a person has to look at.

use bodega_domain::{Timestamp, message::order::OrderException};
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;

use super::{order_id, timestamp};

/// Open exceptions, newest first, before a position.
pub(crate) async fn open(pool: &PgPool, before: Option<i64>, limit: i64) -> Result<Vec<OrderException>, sqlx::Error> {
    // Index: exception_open.
    let rows = sqlx::query(
        "select n, order_id, kind, opened_at from exception
         where closed_at is null and ($1::bigint is null or n < $1) order by n desc limit $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(OrderException {
                id: row.try_get::<i64, _>("n")?.to_string(),
                order: order_id(row, "order_id")?,
                kind: row.try_get("kind")?,
                opened_at: timestamp(row, "opened_at")?,
            })
        })
        .collect()
}

/// Closes an exception unless it is closed already. `false` when there is none.
pub(crate) async fn close(pool: &PgPool, id: i64, who: &str, now: Timestamp) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update exception set closed_at = coalesce(closed_at, $3), closed_by = coalesce(closed_by, $2) where n = $1",
    )
    .bind(id)
    .bind(who)
    .bind(OffsetDateTime::from(now))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}
