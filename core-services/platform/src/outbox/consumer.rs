//! Applies events once: a durable pull consumer, a transaction with an inbox row for each, acknowledged after its commit.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self, AckKind,
    consumer::{self, pull},
};
use bodega_domain::{
    Failure, Timestamp,
    event::{Event, EventData},
    id::EventId,
};
use futures::{StreamExt as _, future::BoxFuture};
use time::OffsetDateTime;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{OUTBOX_DAYS, audit, stream_config};
use crate::{
    bus::{Bus, RequestContext},
    clock::Clock,
    entropy::Entropy,
    postgres::{Postgres, TransactionError, Tx},
    tasks::Tasks,
    telemetry::metrics,
};

/// Events applied in one transaction.
const APPLY_BATCH_MAX: usize = 64;
/// Seconds that JetStream waits for an acknowledgement before it delivers again.
const ACK_WAIT_S: u64 = 30;
/// Milliseconds to wait before a failed event is delivered again, times the number of its deliveries.
const RETRY_STEP_MS: u64 = 200;
/// Milliseconds to wait at most before a failed event is delivered again.
const RETRY_MAX_MS: u64 = 30_000;
/// Milliseconds to wait before the consumer is made anew.
const FAILURE_PAUSE_MS: u64 = 300;
/// Seconds between two heartbeats of JetStream; two missing ones end the subscription, which is then made anew.
const HEARTBEAT_S: u64 = 2;
/// Seconds between two audits, and how far each looks back beyond the last.
const AUDIT_EVERY_S: i64 = 3_600;
/// Seconds after a consumer was made anew when a second audit looks for what the first could not see yet.
const SECOND_AUDIT_AFTER_S: i64 = 15;
/// Seconds that an event has to arrive by itself before an hourly audit calls it missing.
const ARRIVAL_GRACE_S: i64 = 60;

/// The transaction in which events are applied.
pub type EventTx<'t> = Tx<'t, 'static>;
/// What applying events comes to. An error leaves them to be delivered again.
pub type Applied<'t> = BoxFuture<'t, Result<(), TransactionError<Failure>>>;

/// An event as its consumer gets it.
#[derive(Clone, Debug)]
pub struct Received<D> {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// The id of what it is about.
    pub about: String,
    /// Its data.
    pub data: D,
}

/// A consumer that was declared and not started yet.
pub(crate) struct Consumer {
    name: &'static str,
    run: Box<dyn FnOnce(Shell) -> BoxFuture<'static, ()> + Send>,
}

/// What a running consumer needs of its service.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) postgres: Postgres,
    pub(crate) bus: Bus,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) tasks: Tasks,
}

impl Consumer {
    pub(crate) fn new<D, F>(name: &'static str, apply: F) -> Self
    where
        D: EventData + Send + Sync + 'static,
        F: for<'t> Fn(EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
    {
        let apply = Arc::new(apply);
        Self { name, run: Box::new(move |shell| Box::pin(run(name, shell, apply))) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) async fn run(self, shell: Shell) {
        (self.run)(shell).await;
    }
}

/// When the next comparison of inbox and outbox is due.
struct AuditPlan {
    last: Option<Timestamp>,
    due: Timestamp,
    /// The last comparison follows a (re)creation, so another one is due soon.
    again: bool,
}

async fn run<D, F>(name: &'static str, shell: Shell, apply: Arc<F>)
where
    D: EventData + Send + Sync + 'static,
    F: for<'t> Fn(EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
{
    let stopping = shell.tasks.stopping();
    while !stopping.is_cancelled() {
        if let Err(error) = consume(name, &shell, &apply).await {
            tracing::warn!(consumer = name, subject = D::SUBJECT, %error, "consuming was interrupted");
        }
        shell.tasks.pause(Duration::from_millis(FAILURE_PAUSE_MS)).await;
    }
}

async fn consume<D, F>(name: &'static str, shell: &Shell, apply: &Arc<F>) -> Result<(), async_nats::Error>
where
    D: EventData + Send + Sync + 'static,
    F: for<'t> Fn(EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
{
    let consumer = open_consumer(&shell.bus.jetstream(), shell.bus.service(), name, D::SUBJECT).await?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(APPLY_BATCH_MAX * 4)
        .heartbeat(Duration::from_secs(HEARTBEAT_S))
        .expires(Duration::from_secs(HEARTBEAT_S * 5))
        .messages()
        .await?;
    // What has arrived while a batch was applied is the next batch.
    let mut batches = messages.ready_chunks(APPLY_BATCH_MAX);
    let stopping = shell.tasks.stopping();
    let mut plan = AuditPlan { last: None, due: shell.clock.now(), again: true };
    loop {
        let until_audit = u64::try_from(plan.due.ms_since(shell.clock.now())).unwrap_or(0);
        tokio::select! {
            biased;
            () = stopping.cancelled() => return Ok(()),
            batch = batches.next() => {
                let Some(batch) = batch else { return Ok(()) };
                let mut interrupted = None;
                let mut delivered = Vec::with_capacity(batch.len());
                for message in batch {
                    match message {
                        Ok(message) => delivered.push(message),
                        Err(error) => interrupted = Some(error),
                    }
                }
                handle(name, shell, apply, delivered).await;
                if let Some(error) = interrupted {
                    return Err(error.into());
                }
            }
            () = tokio::time::sleep(Duration::from_millis(until_audit)) => audit(name, D::SUBJECT, shell, &mut plan).await,
        }
    }
}

/// Opens the durable consumer, and makes stream and consumer when they are missing.
async fn open_consumer(
    jetstream: &jetstream::Context,
    service: &str,
    name: &str,
    subject: &str,
) -> Result<consumer::Consumer<pull::Config>, async_nats::Error> {
    let source = subject.split('.').nth(1).unwrap_or_default();
    let stream = jetstream.get_or_create_stream(stream_config(source)).await?;
    let durable = format!("{service}_{name}");
    let config = pull::Config {
        durable_name: Some(durable.clone()),
        filter_subject: subject.to_owned(),
        ack_wait: Duration::from_secs(ACK_WAIT_S),
        ..Default::default()
    };
    Ok(stream.get_or_create_consumer(&durable, config).await?)
}

async fn audit(name: &'static str, subject: &str, shell: &Shell, plan: &mut AuditPlan) {
    let now = shell.clock.now();
    let context = RequestContext::service(&shell.clock, &shell.entropy);
    // The first look goes back as far as outboxes do, later ones overlap the one before.
    let since = plan.last.map_or_else(|| now.plus_days(-OUTBOX_DAYS), |last| last.plus_s(-2 * AUDIT_EVERY_S));
    // After a (re)creation nothing is on its way any more that could still arrive by itself.
    let published_before = if plan.again { now } else { now.plus_s(-ARRIVAL_GRACE_S) };
    let compared = audit::compare(
        &shell.postgres,
        &shell.bus,
        &context,
        (shell.consumer(name).as_str(), subject),
        (since, published_before),
    )
    .await;
    match compared {
        Ok(_) => {
            let second = plan.last.is_none();
            plan.last = Some(now);
            plan.due = now.plus_s(if second { SECOND_AUDIT_AFTER_S } else { AUDIT_EVERY_S });
            plan.again = second;
        }
        Err(error) => {
            tracing::debug!(consumer = name, subject, %error, "the audit will be tried again");
            plan.due = now.plus_s(SECOND_AUDIT_AFTER_S);
        }
    }
}

impl Shell {
    /// The consumer's name in the inbox: one service may have several for one subject.
    fn consumer(&self, name: &str) -> String {
        format!("{}_{name}", self.bus.service())
    }
}

async fn handle<D, F>(name: &'static str, shell: &Shell, apply: &Arc<F>, messages: Vec<jetstream::Message>)
where
    D: EventData + Send + Sync + 'static,
    F: for<'t> Fn(EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
{
    let mut events = Vec::with_capacity(messages.len());
    for message in messages {
        match read::<D>(&message) {
            Ok(event) => events.push((Arc::new(event), message)),
            Err(error) => {
                // It will not become readable by being delivered again; the audit keeps its id as missing.
                tracing::error!(consumer = name, subject = D::SUBJECT, %error, "an event cannot be read");
                metrics::counter("bodega_events_unreadable_total", &[("consumer", name)]).add(1);
                settle(&message, AckKind::Term).await;
            }
        }
    }
    if apply_together(name, shell, apply, &events).await {
        return;
    }
    // One of them may be the culprit: each on its own, so that it delays nobody else.
    for event in events {
        let delivered = event.1.info().map_or(1, |info| u64::try_from(info.delivered).unwrap_or(1));
        if !apply_together(name, shell, apply, std::slice::from_ref(&event)).await {
            let wait = Duration::from_millis((delivered * RETRY_STEP_MS).min(RETRY_MAX_MS));
            settle(&event.1, AckKind::Nak(Some(wait))).await;
        }
    }
}

fn read<D: EventData>(message: &jetstream::Message) -> Result<Received<D>, serde_json::Error> {
    let event: Event = serde_json::from_slice(&message.payload)?;
    Ok(Received { id: event.id, time: event.time, about: event.subject, data: serde_json::from_value(event.data)? })
}

/// Applies the new ones among these events in one transaction and acknowledges all after its commit.
async fn apply_together<D, F>(
    name: &'static str,
    shell: &Shell,
    apply: &Arc<F>,
    events: &[(Arc<Received<D>>, jetstream::Message)],
) -> bool
where
    D: EventData + Send + Sync + 'static,
    F: for<'t> Fn(EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
{
    if events.is_empty() {
        return true;
    }
    let consumer: Arc<str> = shell.consumer(name).into();
    let received: Arc<[Arc<Received<D>>]> = events.iter().map(|(event, _)| event.clone()).collect();
    let now = shell.clock.now();
    let span = tracing::info_span!("event", consumer = name, subject = D::SUBJECT, count = events.len());
    let outcome = shell
        .postgres
        .transaction(|mut tx: EventTx<'_>| {
            let (consumer, received, apply) = (consumer.clone(), received.clone(), apply.clone());
            Box::pin(async move {
                let new = note_in_inbox(&mut tx, &consumer, &received, now).await?;
                if new.is_empty() { Ok(()) } else { apply(tx, new).await }
            })
        })
        .instrument(span.clone())
        .await;
    match outcome {
        Ok(()) => {
            for (_, message) in events {
                settle(message, AckKind::Ack).await;
            }
            metrics::counter("bodega_events_applied_total", &[("consumer", name)])
                .add(u64::try_from(events.len()).unwrap_or(u64::MAX));
            true
        }
        Err(error) => {
            span.in_scope(|| tracing::warn!(%error, "events could not be applied; they will come again"));
            metrics::counter("bodega_events_failed_total", &[("consumer", name)]).add(1);
            false
        }
    }
}

/// Notes the events as applied and gives back those that had not been.
async fn note_in_inbox<D>(
    tx: &mut Tx<'_, '_>,
    consumer: &str,
    events: &[Arc<Received<D>>],
    now: Timestamp,
) -> Result<Vec<Arc<Received<D>>>, sqlx::Error> {
    // Sorted, so that two processes with the same events wait for each other instead of deadlocking.
    let ids: BTreeSet<Uuid> = events.iter().map(|event| Uuid::from_u128(event.id.as_u128())).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let new: Vec<Uuid> = sqlx::query_scalar(
        "insert into inbox (consumer, event_id, received)
         select $1, id, $3 from unnest($2::uuid[]) as id
         on conflict do nothing returning event_id",
    )
    .bind(consumer)
    .bind(ids)
    .bind(OffsetDateTime::from(now))
    .fetch_all(&mut **tx)
    .await?;
    let mut new: BTreeSet<u128> = new.iter().map(Uuid::as_u128).collect();
    // The same event twice in one batch is applied once.
    Ok(events.iter().filter(|event| new.remove(&event.id.as_u128())).cloned().collect())
}

async fn settle(message: &jetstream::Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        // It will be delivered again, and the inbox knows it.
        tracing::debug!(%error, "an acknowledgement could not be sent");
    }
}
