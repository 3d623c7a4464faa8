//! All SQL of the replicator. A worker writes on the connection that holds its edge's lock, so that a lost lock is a
//! failed write.

use std::collections::BTreeMap;

use bodega_domain::{Timestamp, message::replicator::EdgeState};
use sqlx::{PgConnection, PgPool, Row as _};
use time::OffsetDateTime;

use crate::plan::Snapshot;

/// Becomes the one process that feeds an edge, for as long as the connection lives.
pub(crate) async fn lead(connection: &mut PgConnection, edge: &str) -> Result<bool, sqlx::Error> {
    let leads: bool = sqlx::query_scalar(
        "select pg_try_advisory_lock(hashtextextended('bodega edge ' || current_schema() || ' ' || $1, 0))",
    )
    .bind(edge)
    .fetch_one(&mut *connection)
    .await?;
    if leads {
        sqlx::query("insert into edge_state (edge) values ($1) on conflict do nothing")
            .bind(edge)
            .execute(connection)
            .await?;
    }
    Ok(leads)
}

/// What was noted of an edge: its snapshot, and the batch that it did not confirm.
pub(crate) async fn load(
    connection: &mut PgConnection,
    edge: &str,
) -> Result<(Option<Snapshot>, Option<Vec<u8>>), sqlx::Error> {
    let row = sqlx::query(
        "select snapshot_epoch, snapshot_generation, snapshot_head, snapshot_complete, pending
         from edge_state where edge = $1",
    )
    .bind(edge)
    .fetch_one(connection)
    .await?;
    let epoch: Option<String> = row.try_get(0)?;
    let snapshot = match epoch {
        None => None,
        Some(epoch) => Some(Snapshot {
            epoch,
            generation: u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0),
            head: row.try_get(2)?,
            complete: row.try_get(3)?,
        }),
    };
    Ok((snapshot, row.try_get(4)?))
}

/// Notes what is about to be sent, before it is sent.
pub(crate) async fn note_sending(
    connection: &mut PgConnection,
    edge: &str,
    snapshot: &Snapshot,
    pending: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update edge_state set snapshot_epoch = $2, snapshot_generation = $3, snapshot_head = $4,
            snapshot_complete = $5, pending = $6 where edge = $1",
    )
    .bind(edge)
    .bind(&snapshot.epoch)
    .bind(i64::from(snapshot.generation))
    .bind(snapshot.head)
    .bind(snapshot.complete)
    .bind(pending)
    .execute(connection)
    .await
    .map(|_| ())
}

/// How an edge is after it answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confirmed {
    pub(crate) position: i64,
    pub(crate) head: i64,
    pub(crate) complete: bool,
    pub(crate) at: Timestamp,
    /// For a delta: milliseconds since its last change was noticed.
    pub(crate) lag_ms: Option<i64>,
}

/// Notes that an edge is where it is. What was pending is no longer.
pub(crate) async fn note_confirmed(
    connection: &mut PgConnection,
    edge: &str,
    confirmed: Confirmed,
    problem: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update edge_state set position = $2, head = $3, snapshot_complete = $4, confirmed_at = $5,
            lag_ms = coalesce($6, lag_ms), state = case when $4 then 'following' else 'snapshot' end, error = $7,
            pending = null where edge = $1",
    )
    .bind(edge)
    .bind(confirmed.position)
    .bind(confirmed.head)
    .bind(confirmed.complete)
    .bind(OffsetDateTime::from(confirmed.at))
    .bind(confirmed.lag_ms)
    .bind(problem)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Notes why an edge could not be fed.
pub(crate) async fn note_unreachable(
    connection: &mut PgConnection,
    edge: &str,
    head: i64,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("update edge_state set state = 'unreachable', head = greatest(head, $2), error = $3 where edge = $1")
        .bind(edge)
        .bind(head)
        .bind(error)
        .execute(connection)
        .await
        .map(|_| ())
}

/// How far each edge is that was ever fed, by name; the address is not kept here.
pub(crate) async fn edges(pool: &PgPool) -> Result<BTreeMap<String, EdgeState>, sqlx::Error> {
    let rows = sqlx::query("select edge, position, head, confirmed_at, lag_ms, state, error from edge_state")
        .fetch_all(pool)
        .await?;
    let mut edges = BTreeMap::new();
    for row in &rows {
        let edge: String = row.try_get(0)?;
        let confirmed_at: Option<OffsetDateTime> = row.try_get(3)?;
        let state = EdgeState {
            edge: edge.clone(),
            url: String::new(),
            position: row.try_get(1)?,
            head: row.try_get(2)?,
            confirmed_at: confirmed_at.map(Timestamp::from),
            lag_ms: row.try_get(4)?,
            state: row.try_get(5)?,
            error: row.try_get(6)?,
        };
        edges.insert(edge, state);
    }
    Ok(edges)
}
