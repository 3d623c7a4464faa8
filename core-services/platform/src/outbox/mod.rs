//! Events leave through the outbox of the transaction that caused them, are applied once, and a lost one is noticed.
//!
//! * [`append`] writes events in the caller's transaction, all in one statement.
//! * The publisher sends committed events to JetStream in order and marks them when JetStream has acknowledged.
//! * A consumer applies an event in one transaction with its inbox row, so that twice is once.
//! * The audit compares outboxes with inboxes: at every start, every hour, and when a stream was found missing. What
//!   is missing is published again. JetStream may therefore lose or repeat anything.
//!
//! The tables `outbox` and `inbox` are in every service's schema, made by the platform's own migrations.

mod audit;
mod consumer;
mod publisher;

use async_nats::jetstream::stream;
use bodega_domain::event::{Event, EventData};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use audit::{OutboxPage, Republish, page, republish};
pub use consumer::{Applied, EventTx, Received};
pub(crate) use consumer::{Consumer, Shell};
pub(crate) use publisher::run as run_publisher;

use crate::{clock::Clock, entropy::Entropy, postgres::Tx};

/// Days for which outbox rows stay, so that an inbox can be compared with them.
pub const OUTBOX_DAYS: i64 = 7;
/// Days for which inbox rows stay: longer than outbox rows, so that a late republication is still recognised.
pub const INBOX_DAYS: i64 = 8;

/// Makes an event of this service. `about` is the id of what it is about; the data carries ids, never personal data.
///
/// # Panics
/// When the data cannot be written as JSON, which a derived `Serialize` of ids and numbers always can.
#[must_use]
pub fn event<D: EventData>(
    service: &str,
    clock: &Clock,
    entropy: &Entropy,
    about: impl std::fmt::Display,
    data: &D,
) -> Event {
    let now = clock.now();
    Event {
        id: bodega_domain::id::EventId::new(now.unix_ms(), entropy.bytes()),
        source: service.to_owned(),
        r#type: D::SUBJECT.to_owned(),
        time: now,
        subject: about.to_string(),
        data_version: D::VERSION,
        data: serde_json::to_value(data).expect("an event's data is JSON"),
    }
}

/// Writes events into the outbox of this transaction. They are published after its commit, and only then.
///
/// # Errors
/// When the statement fails.
pub async fn append(tx: &mut Tx<'_, '_>, events: &[Event]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|event| Uuid::from_u128(event.id.as_u128())).collect();
    let subjects: Vec<&str> = events.iter().map(|event| event.r#type.as_str()).collect();
    let payloads: Vec<sqlx::types::Json<&Event>> = events.iter().map(sqlx::types::Json).collect();
    let created: Vec<OffsetDateTime> = events.iter().map(|event| event.time.into()).collect();
    sqlx::query(
        "insert into outbox (id, subject, payload, created)
         select * from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::timestamptz[])",
    )
    .bind(ids)
    .bind(subjects)
    .bind(payloads)
    .bind(created)
    .execute(&mut **tx)
    .await?;
    tx.note_appended();
    Ok(())
}

/// The stream of a service's events.
pub(crate) fn stream_config(service: &str) -> stream::Config {
    stream::Config {
        name: format!("evt_{service}"),
        subjects: vec![format!("evt.{service}.>")],
        max_age: std::time::Duration::from_secs(7 * 24 * 3600),
        storage: stream::StorageType::File,
        ..Default::default()
    }
}

/// The smallest `UUIDv7` of a time: everything made before sorts before it.
fn first_uuid_at(at: bodega_domain::Timestamp) -> Uuid {
    Uuid::from_u128(u128::try_from(at.unix_ms()).unwrap_or(0) << 80)
}
