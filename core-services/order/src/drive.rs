//! Drives the sagas: inputs are decided and committed, commands are sent after the commit and answered with new inputs.
//!
//! What runs here is only fast; what makes it sure is the saga's row: a command that was not answered is due again.

use std::{collections::BTreeMap, time::Duration};

use bodega_domain::{
    Failure, Timestamp,
    id::OrderId,
    message::{
        inventory::{HoldState, Post, Unpost},
        order::StatusChanged,
        payment::{CancelIntents, Capture, IntentState, Open, Refund, State},
    },
    order::{OrderStatus, PaymentView},
    saga::{Command, Input, Outcome, Step},
};
use bodega_platform::{CallError, Context, DatabaseError, RequestContext, TransactionError, Tx, outbox};

use crate::{
    Orders,
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
}

impl Told {
    fn input(&self) -> Input<'_> {
        match self {
            Told::Due => Input::Due,
            Told::Intent(intent) => Input::Intent(intent),
            Told::Hold(state) => Input::Hold(*state),
            Told::RefundBegun => Input::RefundBegun,
        }
    }
}

/// Drives what is due until the process stops.
pub(crate) async fn run(orders: Orders) {
    while !orders.context.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
        let now = orders.context.clock().now();
        let pool = orders.context.postgres().pool();
        match store::saga::lease(pool, now, now.plus_s(LEASE_S), LEASE_MAX).await {
            Ok(due) if due.is_empty() => {}
            Ok(due) => {
                let told = due.into_iter().map(|order| (order, Told::Due)).collect();
                let context = orders.context.request_context();
                if let Err(failure) = tell(&orders, &context, told).await {
                    tracing::warn!(%failure, "sagas could not be driven; they stay due");
                }
            }
            Err(error) => tracing::warn!(%error, "sagas could not be looked for"),
        }
    }
}

/// Decides and commits inputs, then sends the commands that follow, until nothing follows any more.
pub(crate) async fn tell(
    orders: &Orders,
    request_context: &RequestContext,
    told: Vec<(OrderId, Told)>,
) -> Result<(), Failure> {
    let commands = commit(orders, told).await?;
    follow(orders, request_context, commands).await
}

/// Sends commands that were committed to, and what follows from their answers.
pub(crate) async fn follow(
    orders: &Orders,
    request_context: &RequestContext,
    mut commands: Vec<(OrderId, Command)>,
) -> Result<(), Failure> {
    while !commands.is_empty() {
        let told = send(&orders.context, request_context, &commands).await;
        if told.is_empty() {
            return Ok(());
        }
        commands = commit(orders, told).await?;
    }
    Ok(())
}

/// Decides inputs in one transaction; returns the commands that it committed to.
pub(crate) async fn commit(orders: &Orders, told: Vec<(OrderId, Told)>) -> Result<Vec<(OrderId, Command)>, Failure> {
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let (context, told) = (&orders.context, &told);
    let (commands, changed) = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move { decide(context, &mut tx, told).await.map_err(TransactionError::<Failure>::from) })
        })
        .await?;
    for order in changed {
        orders.waiters.ring(order);
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
            if intent.revision <= locked.payment_revision && !asks_anew(locked) {
                continue;
            }
            if intent.revision > locked.payment_revision {
                locked.payment_revision = intent.revision;
                locked.payment = view_of(intent);
            }
        }
        let Ok(outcome) = locked.saga.decide(&told.input(), now) else { continue };
        writing.apply(context, locked, outcome, told, now);
    }
    writing.commit(tx, now).await
}

/// A step that has asked for something takes the answer even when its revision was heard of before.
fn asks_anew(locked: &LockedSaga) -> bool {
    matches!(locked.saga.step, Step::Opening | Step::Paying | Step::Capturing | Step::Closing(_))
}

/// The payment as shoppers see it.
fn view_of(intent: &IntentState) -> PaymentView {
    PaymentView { status: intent.status, amounts: intent.amounts, next_action: intent.next_action.clone() }
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
}

impl Writing {
    /// Takes one outcome in. `locked` keeps the saga for a further input of the same order.
    fn apply(&mut self, context: &Context, locked: &mut LockedSaga, outcome: Outcome, told: &Told, now: Timestamp) {
        let who = match told {
            Told::Due => "service:order",
            Told::Intent(_) | Told::RefundBegun => "service:payment",
            Told::Hold(_) => "service:inventory",
        };
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
        let status = if matches!(after.step, Step::Refunding(_)) { locked.status } else { after.status() };
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
        if !self.quotas.is_empty() {
            let keys: Vec<String> = self.quotas.keys().cloned().collect();
            store::place::lock_quotas(tx, &keys).await?;
            store::place::add_to_quotas(tx, &self.quotas).await?;
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

/// Sends commands, one message a kind, and returns what was answered. What is not answered stays due.
async fn send(
    context: &Context,
    request_context: &RequestContext,
    commands: &[(OrderId, Command)],
) -> Vec<(OrderId, Told)> {
    let mut by_kind: BTreeMap<u8, (Command, Vec<OrderId>)> = BTreeMap::new();
    for (order, command) in commands {
        by_kind.entry(*command as u8).or_insert((*command, Vec::new())).1.push(*order);
    }
    let mut told = Vec::new();
    for (command, orders) in by_kind.into_values() {
        let name = failpoint_of(command);
        context.failpoints().hit(&format!("order.before_{name}")).await;
        match send_one(context, request_context, command, &orders).await {
            Ok(answers) => {
                context.failpoints().hit(&format!("order.after_{name}")).await;
                told.extend(answers);
            }
            Err(error) => tracing::warn!(%error, command = name, orders = orders.len(), "asked again later"),
        }
    }
    told
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

async fn send_one(
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
                let refund =
                    Refund { order, amount: None, key: format!("cancel:{order}"), reason: "cancelled".to_owned() };
                match bus.request(&refund, request_context).await {
                    Ok(_) => begun.push((order, Told::RefundBegun)),
                    Err(error) => tracing::warn!(%error, %order, "the refund is asked for again later"),
                }
            }
            begun
        }
    })
}
