//! Opening intents: a batch of orders in one transaction, each once.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Currency, Failure, Timestamp,
    id::{AttemptId, IntentId, OrderId},
    ledger::{Booked, MerchantShare},
    limits::PAYMENT_ATTEMPTS_PER_HOUR_MAX,
    message::payment::{IntentState, OpenAsk},
    money::Money,
    order::PaymentStatus,
    payment::Facts,
};
use bodega_platform::{Context, TransactionError, Tx, halving};

use super::{Command, Engine, due};
use crate::{
    intent::{AttemptAsk, Intent, parcels::Parcels},
    job::Job,
    limits::PLATFORM_FEE_BP,
    store::{self, opening::NewIntent},
};

/// Seconds after which an attempt that was refused for the limit may be tried again.
const LIMIT_RETRY_S: u32 = 600;

/// Refuses one attempt too many.
pub(super) fn within_limit(begun: i64) -> Result<(), Failure> {
    if begun < PAYMENT_ATTEMPTS_PER_HOUR_MAX {
        return Ok(());
    }
    let detail = "Too many payment attempts within an hour.";
    Err(Failure::new(Code::TooManyUnpaid, detail).retry_after_s(LIMIT_RETRY_S))
}

/// An ask with ids for what it may become.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) ask: OpenAsk,
    pub(crate) intent: IntentId,
    pub(crate) attempt: AttemptId,
    pub(crate) shares: Vec<MerchantShare>,
}

impl Opening {
    /// Checks an ask: the shares have to add up to the amount, in its currency.
    ///
    /// # Errors
    /// `validation_failed`.
    pub(crate) fn check(ask: OpenAsk, intent: IntentId, attempt: AttemptId) -> Result<Self, Failure> {
        let wrong = || {
            let detail = "The shares have to add up to the amount, in its currency.";
            Failure::from(Code::ValidationFailed).field("/shares", "sum_mismatch", detail)
        };
        let mut by_merchant: BTreeMap<_, (Money, Money)> = BTreeMap::new();
        let zero = Money::zero(ask.amount.currency());
        for share in &ask.shares {
            let (net, tax) = by_merchant.entry(share.merchant).or_insert((zero, zero));
            *net = net.checked_add(share.net).map_err(|_| wrong())?;
            *tax = tax.checked_add(share.tax).map_err(|_| wrong())?;
        }
        let shares = by_merchant
            .into_iter()
            .map(|(merchant, (net, tax))| MerchantShare::new(merchant, net, tax, PLATFORM_FEE_BP))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong())?;
        let sum: i64 = shares.iter().map(|share| share.payable + share.tax + share.fee).sum();
        if sum != ask.amount.amount() || ask.amount.amount() < 0 {
            return Err(wrong());
        }
        Ok(Self { ask, intent, attempt, shares })
    }

    fn attempt_ask(&self) -> AttemptAsk {
        AttemptAsk {
            id: self.attempt,
            buyer: self.ask.owner.to_string(),
            provider: self.ask.provider.clone(),
            method: self.ask.method.clone(),
            key: self.ask.attempt_key.clone(),
            return_url: self.ask.return_url.clone(),
        }
    }

    /// The intent as it begins: with its first attempt, or without when the buyer has begun too many.
    fn intent(&self, attempted: bool, known_provider: bool, now: Timestamp) -> Intent {
        let mut facts = Facts::default();
        // A provider that nobody knows refuses at once.
        let refused_here = attempted && !known_provider;
        if refused_here {
            facts.refused.insert(self.attempt.to_string());
        }
        let status = match (self.ask.amount.amount(), refused_here) {
            (0, _) => PaymentStatus::Captured,
            (_, true) => PaymentStatus::Refused,
            _ => PaymentStatus::Pending,
        };
        Intent {
            id: self.intent,
            order: self.ask.order,
            buyer: self.ask.owner.to_string(),
            provider: self.ask.provider.clone(),
            reference: None,
            amount: self.ask.amount,
            facts,
            capture_claimed: 0,
            refund_claimed: 0,
            booked: Booked::default(),
            closing: false,
            capture_failed: false,
            late_returned: false,
            late_held_until: None,
            parcels: Parcels::default(),
            attempts: i32::from(attempted),
            last_attempt: attempted.then_some(self.attempt),
            last_attempted_at: attempted.then_some(now),
            last_reference: refused_here.then(|| self.attempt.to_string()),
            last_unknown: false,
            status,
            revision: 1,
        }
    }
}

impl Opening {
    /// An intent that is closed from the start: the money that should have paid it is gone.
    fn closed(&self, now: Timestamp) -> Intent {
        let mut intent = self.intent(false, true, now);
        intent.facts.cancelled = true;
        intent.closing = true;
        intent.status = PaymentStatus::Cancelled;
        intent
    }
}

/// Late money that waits pays the orders that were made again with it. Gives the intents that pay another order now.
async fn take_over(
    tx: &mut Tx<'_, '_>,
    part: &[Opening],
    now: Timestamp,
) -> Result<BTreeMap<OrderId, IntentState>, sqlx::Error> {
    let asked: Vec<(&Opening, OrderId)> = part.iter().filter_map(|o| Some((o, o.ask.takes_over?))).collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Both orders of each, under one lock: what was taken over already belongs to the new one.
    let orders = asked.iter().flat_map(|(opening, old)| [opening.ask.order, *old]);
    let mut by_order: BTreeMap<OrderId, Intent> =
        store::intents::lock(tx, [], orders).await?.into_iter().map(|intent| (intent.order, intent)).collect();
    let mut given = Vec::new();
    for (opening, old) in asked {
        let (order, owner) = (opening.ask.order, opening.ask.owner.to_string());
        let pays = |intent: &Intent| intent.could_pay(opening.ask.amount);
        if by_order.contains_key(&order) || !by_order.get(&old).is_some_and(pays) {
            continue;
        }
        if let Some(mut intent) = by_order.remove(&old) {
            intent.take_over(order, owner);
            given.push(intent.clone());
            by_order.insert(order, intent);
        }
    }
    let given: Vec<&Intent> = given.iter().collect();
    store::intents::give_to_their_orders(tx, &given).await?;
    store::intents::save(tx, &given, now).await?;
    Ok(given.into_iter().map(|intent| (intent.order, intent.state())).collect())
}

impl Engine {
    /// Opens a batch; an ask that the database refuses fails alone.
    pub(crate) async fn open(
        &self,
        batch: Vec<Opening>,
        known: impl Fn(&str) -> bool + Copy + Send + Sync,
    ) -> Vec<Result<IntentState, Failure>> {
        let isolate = |failure: &Failure| failure.code == Code::Internal;
        halving(&batch, isolate, async |part: &[Opening]| self.open_part(part, known).await).await
    }

    async fn open_part(
        &self,
        part: &[Opening],
        known: impl Fn(&str) -> bool + Copy + Send + Sync,
    ) -> Result<Vec<IntentState>, Failure> {
        let now = self.context.clock().now();
        let (states, jobs) = self
            .context
            .postgres()
            .transaction(|mut tx| {
                Box::pin(async move { Ok::<_, TransactionError<Failure>>(write(&mut tx, part, known, now).await?) })
            })
            .await
            .map_err(Failure::from)?;
        self.context.failpoints().hit("payment.after_open").await;
        self.leave(jobs, Vec::new());
        let missing = || Failure::internal();
        part.iter().map(|opening| states.get(&opening.ask.order).cloned().ok_or_else(missing)).collect()
    }
}

/// Closing what was never opened leaves a closed intent behind, so that an ask that comes late opens nothing.
pub(super) async fn tombstones(
    tx: &mut Tx<'_, '_>,
    context: &Context,
    batch: &[Command],
    known: &[Intent],
    now: Timestamp,
) -> Result<Vec<Intent>, sqlx::Error> {
    let known: BTreeSet<OrderId> = known.iter().map(|intent| intent.order).collect();
    let unknown: BTreeSet<OrderId> = batch
        .iter()
        .filter_map(|command| match command {
            Command::Close(order) if !known.contains(order) => Some(*order),
            _ => None,
        })
        .collect();
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let buried = |order: &OrderId| NewIntent { intent: never_opened(*order, context, now), shares: &[], attempt: None };
    let buried: Vec<NewIntent<'_>> = unknown.iter().map(buried).collect();
    store::opening::insert(tx, &buried, now).await?;
    // One that was opened in this very moment is found here instead.
    store::intents::lock(tx, [], unknown).await
}

/// An intent that nobody was asked to pay. Its amount is not known here: one minor unit is more than was ever taken.
fn never_opened(order: OrderId, context: &Context, now: Timestamp) -> Intent {
    let one = Money::new(1, Currency::EUR).unwrap_or(Money::zero(Currency::EUR));
    Intent {
        id: IntentId::new(now.unix_ms(), context.entropy().bytes()),
        order,
        buyer: String::new(),
        provider: String::new(),
        reference: None,
        amount: one,
        facts: Facts::default(),
        capture_claimed: 0,
        refund_claimed: 0,
        booked: Booked::default(),
        closing: false,
        capture_failed: false,
        late_returned: false,
        late_held_until: None,
        parcels: Parcels::default(),
        attempts: 0,
        last_attempt: None,
        last_attempted_at: None,
        last_reference: None,
        last_unknown: false,
        status: PaymentStatus::Pending,
        revision: 1,
    }
}

async fn write(
    tx: &mut Tx<'_, '_>,
    part: &[Opening],
    known: impl Fn(&str) -> bool + Send,
    now: Timestamp,
) -> Result<(BTreeMap<OrderId, IntentState>, Vec<Job>), sqlx::Error> {
    let taken_over = take_over(tx, part, now).await?;
    let buyers: BTreeSet<String> = part.iter().map(|opening| opening.ask.owner.to_string()).collect();
    let mut begun = store::opening::attempts_since(tx, buyers.into_iter().collect(), now.plus_min(-60)).await?;
    let mut asked: BTreeMap<OrderId, NewIntent<'_>> = BTreeMap::new();
    for opening in part {
        if asked.contains_key(&opening.ask.order) || taken_over.contains_key(&opening.ask.order) {
            continue;
        }
        // With money of another order nobody has asked this shopper to pay.
        let intent = if opening.ask.takes_over.is_some() {
            opening.closed(now)
        } else {
            let count = begun.entry(opening.ask.owner.to_string()).or_default();
            let attempted = within_limit(*count).is_ok() && opening.ask.amount.amount() > 0;
            *count += i64::from(attempted);
            opening.intent(attempted, known(&opening.ask.provider), now)
        };
        let ask = intent.last_attempt.map(|_| opening.attempt_ask());
        let is_called = intent.status == PaymentStatus::Pending;
        let attempt = ask.map(|ask| {
            let call = is_called.then(|| due(&Job::of_attempt(&intent, &ask, now)));
            (ask, call)
        });
        asked.insert(opening.ask.order, NewIntent { intent, shares: &opening.shares, attempt });
    }
    let asked: Vec<NewIntent<'_>> = asked.into_values().collect();
    let new: BTreeSet<IntentId> = store::opening::insert(tx, &asked, now).await?.into_iter().collect();
    let (mut states, mut jobs, mut old) = (taken_over, Vec::new(), Vec::new());
    for NewIntent { intent, attempt, .. } in &asked {
        if !new.contains(&intent.id) {
            old.push(intent.order);
            continue;
        }
        states.insert(intent.order, intent.state());
        if let Some((ask, Some(_))) = attempt {
            jobs.push(Job::of_attempt(intent, ask, now));
        }
    }
    if !old.is_empty() {
        for intent in store::intents::of_orders_in(tx, &old).await? {
            states.insert(intent.order, intent.state());
        }
    }
    Ok((states, jobs))
}
