//! Sends committed events to JetStream, in order, and marks what JetStream acknowledged.

use std::time::Duration;

use async_nats::jetstream::{self, context::PublishErrorKind, message::PublishMessage};
use sqlx::{Connection as _, PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{INBOX_DAYS, OUTBOX_DAYS, first_uuid_at, stream_config};
use crate::{bus::Bus, clock::Clock, postgres::Postgres, tasks::Tasks, telemetry::metrics};

/// Events sent before their acknowledgements are awaited.
const PUBLISH_BATCH_MAX: i64 = 256;
/// Milliseconds between two looks into the outbox when no commit of this process asked for one: another process of the
/// same service may have committed.
const POLL_MS: u64 = 500;
/// Milliseconds to wait after something failed.
const FAILURE_PAUSE_MS: u64 = 500;
/// Milliseconds between two attempts to become the publisher, while another process is.
const STANDBY_PAUSE_MS: u64 = 2_000;
/// Milliseconds to wait for an acknowledgement. A publish that timed out may have been stored: it is sent again under
/// the same message id.
const ACK_TIMEOUT_MS: u64 = 5_000;
/// Seconds between two deletions of what is too old.
const CLEAN_EVERY_S: i64 = 3_600;
/// Rows deleted in one statement.
const CLEAN_BATCH_MAX: i64 = 5_000;

#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("jetstream: {0}")]
    JetStream(String),
}

/// Runs until the stop. One process of a service publishes at a time, by an advisory lock of its session: that keeps
/// the order without a row lock, which must not be held while the network is asked.
pub(crate) async fn run(postgres: Postgres, bus: Bus, clock: Clock, tasks: Tasks) {
    let stopping = tasks.stopping();
    while !stopping.is_cancelled() {
        let pause = match lead(&postgres, &bus, clock, &tasks).await {
            Ok(true) => break,
            Ok(false) => STANDBY_PAUSE_MS,
            Err(error) => {
                tracing::warn!(service = postgres.service(), %error, "events wait in the outbox");
                FAILURE_PAUSE_MS
            }
        };
        tasks.pause(Duration::from_millis(pause)).await;
    }
}

/// Publishes until the stop (`true`); `false` when another process does.
async fn lead(postgres: &Postgres, bus: &Bus, clock: Clock, tasks: &Tasks) -> Result<bool, PublishError> {
    // The lock belongs to the session, so the connection never goes back to the pool.
    let mut connection = postgres.pool().acquire().await?.detach();
    let leads: bool =
        sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended('bodega outbox ' || current_schema(), 0))")
            .fetch_one(&mut connection)
            .await?;
    if !leads {
        connection.close().await?;
        return Ok(false);
    }
    let mut jetstream = bus.jetstream();
    jetstream.set_timeout(Duration::from_millis(ACK_TIMEOUT_MS));
    let stopping = tasks.stopping();
    let mut cleaned = None;
    loop {
        while publish_waiting(&mut connection, &jetstream, postgres.service(), clock).await? {}
        let now = clock.now();
        if cleaned.is_none_or(|at| now.ms_since(at) > CLEAN_EVERY_S * 1_000) {
            clean(&mut connection, clock).await?;
            cleaned = Some(now);
        }
        tokio::select! {
            () = stopping.cancelled() => {
                // What requests commit on their way out is published by the next process, or at the next start.
                publish_waiting(&mut connection, &jetstream, postgres.service(), clock).await?;
                connection.close().await?;
                return Ok(true);
            }
            () = postgres.appended().notified() => {}
            () = tokio::time::sleep(Duration::from_millis(POLL_MS)) => {}
        }
    }
}

/// Publishes one batch; `true` when more may be waiting.
async fn publish_waiting(
    connection: &mut PgConnection,
    jetstream: &jetstream::Context,
    service: &str,
    clock: Clock,
) -> Result<bool, PublishError> {
    // Index: outbox_unpublished.
    let rows =
        sqlx::query("select id, subject, payload::text from outbox where published is null order by seq limit $1")
            .bind(PUBLISH_BATCH_MAX)
            .fetch_all(&mut *connection)
            .await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let mut sent = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, subject, payload): (Uuid, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let message = PublishMessage::build().payload(payload.into()).message_id(id.to_string());
        let ack = jetstream
            .send_publish(subject, message)
            .await
            .map_err(|error| PublishError::JetStream(error.to_string()))?;
        sent.push((id, ack));
    }
    let mut acknowledged = Vec::with_capacity(sent.len());
    let mut failed = None;
    for (id, ack) in sent {
        match ack.await {
            Ok(_) => acknowledged.push(id),
            // Silence is one for all of them: the rest is sent again under the same message ids.
            Err(error) if error.kind() == PublishErrorKind::TimedOut => {
                failed = Some(error);
                break;
            }
            Err(error) => failed = Some(error),
        }
    }
    if !acknowledged.is_empty() {
        metrics::counter("bodega_events_published_total", &[("service", service)])
            .add(u64::try_from(acknowledged.len()).unwrap_or(u64::MAX));
        sqlx::query("update outbox set published = $1 where id = any($2)")
            .bind(OffsetDateTime::from(clock.now()))
            .bind(&acknowledged)
            .execute(&mut *connection)
            .await?;
    }
    match failed {
        None => Ok(i64::try_from(rows.len()).unwrap_or(0) == PUBLISH_BATCH_MAX),
        Some(error) if error.kind() == PublishErrorKind::StreamNotFound => {
            tracing::warn!(service, "the stream of events is missing; creating it");
            create_stream(jetstream, service).await?;
            Ok(true)
        }
        // Somebody who listens to the subject without a stream keeps the server from saying that there is none: the
        // acknowledgement then never comes.
        Some(error) if error.kind() == PublishErrorKind::TimedOut => {
            create_stream(jetstream, service).await?;
            Err(PublishError::JetStream(error.to_string()))
        }
        Some(error) => Err(PublishError::JetStream(error.to_string())),
    }
}

async fn create_stream(jetstream: &jetstream::Context, service: &str) -> Result<(), PublishError> {
    jetstream
        .create_or_update_stream(stream_config(service))
        .await
        .map(|_| ())
        .map_err(|error| PublishError::JetStream(error.to_string()))
}

/// Deletes what is too old, in small statements.
async fn clean(connection: &mut PgConnection, clock: Clock) -> Result<(), sqlx::Error> {
    loop {
        let deleted = sqlx::query(
            "delete from outbox where id in
                (select id from outbox where id < $1 and published is not null order by id limit $2)",
        )
        .bind(first_uuid_at(clock.now().plus_days(-OUTBOX_DAYS)))
        .bind(CLEAN_BATCH_MAX)
        .execute(&mut *connection)
        .await?;
        if deleted.rows_affected() == 0 {
            break;
        }
    }
    loop {
        let deleted = sqlx::query(
            "delete from inbox where (consumer, event_id) in
                (select consumer, event_id from inbox where event_id < $1 limit $2)",
        )
        .bind(first_uuid_at(clock.now().plus_days(-INBOX_DAYS)))
        .bind(CLEAN_BATCH_MAX)
        .execute(&mut *connection)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(());
        }
    }
}
