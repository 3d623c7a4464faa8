//! Drives the sagas: inputs are decided and committed, commands are sent after the commit and answered with new inputs.
//!
//! What runs here is only fast; what makes it sure is the saga's row: a command that was not answered is due again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bodega_domain::{
    Code, Failure, Timestamp,
    id::{MerchantId, OrderId},
    message::{
        inventory::{HoldState, Post, Unpost},
        order::StatusChanged,
        payment::{CallOff, CancelIntents, Capture, IntentState, Open, State},
    },
    order::{OrderStatus, PaymentView},
    saga::{Command, Input, Outcome, Step},
};
use bodega_platform::{CallError, Context, DatabaseError, RequestContext, TransactionError, Tx, halving, outbox};
use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::{
    Sagas,
    place::split,
    store::{
        self, Entry,
        saga::{ChangedSaga, LockedSaga},
    },
};

/// Milliseconds between two looks for sagas that are due.
const LOOK_EVERY_MS: u64 = 200;
/// Sagas taken at once.
const LEASE_MAX: i64 = 128;
/// Batches of sagas that are driven at once. More wait: whatever hangs then hangs for all.
const FOLLOWS_MAX: usize = 16;
/// Seconds for which a taken saga is nobody else's.
const LEASE_S: i64 = 10;
/// Seconds until a command that was just sent is sent again, doubled at each attempt.
const AGAIN_AFTER_S: i64 = 2;
/// Seconds between two attempts, at most.
const AGAIN_AFTER_MAX_S: i64 = 60;

/// An input that owns what it says.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Due,
    Intent(Box<IntentState>),
    Hold(HoldState),
    RefundBegun,
    LetGo,
}

impl Told {
    fn input(&self) -> Input<'_> {
        match self {
            Told::Due => Input::Due,
            Told::Intent(intent) => Input::Intent(intent),
            Told::Hold(state) => Input::Hold(*state),
            Told::RefundBegun => Input::RefundBegun,
            Told::LetGo => Input::LetGo,
        }
    }
}

/// Drives what is due until the process stops. A service that hangs delays what asks it, and nothing else.
pub(crate) async fn run(sagas: Sagas) {
    let context = &sagas.context;
    let follows = Arc::new(Semaphore::new(FOLLOWS_MAX));
    while !context.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
        // Room first: a saga that is taken is nobody else's for a while.
        let Ok(room) = follows.clone().try_acquire_owned() else { continue };
        let now = context.clock().now();
        match store::saga::lease(context.postgres().pool(), now, now.plus_s(LEASE_S), LEASE_MAX).await {
            Ok(due) if due.is_empty() => {}
            Ok(due) => {
                let told = due.into_iter().map(|order| (order, Told::Due)).collect();
                let sagas = sagas.clone();
                drop(context.tasks().request(async move {
                    let request_context = sagas.context.request_context();
                    if let Err(failure) = tell(&sagas, &request_context, told).await {
                        tracing::warn!(%failure, "sagas could not be driven; they stay due");
                    }
                    drop(room);
                }));
            }
            Err(error) => tracing::warn!(%error, "sagas could not be looked for"),
        }
    }
}

/// Decides and commits inputs, then sends the commands that follow, until nothing follows any more.
pub(crate) async fn tell(
    sagas: &Sagas,
    request_context: &RequestContext,
    told: Vec<(OrderId, Told)>,
) -> Result<(), Failure> {
    let (commands, committed) = commit(sagas, told).await;
    let followed = follow(sagas, request_context, commands).await;
    committed.and(followed)
}

/// Sends commands that were committed to, and what follows from their answers. The kinds go side by side, each with
/// what follows from it: an order has one command at a time, so its order of things stays.
pub(crate) async fn follow(
    sagas: &Sagas,
    request_context: &RequestContext,
    commands: Vec<(OrderId, Command)>,
) -> Result<(), Failure> {
    let mut by_kind: BTreeMap<u8, (Command, Vec<OrderId>)> = BTreeMap::new();
    for (order, command) in commands {
        by_kind.entry(command as u8).or_insert((command, Vec::new())).1.push(order);
    }
    let kinds = by_kind.into_values().map(|(command, orders)| async move {
        let told = send(&sagas.context, request_context, command, &orders).await;
        // Boxed, because what follows may follow again.
        Box::pin(tell(sagas, request_context, told)).await
    });
    join_all(kinds).await.into_iter().collect()
}

/// Decides inputs in one transaction; returns the commands that it committed to, and whether all went well. A batch
/// that the database refuses is halved until the culprit stands alone.
pub(crate) async fn commit(
    sagas: &Sagas,
    told: Vec<(OrderId, Told)>,
) -> (Vec<(OrderId, Command)>, Result<(), Failure>) {
    let isolate = |failure: &Failure| failure.code == Code::Internal;
    let parts = halving(&told, isolate, async |part: &[(OrderId, Told)]| commit_part(sagas, part).await);
    let (mut commands, mut committed) = (Vec::new(), Ok(()));
    for part in parts.await {
        match part {
            Ok(command) => commands.push(command),
            Err(failure) => committed = Err(failure),
        }
    }
    (commands, committed)
}

/// Decides a part of a batch as a whole.
async fn commit_part(sagas: &Sagas, told: &[(OrderId, Told)]) -> Result<Vec<(OrderId, Command)>, Failure> {
    let context = &sagas.context;
    let (commands, changed) = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move { decide(context, &mut tx, told).await.map_err(TransactionError::<Failure>::from) })
        })
        .await?;
    for order in changed {
        sagas.waiters.ring(order);
    }
    Ok(commands)
}

type Decided = (Vec<(OrderId, Command)>, Vec<OrderId>);

async fn decide(context: &Context, tx: &mut Tx<'_, '_>, told: &[(OrderId, Told)]) -> Result<Decided, sqlx::Error> {
    let now = context.clock().now();
    let ids: Vec<OrderId> = told.iter().map(|(order, _)| *order).collect();
    let mut sagas: BTreeMap<OrderId, LockedSaga> =
        store::saga::lock(tx, &ids).await?.into_iter().map(|locked| (locked.order, locked)).collect();
    let mut writing = Writing::default();
    for (order, told) in told {
        let Some(locked) = sagas.get_mut(order) else { continue };
        if let Told::Intent(intent) = told {
            // An older word says what is not true any more; the same one is the answer to who has just asked.
            let old = intent.revision < locked.payment_revision;
            if old || (intent.revision == locked.payment_revision && !asks_anew(locked)) {
                continue;
            }
            if intent.revision > locked.payment_revision {
                locked.payment_revision = intent.revision;
                let view = view_of(intent, &locked.payment);
                let before = std::mem::replace(&mut locked.payment, view);
                writing.note_money(locked, &before);
            }
            let taken = intent.amounts.captured.amount();
            if locked.saga.step == Step::Opening && taken > 0 && taken >= intent.amount.amount() {
                // Paid before anybody was asked: with the late money of an order that had ended.
                writing.paid_from_the_start.push(*order);
            }
        }
        let Ok(outcome) = locked.saga.decide(&told.input(), now) else { continue };
        if let (Told::Intent(intent), Step::Capturing, Step::Settled) = (told, locked.saga.step, outcome.saga.step) {
            writing.at_shipment.extend(intent.at_shipment.iter().map(|part| (*order, part.merchant)));
        }
        writing.apply(context, locked, outcome, told, now);
    }
    writing.commit(tx, now).await
}

/// A step that has asked for something takes the answer even when its revision was heard of before.
fn asks_anew(locked: &LockedSaga) -> bool {
    matches!(locked.saga.step, Step::Opening | Step::Paying | Step::Capturing | Step::Closing(_))
}

/// The payment as shoppers see it. Of one that was closed before it was opened payment does not know the currency: nothing
/// of it was paid in any.
fn view_of(intent: &IntentState, before: &PaymentView) -> PaymentView {
    let same = intent.amounts.captured.currency() == before.amounts.captured.currency();
    let amounts = if same { intent.amounts } else { before.amounts };
    let next_action = intent.next_action.clone();
    let (held_until, at_shipment) = (intent.held_until, intent.at_shipment.clone());
    let capture_before = intent.capture_before;
    PaymentView { status: intent.status, amounts, next_action, held_until, at_shipment, capture_before }
}

/// What a transaction over many sagas writes at its end.
#[derive(Default)]
pub(crate) struct Writing {
    changed: BTreeMap<OrderId, ChangedSaga>,
    history: Vec<Entry>,
    events: Vec<bodega_domain::event::Event>,
    exceptions: Vec<(OrderId, &'static str)>,
    quotas: BTreeMap<String, i64>,
    commands: BTreeMap<OrderId, Command>,
    paid_from_the_start: Vec<OrderId>,
    at_shipment: Vec<(OrderId, MerchantId)>,
}

impl Writing {
    /// Money that came when the order had ended, and money that went back.
    fn note_money(&mut self, locked: &LockedSaga, before: &PaymentView) {
        let held = locked.payment.held_until.filter(|_| before.held_until.is_none());
        let (now, before) = (&locked.payment.amounts, &before.amounts);
        let over = matches!(locked.saga.step, Step::Releasing(_) | Step::Ended(_));
        let mut note = |what, data| {
            self.history.push(Entry { order: locked.order, what, who: "service:payment".to_owned(), data });
        };
        if over && now.captured.amount() > before.captured.amount() {
            note("late_payment", serde_json::json!({ "captured": now.captured }));
        }
        if now.refunded.amount() > before.refunded.amount() {
            note("refunded", serde_json::json!({ "refunded": now.refunded }));
        }
        if let Some(until) = held.filter(|_| over) {
            note("late_money_held", serde_json::json!({ "until": until }));
            self.exceptions.push((locked.order, "late_money_held"));
        }
    }

    /// Takes one outcome in. `locked` keeps the saga for a further input of the same order.
    fn apply(&mut self, context: &Context, locked: &mut LockedSaga, outcome: Outcome, told: &Told, now: Timestamp) {
        let who = match told {
            Told::Due => "service:order",
            Told::Intent(_) | Told::RefundBegun => "service:payment",
            Told::Hold(_) | Told::LetGo => "service:inventory",
        };
        if matches!(told, Told::LetGo) && outcome.saga.step != locked.saga.step {
            let (order, who, data) = (locked.order, who.to_owned(), serde_json::json!({}));
            self.history.push(Entry { order, what: "stock_share_exceeded", who, data });
        }
        self.take(context, locked, outcome, who, now);
    }

    pub(crate) fn take(
        &mut self,
        context: &Context,
        locked: &mut LockedSaga,
        outcome: Outcome,
        who: &str,
        now: Timestamp,
    ) {
        let (before, after) = (locked.saga, outcome.saga);
        let order = locked.order;
        if before.step != after.step {
            locked.attempts = 0;
            let what = what_happened(after.step);
            let data = serde_json::json!({ "payment": locked.payment.status });
            self.history.push(Entry { order, what, who: who.to_owned(), data });
        } else if outcome.command.is_some() {
            locked.attempts = locked.attempts.saturating_add(1);
        }
        if let Some(kind) = outcome.exception {
            self.exceptions.push((order, kind));
        }
        locked.saga = after;
        // Money on its way back changes no status: a paid order stays paid, one that was never paid is not paid now.
        let status = match (after.step, locked.status) {
            (Step::Refunding(_), status) => status,
            // Paid it stays, however far its goods are.
            (Step::Settled, status @ (OrderStatus::InFulfilment | OrderStatus::Delivered | OrderStatus::Completed)) => {
                status
            }
            _ => after.status(),
        };
        self.follow_status(context, locked, status);
        if let Some(command) = outcome.command {
            self.commands.insert(order, command);
        }
        let due = due(locked, now);
        self.changed.insert(order, ChangedSaga { locked: locked.clone(), due });
    }

    /// Quotas and events follow the status.
    fn follow_status(&mut self, context: &Context, locked: &mut LockedSaga, status: OrderStatus) {
        if status == locked.status {
            return;
        }
        let mut back: Vec<String> = Vec::new();
        if locked.status == OrderStatus::AwaitingPayment {
            back.extend(locked.unpaid_quotas.iter().filter(|key| !key.is_empty()).cloned());
            if status != OrderStatus::Paid {
                back.extend(locked.budget_quotas.iter().filter(|key| !key.is_empty()).cloned());
            }
        }
        for key in back {
            *self.quotas.entry(key).or_default() -= 1;
        }
        locked.status = status;
        self.events.push(context.event(locked.order, &StatusChanged { order: locked.order, status }));
    }

    pub(crate) async fn commit(self, tx: &mut Tx<'_, '_>, now: Timestamp) -> Result<Decided, sqlx::Error> {
        let changed: Vec<ChangedSaga> = self.changed.into_values().collect();
        store::saga::update(tx, &changed).await?;
        store::append_history(tx, &self.history, now).await?;
        store::saga::insert_exceptions(tx, &self.exceptions, now).await?;
        store::reinstate::empty_what_paid(tx, &self.paid_from_the_start).await?;
        store::units::take_at_shipment(tx, &self.at_shipment).await?;
        if !self.quotas.is_empty() {
            let keys: Vec<String> = self.quotas.keys().cloned().collect();
            store::quotas::lock(tx, &keys).await?;
            store::quotas::change(tx, &self.quotas, &[], now).await?;
        }
        outbox::append(tx, &self.events).await?;
        let ids = changed.iter().map(|c| c.locked.order).collect();
        Ok((self.commands.into_iter().collect(), ids))
    }
}

/// When the step asks again. While the shopper pays, the deadline is what is waited for, and a word that got lost.
fn due(locked: &LockedSaga, now: Timestamp) -> Option<Timestamp> {
    if locked.saga.is_at_rest() {
        return None;
    }
    let doublings = u32::try_from(locked.attempts.clamp(0, 5)).unwrap_or(0);
    let pause = AGAIN_AFTER_S.saturating_mul(1 << doublings).min(AGAIN_AFTER_MAX_S);
    let again = now.plus_s(pause);
    match locked.saga.step {
        Step::Paying => Some(now.plus_s(AGAIN_AFTER_MAX_S / 4).min(locked.saga.pay_by)),
        _ => Some(again),
    }
}

/// The word of the history for a step that was just entered.
const fn what_happened(step: Step) -> &'static str {
    match step {
        Step::Opening => "placed",
        Step::Paying => "payment_opened",
        Step::Posting => "authorised",
        Step::Capturing => "stock_posted",
        Step::Settled => "paid",
        Step::Closing(_) => "payment_closing",
        Step::Refunding(_) => "refunding",
        Step::Releasing(_) => "stock_releasing",
        Step::Ended(_) => "ended",
    }
}

/// Sends one command for these orders and returns what was answered. What is not answered stays due.
async fn send(
    context: &Context,
    request_context: &RequestContext,
    command: Command,
    orders: &[OrderId],
) -> Vec<(OrderId, Told)> {
    let name = failpoint_of(command);
    context.failpoints().hit(&format!("order.before_{name}")).await;
    match ask(context, request_context, command, orders).await {
        Ok(answers) => {
            context.failpoints().hit(&format!("order.after_{name}")).await;
            answers
        }
        Err(error) => {
            tracing::warn!(%error, command = name, orders = orders.len(), "asked again later");
            Vec::new()
        }
    }
}

const fn failpoint_of(command: Command) -> &'static str {
    match command {
        Command::OpenIntent => "open",
        Command::AskIntent => "ask",
        Command::PostStock => "post",
        Command::Capture => "capture",
        Command::CloseIntent => "close",
        Command::Refund => "refund",
        Command::ReleaseStock => "release",
    }
}

async fn ask(
    context: &Context,
    request_context: &RequestContext,
    command: Command,
    orders: &[OrderId],
) -> Result<Vec<(OrderId, Told)>, CallError> {
    let bus = context.bus();
    let asked = orders.to_vec();
    let intents = |states: Vec<IntentState>| -> Vec<(OrderId, Told)> {
        states.into_iter().map(|intent| (intent.order, Told::Intent(Box::new(intent)))).collect()
    };
    let holds = |states: Vec<HoldState>| -> Vec<(OrderId, Told)> {
        orders.iter().copied().zip(states.into_iter().map(Told::Hold)).collect()
    };
    Ok(match command {
        Command::OpenIntent => {
            let asks = store::saga::open_asks(context.postgres().pool(), orders)
                .await
                .map_err(|error| CallError::Refused(DatabaseError::from(error).into()))?;
            let mut states = Vec::new();
            for asks in split(asks, |ask| ask.shares.len()) {
                states.extend(bus.request(&Open { asks }, request_context).await?);
            }
            intents(states)
        }
        Command::AskIntent => intents(bus.request(&State { orders: asked }, request_context).await?),
        Command::Capture => intents(bus.request(&Capture { orders: asked }, request_context).await?),
        Command::CloseIntent => intents(bus.request(&CancelIntents { orders: asked }, request_context).await?),
        Command::PostStock => holds(bus.request(&Post { orders: asked }, request_context).await?),
        Command::ReleaseStock => holds(bus.request(&Unpost { orders: asked }, request_context).await?),
        Command::Refund => {
            let mut begun = Vec::new();
            for order in asked {
                let (key, reason) = (format!("cancel:{order}"), "cancelled".to_owned());
                match bus.request(&CallOff { order, part: None, key, reason }, request_context).await {
                    Ok(_) => begun.push((order, Told::RefundBegun)),
                    Err(error) => tracing::warn!(%error, %order, "the refund is asked for again later"),
                }
            }
            begun
        }
    })
}
