//! Leads the sagas that are tables: an action is asked of others, what is heard of it is decided and committed, and so on.
//!
//! What runs here is only fast; what makes it sure is the run's row: an action that was not answered is due again, in
//! whichever process looks first.

mod ask;
mod effects;

use std::{sync::Arc, time::Duration};

use bodega_domain::{
    Code, Failure, Money, Timestamp,
    fulfilment::{self, Line},
    id::{CancellationId, LocationId, MerchantId, OrderId, ReturnId, ShipmentId},
    message::{
        inventory::{Taken, Units},
        order::StatusChanged,
    },
    order::{OrderStatus, PaymentStatus},
    saga::{
        Step,
        table::{Run, Word},
    },
};
use bodega_platform::{Context, DatabaseError, RequestContext, TransactionError, Tx, outbox};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    Sagas,
    store::{
        self, Entry,
        read::StoredOrder,
        runs::StoredRun,
        saga::{KeyOutcome, LockedSaga},
        units::{LineUnits, Standing},
    },
};

/// Milliseconds between two looks for runs that are due.
const LOOK_EVERY_MS: u64 = 500;
/// Runs taken at once, and led at once.
const LEASE_MAX: i64 = 32;
/// Seconds for which a taken run is nobody else's.
const LEASE_S: i64 = 20;
/// Seconds until an action that was just asked is asked again, doubled at each attempt.
const AGAIN_AFTER_S: i64 = 5;
/// Seconds between two attempts, at most.
const AGAIN_AFTER_MAX_S: i64 = 300;

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    Shipment(ShipmentId),
    Cancellation(CancellationId),
    Return(ReturnId),
}

/// What a run's actions say: ids and amounts only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) subject: Subject,
    pub(crate) merchant: MerchantId,
    /// The units by line.
    pub(crate) units: LineUnits,
    /// The same units by SKU.
    pub(crate) skus: Vec<Units>,
    /// What goes back, and what of that each line gives.
    #[serde(default)]
    pub(crate) refund: Option<Money>,
    #[serde(default)]
    pub(crate) refunds: Vec<(u16, i64)>,
    /// Where the goods leave from.
    #[serde(default)]
    pub(crate) location: Option<LocationId>,
    /// What comes back on which shelf.
    #[serde(default)]
    pub(crate) shelf: Vec<Taken>,
    /// Units that were asked to be sent back, when fewer came.
    #[serde(default)]
    pub(crate) asked: LineUnits,
    /// What is taken for a shipment, where that waited for the goods.
    #[serde(default)]
    pub(crate) take: Option<Money>,
    /// Nothing of this merchant is left to leave.
    #[serde(default)]
    pub(crate) last: bool,
    /// From where the goods of a shipment were taken, once they were.
    #[serde(default)]
    pub(crate) taken: Vec<Taken>,
}

impl Work {
    /// Work about nothing yet.
    pub(crate) const fn of(subject: Subject, merchant: MerchantId) -> Self {
        Self {
            subject,
            merchant,
            units: Vec::new(),
            skus: Vec::new(),
            refund: None,
            refunds: Vec::new(),
            location: None,
            shelf: Vec::new(),
            asked: Vec::new(),
            take: None,
            last: false,
            taken: Vec::new(),
        }
    }
}

/// An order under its lock, with what its runs change.
pub(crate) struct Moving<'a> {
    pub(crate) stored: &'a StoredOrder,
    pub(crate) locked: LockedSaga,
    pub(crate) lines: Vec<Line>,
    pub(crate) history: Vec<Entry>,
    pub(crate) events: Vec<bodega_domain::event::Event>,
}

impl<'a> Moving<'a> {
    /// Locks a paid order. Whoever is not paid, or is being called off, moves nothing.
    pub(crate) async fn paid(tx: &mut Tx<'_, '_>, stored: &'a StoredOrder) -> Result<Self, TransactionError<Failure>> {
        let moving = Self::any(tx, stored).await?;
        let paid = moving.locked.saga.step == Step::Settled;
        if paid && moving.locked.status != OrderStatus::Completed {
            return Ok(moving);
        }
        let detail = match (paid, moving.locked.status) {
            (true, _) => "This order is completed: nothing can happen to it any more.",
            (_, OrderStatus::AwaitingPayment) => "This order is not paid yet.",
            _ => "This order has been called off.",
        };
        Err(TransactionError::Refused(conflict(stored.id, detail)))
    }

    /// Refuses while a bank disputes the money: it would go back twice.
    pub(crate) fn undisputed(self) -> Result<Self, TransactionError<Failure>> {
        if self.locked.payment.status != PaymentStatus::Disputed {
            return Ok(self);
        }
        let detail = "The buyer's bank disputes this payment: nothing is given back until that is settled.";
        Err(TransactionError::Refused(conflict(self.stored.id, detail)))
    }

    /// Refuses once the money is gone: goods would leave for nothing.
    pub(crate) fn funded(self) -> Result<Self, TransactionError<Failure>> {
        let detail = match self.locked.payment.status {
            PaymentStatus::Refunded => "All of the money has been given back: nothing of this order is to be sent.",
            PaymentStatus::Disputed => "The buyer's bank disputes this payment: nothing is sent until that is settled.",
            PaymentStatus::Cancelled => {
                "The buyer's bank keeps the money for this order no longer: nothing is to be sent."
            }
            _ => return Ok(self),
        };
        Err(TransactionError::Refused(conflict(self.stored.id, detail)))
    }

    /// Locks an order, however it is.
    async fn any(tx: &mut Tx<'_, '_>, stored: &'a StoredOrder) -> Result<Self, TransactionError<Failure>> {
        let locked = store::saga::lock(tx, &[stored.id]).await?.pop();
        let locked = locked.ok_or_else(|| TransactionError::Refused(Failure::from(Code::OrderNotFound)))?;
        let lines = store::units::lines(tx, stored.id, &stored.content).await?;
        Ok(Self { stored, locked, lines, history: Vec::new(), events: Vec::new() })
    }

    /// Notes what happened.
    pub(crate) fn note(&mut self, what: &'static str, who: &str, data: serde_json::Value) {
        self.history.push(Entry { order: self.stored.id, what, who: who.to_owned(), data });
    }

    /// Changes some lines. The database refuses what the rules would not allow.
    pub(crate) fn change(&mut self, units: &LineUnits, how: impl Fn(&mut fulfilment::Units, u32)) {
        for (n, count) in units {
            if let Some(line) = self.lines.iter_mut().find(|line| line.n == *n) {
                how(&mut line.units, *count);
            }
        }
    }

    /// Adds to (or takes from) what went back of lines.
    pub(crate) fn refund(&mut self, refunds: &[(u16, i64)], sign: i64) {
        for (n, amount) in refunds {
            if let Some(line) = self.lines.iter_mut().find(|line| line.n == *n) {
                let sum = line.refunded.amount().saturating_add(amount.saturating_mul(sign));
                line.refunded = Money::new(sum, line.refunded.currency()).unwrap_or(line.refunded);
            }
        }
    }

    /// Writes lines, how far the order is, history and events.
    pub(crate) async fn write(mut self, context: &Context, tx: &mut Tx<'_, '_>) -> Result<(), sqlx::Error> {
        let (order, now) = (self.stored.id, context.clock().now());
        let units = || self.lines.iter().map(|line| (line.quantity, &line.units));
        let fulfilment = fulfilment::fulfilment(units());
        let standing = Standing {
            status: match self.locked.saga.step {
                Step::Settled => fulfilment::status(self.locked.status, fulfilment),
                _ => self.locked.status,
            },
            fulfilment,
            returns: fulfilment::returns(units()),
        };
        store::units::put_lines(tx, order, &self.lines).await?;
        store::units::put_standing(tx, order, standing, now).await?;
        if standing.status != self.locked.status {
            let status = standing.status;
            let data = serde_json::json!({ "status": status });
            self.note("status_changed", "service:order", data);
            self.events.push(context.event(order, &StatusChanged { order, status }));
        }
        store::append_history(tx, &self.history, now).await?;
        outbox::append(tx, &self.events).await
    }
}

pub(crate) fn conflict(order: OrderId, detail: &str) -> Failure {
    Failure::new(Code::OrderStateConflict, detail).about(order.to_string())
}

/// Who asks for what under which key.
pub(crate) struct Asked<'a> {
    pub(crate) who: &'a str,
    pub(crate) key: &'a str,
    pub(crate) fingerprint: &'a [u8],
}

/// Remembers a key; `false` when this very operation was done before.
pub(crate) async fn fresh(
    tx: &mut Tx<'_, '_>,
    order: OrderId,
    asked: &Asked<'_>,
) -> Result<bool, TransactionError<Failure>> {
    match store::saga::remember_key(tx, asked.who, asked.key, order, asked.fingerprint).await? {
        KeyOutcome::Reused => Err(TransactionError::Refused(Failure::from(Code::IdempotencyKeyReused))),
        KeyOutcome::Same => Ok(false),
        KeyOutcome::New => Ok(true),
    }
}

/// Writes runs that begin; whoever asked leads them on at once, and after a while anybody does.
pub(crate) async fn begin(
    tx: &mut Tx<'_, '_>,
    order: OrderId,
    asked: &Asked<'_>,
    works: Vec<(Uuid, Run, Work)>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut begun = Vec::with_capacity(works.len());
    for (id, run, work) in works {
        let (who, key) = (asked.who.to_owned(), asked.key.to_owned());
        let begun_at = run.since;
        let stored = StoredRun { id, order, run, work, reason: None, attempts: 0, begun_at, who, key };
        store::runs::insert(tx, &stored, begun_at.plus_s(LEASE_S)).await?;
        begun.push(id);
    }
    Ok(begun)
}

/// Leads runs on as far as they come now. When nothing came of any of them, says why.
pub(crate) async fn lead(sagas: &Sagas, context: &RequestContext, runs: Vec<Uuid>) -> Result<(), Failure> {
    let (mut undone, mut other) = (None, runs.is_empty());
    for id in runs {
        // It goes on when the asker goes away.
        let (sagas, context) = (sagas.clone(), context.clone());
        let led = sagas.context.clone().tasks().request(async move { go(&sagas, &context, id).await });
        match led.await.map_err(|_| Failure::internal())? {
            Ok(Some(StoredRun { run, reason: Some(reason), .. })) if run.is_over() => undone = Some(reason),
            Ok(_) => other = true,
            Err(failure) => {
                tracing::warn!(%failure, run = %id, "a saga could not be led on; it stays due");
                other = true;
            }
        }
    }
    undone.filter(|_| !other).map_or(Ok(()), Err)
}

async fn go(sagas: &Sagas, request_context: &RequestContext, id: Uuid) -> Result<Option<StoredRun>, Failure> {
    let context = &sagas.context;
    loop {
        let run = store::runs::read(context.postgres().pool(), id).await.map_err(DatabaseError::from)?;
        let Some(run) = run else { return Ok(None) };
        let Some(action) = run.run.action() else { return Ok(Some(run)) };
        let step = format!("{}_{}", run.run.kind.as_str(), run.run.step());
        context.failpoints().hit(&format!("order.before_{step}")).await;
        let heard = ask::ask(sagas, request_context, &run, action).await;
        context.failpoints().hit(&format!("order.after_{step}")).await;
        let silent = heard.word == Word::Silence;
        hear(sagas, &run, &heard).await?;
        if silent {
            return Ok(Some(run));
        }
    }
}

/// What was heard about an action.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) word: Word,
    /// Who said it, when a person did, and what the history calls that.
    pub(crate) by: Option<(String, &'static str)>,
    /// Why it was refused.
    pub(crate) reason: Option<Failure>,
    /// From where the goods were taken.
    pub(crate) taken: Vec<Taken>,
}

impl Heard {
    pub(crate) const fn word(word: Word) -> Self {
        Self { word, by: None, reason: None, taken: Vec::new() }
    }
}

/// Decides and commits what was heard about the step in which the run was `seen`. When it is in another step by now,
/// somebody else has heard it too.
pub(crate) async fn hear(sagas: &Sagas, seen: &StoredRun, heard: &Heard) -> Result<(), Failure> {
    let context = &sagas.context;
    // Its content is all that is looked at here; what happened to its units is read under the lock.
    let stored = store::read::order_alone(context.postgres().pool(), seen.order).await.map_err(DatabaseError::from)?;
    let stored = &stored.ok_or(Code::OrderNotFound)?;
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                let moving = Moving::any(&mut tx, stored).await?;
                let Some(mut run) = store::runs::lock(&mut tx, seen.id).await? else { return Ok(()) };
                if (run.run.at, run.run.way) != (seen.run.at, seen.run.way) {
                    return Ok(());
                }
                let next = run
                    .run
                    .hear(heard.word, now)
                    .map_err(|refused| TransactionError::Refused(Failure::new(Code::Conflict, refused.to_string())))?;
                let same = (next.run.at, next.run.way) == (run.run.at, run.run.way);
                run.attempts = if same { run.attempts.saturating_add(1) } else { 0 };
                run.run = next.run;
                if !heard.taken.is_empty() {
                    run.work.taken.clone_from(&heard.taken);
                }
                match heard.word {
                    Word::Refused => run.reason.clone_from(&heard.reason),
                    Word::Retry => run.reason = None,
                    _ => {}
                }
                if let Some((who, what)) = &heard.by {
                    let data = serde_json::json!({ "saga": run.run.kind, "step": seen.run.step() });
                    let entry = Entry { order: run.order, what, who: who.clone(), data };
                    store::append_history(&mut tx, &[entry], now).await?;
                }
                if let Some(kind) = next.exception {
                    store::saga::insert_exceptions(&mut tx, &[(run.order, kind)], now).await?;
                }
                let due = next.action.map(|_| again(now, run.attempts));
                store::runs::update(&mut tx, &run, due).await?;
                if run.run.is_over() {
                    effects::end(context, &mut tx, moving, &run).await?;
                }
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    sagas.waiters.ring(seen.order);
    Ok(())
}

/// When an action that is not answered is asked again.
fn again(now: Timestamp, attempts: i32) -> Timestamp {
    let doublings = u32::try_from(attempts.clamp(0, 6)).unwrap_or(0);
    now.plus_s(AGAIN_AFTER_S.saturating_mul(1 << doublings).min(AGAIN_AFTER_MAX_S))
}

/// Leads on what is due until the process stops.
pub(crate) async fn run(sagas: Sagas) {
    let context = &sagas.context;
    let room = Arc::new(Semaphore::new(usize::try_from(LEASE_MAX).unwrap_or(1)));
    while !context.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
        let now = context.clock().now();
        let free = i64::try_from(room.available_permits()).unwrap_or(0);
        if free == 0 {
            continue;
        }
        let due = match store::runs::lease(context.postgres().pool(), now, now.plus_s(LEASE_S), free).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "sagas could not be looked for");
                continue;
            }
        };
        for id in due {
            let Ok(permit) = room.clone().try_acquire_owned() else { break };
            let sagas = sagas.clone();
            drop(context.tasks().request(async move {
                let request_context = sagas.context.request_context();
                if let Err(failure) = go(&sagas, &request_context, id).await {
                    tracing::warn!(%failure, run = %id, "a saga could not be led on; it stays due");
                }
                drop(permit);
            }));
        }
    }
}
