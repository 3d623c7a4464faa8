//! Finds events that never arrived: a consumer compares the outbox of the source with its own inbox.

use bodega_domain::{Code, Failure, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::first_uuid_at;
use crate::{
    bus::{Bus, CallError, RequestContext},
    clock::Clock,
    postgres::{DatabaseError, Postgres},
    telemetry::metrics,
};

/// Ids on one page: 40 KB of JSON.
const PAGE_MAX: i64 = 1_000;

/// Asks a source for the ids of events that it has published.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutboxPage {
    /// `evt.<service>.v1.<name>`.
    subject: String,
    /// Ids after this one.
    after: Uuid,
    /// Published before this moment.
    published_before: Timestamp,
}

/// Asks a source to publish events again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Republish {
    ids: Vec<Uuid>,
}

/// Answers [`OutboxPage`].
pub(crate) async fn page(postgres: &Postgres, ask: OutboxPage) -> Result<Vec<Uuid>, Failure> {
    let ids = sqlx::query_scalar(
        "select id from outbox where id > $1 and subject = $2 and published < $3 order by id limit $4",
    )
    .bind(ask.after)
    .bind(ask.subject)
    .bind(OffsetDateTime::from(ask.published_before))
    .bind(PAGE_MAX)
    .fetch_all(postgres.pool())
    .await
    .map_err(DatabaseError::from)?;
    Ok(ids)
}

/// Answers [`Republish`] with how many it sent.
pub(crate) async fn republish(postgres: &Postgres, bus: &Bus, clock: Clock, ask: Republish) -> Result<u64, Failure> {
    let rows = sqlx::query("select id, subject, payload::text from outbox where id = any($1) order by seq")
        .bind(ask.ids)
        .fetch_all(postgres.pool())
        .await
        .map_err(DatabaseError::from)?;
    let jetstream = bus.jetstream();
    let mut sent = Vec::with_capacity(rows.len());
    for row in &rows {
        let read = |error: sqlx::Error| Failure::from(DatabaseError::from(error));
        let (id, subject, payload): (Uuid, String, String) =
            (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?, row.try_get(2).map_err(read)?);
        // Another message id than the first time: the server would take it for a repetition and drop it.
        let message = async_nats::jetstream::message::PublishMessage::build()
            .payload(payload.into())
            .message_id(format!("{id}.{}", clock.now().unix_ms()));
        sent.push(jetstream.send_publish(subject, message).await);
    }
    for ack in sent {
        let acknowledged = match ack {
            Ok(ack) => ack.await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = acknowledged {
            tracing::warn!(%error, "an event could not be published again");
            return Err(Code::CoreUnavailable.into());
        }
    }
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

/// Why an audit did not come to its end; the next one starts over.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuditError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Compares all events of `subject` made since `since` with what `consumer` has applied, and has the missing ones
/// published again. Gives their number.
pub(super) async fn compare(
    postgres: &Postgres,
    bus: &Bus,
    context: &RequestContext,
    (consumer, subject): (&str, &str),
    (since, published_before): (Timestamp, Timestamp),
) -> Result<usize, AuditError> {
    let source = subject.split('.').nth(1).unwrap_or_default();
    let mut after = first_uuid_at(since);
    let mut found = 0;
    loop {
        let ask = OutboxPage { subject: subject.to_owned(), after, published_before };
        let ids: Vec<Uuid> = bus.request_on(&format!("{source}.v1.outbox_page"), &ask, context).await?;
        let Some(last) = ids.last() else { return Ok(found) };
        after = *last;
        let missing: Vec<Uuid> = sqlx::query_scalar(
            "select id from unnest($1::uuid[]) as id
             where not exists (select from inbox where consumer = $2 and event_id = id)",
        )
        .bind(&ids)
        .bind(consumer)
        .fetch_all(postgres.pool())
        .await?;
        if !missing.is_empty() {
            found += missing.len();
            tracing::warn!(consumer, subject, count = missing.len(), "events are missing; asking for them again");
            metrics::counter("bodega_events_missing_total", &[("consumer", consumer)])
                .add(u64::try_from(missing.len()).unwrap_or(u64::MAX));
            let _: u64 =
                bus.request_on(&format!("{source}.v1.outbox_republish"), &Republish { ids: missing }, context).await?;
        }
    }
}
