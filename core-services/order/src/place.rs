//! Placing orders in batches: verify → hold → commit → open the payment.
//!
//! A single checkout is a batch of one; under load the batches grow by themselves. Refusals write nothing and are
//! evaluated again under the same key; only success is remembered. A crash after the hold is covered by the hold's
//! `ask_at`, a crash after the commit by the saga's row.

mod again;
mod commit;

pub(crate) use again::place_again;
pub(crate) use commit::SURELY_ENDED_AFTER_S;

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Failure, Money,
    failure::Validation,
    id::OrderId,
    limits::{HOLD_ASK_AFTER_S, SESSION_TOKEN_BYTES_MAX},
    message::{
        inventory::{Hold, HoldAsk, HoldLine, HoldVerdict},
        order::Place,
        payment::{Open, OpenAsk},
    },
    order::{PaymentAmounts, PaymentStatus, PaymentView},
    principal::Owner,
    quote::{self, QuoteContent},
    token::sha256,
};
use bodega_platform::{Context, DatabaseError, RequestContext};

use crate::{
    Sagas,
    content::{self, attempt_quotas, budget_quotas, unpaid_quotas},
    drive::{self, Told},
    store::{
        self,
        place::{ClaimOutcome, KnownKey, Look, Looked, NewOrder},
        read::StoredOrder,
    },
};

/// Bytes of a provider's name, a method or a bucket.
const NAME_BYTES_MAX: usize = 64;

/// Lines in one message to another service: some 200 bytes each, so a message stays below its limit.
const MESSAGE_LINES_MAX: usize = 3_000;

/// Seconds after which a buyer with too many attempts may try again.
const ATTEMPTS_RETRY_S: u32 = 600;

/// One checkout on its way to a writer.
pub(crate) struct PlaceJob {
    pub(crate) owner: Owner,
    pub(crate) request: Place,
    pub(crate) context: RequestContext,
}

impl PlaceJob {
    /// What makes it one.
    fn owner_and_key(&self) -> (String, String) {
        (self.owner.to_string(), self.request.key.clone())
    }
}

/// What a checkout is, without when it is asked: the same key with another fingerprint is another checkout.
fn fingerprint(request: &Place) -> Vec<u8> {
    let parsed =
        (&request.quote, &request.contact, &request.shipping_address, &request.billing_address, &request.payment);
    sha256(&serde_json::to_vec(&parsed).unwrap_or_default()).to_vec()
}

/// Places a batch. Answers each job with its order as committed, or with why there is none.
pub(crate) async fn place_batch(sagas: &Sagas, jobs: Vec<PlaceJob>) -> Vec<Result<StoredOrder, Failure>> {
    let mut batch = Batch::new(jobs);
    if let Err(failure) = batch.run(sagas).await {
        for outcome in batch.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *outcome = Some(Err(failure.clone()));
        }
    }
    // What is refused may have been placed since its key was looked for, by the same key in another batch: then that is
    // the answer, and neither that the quote was used nor that a limit is reached.
    if let Err(failure) = batch.answer_known(&sagas.context).await {
        tracing::warn!(%failure, "the keys of what was refused could not be looked for again");
    }
    batch.answers(&sagas.context).await
}

struct Batch {
    jobs: Vec<PlaceJob>,
    outcomes: Vec<Option<Result<OrderId, Failure>>>,
}

impl Batch {
    fn new(jobs: Vec<PlaceJob>) -> Self {
        let outcomes = jobs.iter().map(|_| None).collect();
        Self { jobs, outcomes }
    }

    /// One request keeps its own id on its way; a batch gets one of its own, and the line of each order names both.
    fn request_context(&self, context: &Context) -> RequestContext {
        match self.jobs.as_slice() {
            [job] => job.context.clone(),
            _ => context.request_context(),
        }
    }

    async fn run(&mut self, sagas: &Sagas) -> Result<(), Failure> {
        let context = &sagas.context;
        let orders = self.judge(context).await?;
        if orders.is_empty() {
            return Ok(());
        }
        let request_context = self.request_context(context);
        let held = self.hold(context, &request_context, orders).await?;
        if held.is_empty() {
            return Ok(());
        }
        context.failpoints().hit("order.after_hold").await;
        let placed = self.commit(context, &request_context, held).await;
        context.failpoints().hit("order.after_commit").await;
        if !placed.is_empty() {
            let sagas = sagas.clone();
            // The orders exist: nobody waits for the payment service to hear so.
            drop(context.tasks().request(async move { open(&sagas, &request_context, placed).await }));
        }
        Ok(())
    }

    /// The orders as committed, all in one read.
    async fn answers(self, context: &Context) -> Vec<Result<StoredOrder, Failure>> {
        let ids: BTreeSet<OrderId> = self.outcomes.iter().flatten().flatten().copied().collect();
        let ids: Vec<OrderId> = ids.into_iter().collect();
        let found = match ids.as_slice() {
            [] => Ok(BTreeMap::new()),
            ids => store::read::orders_of_ids(context.postgres().pool(), ids).await,
        };
        if let Err(error) = &found {
            tracing::warn!(%error, "orders that were placed could not be read");
        }
        let answer = |outcome: Option<Result<OrderId, Failure>>| {
            let id = outcome.unwrap_or_else(|| Err(Failure::internal()))?;
            match &found {
                Ok(found) => found.get(&id).cloned().ok_or_else(Failure::internal),
                // It exists, so it is never called failed: the same key tells.
                Err(_) => Err(Failure::from(Code::OutcomeUnknown).retry_after_s(1)),
            }
        };
        self.outcomes.into_iter().map(answer).collect()
    }

    /// Looks for the keys of what was refused once more.
    async fn answer_known(&mut self, context: &Context) -> Result<(), Failure> {
        let without = |outcome: &Option<Result<OrderId, Failure>>| !matches!(outcome, Some(Ok(_)));
        let open = self.jobs.iter().zip(&self.outcomes).filter(|(_, outcome)| without(outcome));
        let keys: Vec<(String, String)> = open.map(|(job, _)| job.owner_and_key()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let known = store::place::known_keys(context.postgres().pool(), &keys).await.map_err(DatabaseError::from)?;
        for (job, outcome) in self.jobs.iter().zip(&mut self.outcomes).filter(|(_, outcome)| without(outcome)) {
            if let Some(found) = known.get(&job.owner_and_key()) {
                *outcome = Some(answer_known(found, &fingerprint(&job.request)));
            }
        }
        Ok(())
    }

    /// Everything that can be judged without stock: keys, form, quote, deadline, claims, limits. The limits are looked at
    /// without a lock, so that who has too many open orders holds no stock; the commit counts again.
    async fn judge(&mut self, context: &Context) -> Result<Vec<(usize, NewOrder)>, Failure> {
        let mut orders = Vec::new();
        for (index, job) in self.jobs.iter().enumerate() {
            match new_order(context, job) {
                Ok(order) => orders.push((index, order)),
                Err(failure) => self.outcomes[index] = Some(Err(failure)),
            }
        }
        let look = Look {
            keys: self.jobs.iter().map(PlaceJob::owner_and_key).collect(),
            orders: orders.iter().map(|(_, order)| order.id()).collect(),
            quotas: quota_keys(orders.iter().map(|(_, order)| order)),
            attempts: attempt_keys(orders.iter().map(|(_, order)| order)),
            attempts_since: context.clock().now().plus_min(-content::ATTEMPTS_COUNT_MIN),
        };
        let looked = store::place::look(context.postgres().pool(), &look).await.map_err(DatabaseError::from)?;
        let Looked { known, claims, mut used } = looked;
        // A known key is answered before all else, even when its quote is gone.
        for (job, outcome) in self.jobs.iter().zip(&mut self.outcomes) {
            if let Some(found) = known.get(&job.owner_and_key()) {
                *outcome = Some(answer_known(found, &fingerprint(&job.request)));
            }
        }
        orders.retain(|(_, order)| !known.contains_key(&order.owner_and_key()));
        // What this batch lets through counts for those behind it, and repetitions of one order count once.
        let mut counted = BTreeSet::new();
        let now = context.clock().now();
        orders.retain(|(index, order)| {
            // A used quote is told from an expired one, so the claim is looked at first.
            let failure = match claims.get(&order.id()) {
                Some(outcome) => claimed(*outcome, order.id()),
                None if now >= order.content.expires => Code::QuoteExpired.into(),
                None if now > self.jobs[*index].request.deadline => Code::DeadlineExceeded.into(),
                None if counted.contains(&order.id()) => return true,
                None => match take_quotas(order, &mut used) {
                    Err(failure) => failure,
                    Ok(()) => return counted.insert(order.id()),
                },
            };
            self.outcomes[*index] = Some(Err(failure));
            false
        });
        Ok(orders)
    }

    /// Step A: stock for all of them, in one message.
    async fn hold(
        &mut self,
        context: &Context,
        request_context: &RequestContext,
        orders: Vec<(usize, NewOrder)>,
    ) -> Result<Vec<(usize, NewOrder)>, Failure> {
        let asks: Vec<HoldAsk> = orders
            .iter()
            .map(|(index, order)| HoldAsk {
                order: order.id(),
                lines: hold_lines(&order.content),
                ask_at: self.jobs[*index].request.deadline.plus_s(HOLD_ASK_AFTER_S),
            })
            .collect();
        let mut verdicts = Vec::with_capacity(asks.len());
        for asks in split(asks, |ask| ask.lines.len()) {
            let asked = asks.len();
            match context.bus().request(&Hold { asks }, request_context).await {
                Ok(answers) if answers.len() == asked => verdicts.extend(answers.into_iter().map(Some)),
                Ok(_) => {
                    tracing::error!("inventory answered another number of holds");
                    verdicts.extend((0..asked).map(|_| None));
                }
                Err(error) => {
                    tracing::warn!(%error, "stock could not be held; no order was made");
                    verdicts.extend((0..asked).map(|_| None));
                }
            }
        }
        let mut held = Vec::new();
        for ((index, order), verdict) in orders.into_iter().zip(verdicts) {
            match is_held(verdict, &order.content) {
                Ok(()) => held.push((index, order)),
                Err(failure) => self.outcomes[index] = Some(Err(failure)),
            }
        }
        Ok(held)
    }

    /// Step B: the orders exist when this has committed. Returns what opens their payments.
    ///
    /// What is refused here keeps its hold until inventory asks: voiding is final for an order id, and the shopper may
    /// well try the same quote again in a moment.
    async fn commit(
        &mut self,
        context: &Context,
        request_context: &RequestContext,
        held: Vec<(usize, NewOrder)>,
    ) -> Vec<OpenAsk> {
        let (indexes, orders): (Vec<usize>, Vec<NewOrder>) = held.into_iter().unzip();
        let deadlines: Vec<_> = indexes.iter().map(|index| self.jobs[*index].request.deadline).collect();
        let committed = commit::commit(context, &orders, &deadlines).await;
        let mut placed = Vec::new();
        for ((index, order), outcome) in indexes.into_iter().zip(&orders).zip(committed) {
            match outcome {
                commit::Committed::Placed => {
                    placed.push(order.open.clone());
                    let request_id = self.jobs[index].context.request_id;
                    tracing::info!(%request_id, batch = %request_context.request_id, order = %order.id(), "order placed");
                    self.outcomes[index] = Some(Ok(order.id()));
                }
                commit::Committed::Known(known) => {
                    self.outcomes[index] = Some(answer_known(&known, &order.fingerprint));
                }
                commit::Committed::Claimed(outcome) => self.outcomes[index] = Some(Err(claimed(outcome, order.id()))),
                commit::Committed::Refused(failure) | commit::Committed::Unknown(failure) => {
                    self.outcomes[index] = Some(Err(failure))
                }
            }
        }
        placed
    }
}

/// What inventory has said about an order.
fn is_held(verdict: Option<HoldVerdict>, content: &QuoteContent) -> Result<(), Failure> {
    match verdict {
        // Whatever was held is given back when inventory asks; surely there is no order.
        None => Err(Failure::from(Code::CoreUnavailable).retry_after_s(1)),
        Some(HoldVerdict::Held) => Ok(()),
        Some(HoldVerdict::Failed) => Err(Failure::internal()),
        Some(HoldVerdict::Voided) => Err(Code::QuoteExpired.into()),
        Some(HoldVerdict::Short(shortages)) => {
            let mut failure = Failure::from(Code::OutOfStock);
            for short in shortages {
                let line = content.lines.iter().find(|line| line.sku_no == short.sku_no);
                let (sku, title) = line.map_or(("?", "?"), |l| (l.sku.as_str(), l.title.as_str()));
                let detail = format!("{title}: {} wanted, {} available.", short.wanted, short.available);
                let code = if short.available == 0 { "sold_out" } else { "too_few" };
                failure = failure.field(format!("/lines/{sku}"), code, detail);
            }
            Err(failure)
        }
    }
}

/// Step C: intents for all of them, in one message. When it fails, the sagas' rows ask again.
async fn open(sagas: &Sagas, request_context: &RequestContext, asks: Vec<OpenAsk>) {
    let context = &sagas.context;
    let mut told = Vec::new();
    for asks in split(asks, |ask| ask.shares.len()) {
        match context.bus().request(&Open { asks }, request_context).await {
            Ok(intents) => {
                context.failpoints().hit("order.after_open").await;
                // Of an attempt that was just begun there is nothing to say yet; the rest is told nobody else.
                let words = intents.into_iter().filter(|i| i.status != PaymentStatus::Pending || i.attempts == 0);
                told.extend(words.map(|intent| (intent.order, Told::Intent(Box::new(intent)))));
            }
            Err(error) => tracing::warn!(%error, "payments are opened a little later"),
        }
    }
    if let Err(failure) = drive::tell(sagas, request_context, told).await {
        tracing::warn!(%failure, "words about new payments could not be taken in; they are asked for again");
    }
}

/// Splits a batch so that each part fits a message, however many lines its members have.
pub(crate) fn split<T>(members: Vec<T>, lines: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for member in members {
        let size = lines(&member) + 1;
        match parts.last_mut().filter(|_| size <= room) {
            Some(part) => {
                part.push(member);
                room -= size;
            }
            None => {
                parts.push(vec![member]);
                room = MESSAGE_LINES_MAX.saturating_sub(size);
            }
        }
    }
    parts
}

fn answer_known(known: &KnownKey, fingerprint: &[u8]) -> Result<OrderId, Failure> {
    if known.fingerprint == fingerprint { Ok(known.order) } else { Err(Code::IdempotencyKeyReused.into()) }
}

/// The keys of everything that these orders count against.
fn quota_keys<'a>(orders: impl Iterator<Item = &'a NewOrder>) -> Vec<String> {
    let keys: BTreeSet<&String> = orders.flat_map(NewOrder::quotas).map(|quota| &quota.key).collect();
    keys.into_iter().cloned().collect()
}

/// The keys of the counters of attempts of these orders.
fn attempt_keys<'a>(orders: impl Iterator<Item = &'a NewOrder>) -> Vec<String> {
    let keys: BTreeSet<&String> = orders.flat_map(|order| &order.attempts).map(|quota| &quota.key).collect();
    keys.into_iter().cloned().collect()
}

/// One attempt to pay too many.
pub(crate) fn too_many_attempts() -> Failure {
    Failure::new(Code::TooManyUnpaid, "Too many payment attempts within an hour.").retry_after_s(ATTEMPTS_RETRY_S)
}

/// Counts an order against its limits, or says which is reached; then nothing is counted.
fn take_quotas(order: &NewOrder, used: &mut BTreeMap<String, i64>) -> Result<(), Failure> {
    let full = |quota: &content::Quota| used.get(&quota.key).copied().unwrap_or(0) >= quota.limit;
    if order.unpaid.iter().any(full) {
        return Err(Failure::new(Code::TooManyUnpaid, "Pay or cancel your open orders first.").retry_after_s(60));
    }
    if order.attempts.iter().any(full) {
        return Err(too_many_attempts());
    }
    if order.budget.iter().any(full) {
        let detail = "A promotion of this quote is used up. Ask for a new quote.";
        return Err(Failure::new(Code::CodeNotApplicable, detail));
    }
    for quota in order.quotas().chain(&order.attempts) {
        *used.entry(quota.key.clone()).or_default() += 1;
    }
    Ok(())
}

fn claimed(outcome: ClaimOutcome, order: OrderId) -> Failure {
    match outcome {
        ClaimOutcome::Placed => Failure::from(Code::QuoteUsed).about(order.to_string()),
        ClaimOutcome::Abandoned => Code::QuoteExpired.into(),
    }
}

fn hold_lines(content: &QuoteContent) -> Vec<HoldLine> {
    let of =
        |line: &quote::QuoteLine| HoldLine { sku_no: line.sku_no, quantity: line.quantity, merchant: line.merchant };
    content.lines.iter().map(of).collect()
}

/// Checks one checkout by itself and turns it into the order that it wants to be.
fn new_order(context: &Context, job: &PlaceJob) -> Result<NewOrder, Failure> {
    let request = &job.request;
    let mut v = Validation::new();
    request.contact.validate("/contact", &mut v);
    request.shipping_address.validate("/shipping_address", &mut v);
    if let Some(billing) = &request.billing_address {
        billing.validate("/billing_address", &mut v);
    }
    for (pointer, text) in
        [("/payment/provider", &request.payment.provider), ("/payment/method", &request.payment.method)]
    {
        let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        v.check(fits, pointer, "invalid", "The name of a payment provider or method.");
    }
    let bucket = request.client_bucket.as_deref();
    let bucket_fits = bucket.is_none_or(|b| b.len() <= NAME_BYTES_MAX && b.bytes().all(|b| b.is_ascii_graphic()));
    v.check(bucket_fits, "/client_bucket", "invalid", "A short word.");
    let url = request.return_url.as_deref().unwrap_or_default();
    v.check(url.len() <= SESSION_TOKEN_BYTES_MAX, "/return_url", "too_long", "At most 1,024 bytes.");
    v.check(!url.chars().any(char::is_control), "/return_url", "control_character", "This is not an address.");
    v.finish()?;
    if !context.config().payment.providers.contains_key(&request.payment.provider) {
        return Err(Failure::from(Code::PaymentMethodUnknown).field(
            "/payment/provider",
            "unknown",
            "This payment provider is not offered.",
        ));
    }
    let content = quote::verify(&context.config().keys.quote, &request.quote, job.owner)?.into_content();
    let at = request.shipping_address.destination();
    let quoted = &content.destination;
    let mut mismatch = Failure::from(Code::QuoteMismatch);
    for (field, same) in [
        ("country", at.country == quoted.country),
        ("region", at.region == quoted.region),
        ("postal_code", at.postal_code == quoted.postal_code),
    ] {
        if !same {
            let detail = "The quote was made for another destination. Ask for a new one.";
            mismatch = mismatch.field(format!("/shipping_address/{field}"), "differs", detail);
        }
    }
    if !mismatch.fields.is_empty() {
        return Err(mismatch);
    }
    let open = content::open_ask(&content, &request.payment, &request.key, request.return_url.clone())?;
    let zero = Money::zero(content.currency);
    let unpaid = unpaid_quotas(job.owner, bucket);
    // A gift is paid without an attempt.
    let attempted = unpaid.iter().filter(|_| content.totals.total.amount() > 0).map(|quota| quota.key.as_str());
    let attempts = attempt_quotas(attempted);
    Ok(NewOrder {
        key: request.key.clone(),
        fingerprint: fingerprint(request),
        open,
        payment: PaymentView {
            status: PaymentStatus::Pending,
            amounts: PaymentAmounts { authorised: zero, captured: zero, refunded: zero },
            next_action: None,
            held_until: None,
            at_shipment: Vec::new(),
            capture_before: None,
        },
        unpaid,
        attempts,
        budget: budget_quotas(&content),
        contact: request.contact.clone(),
        shipping: request.shipping_address.clone(),
        billing: request.billing_address.clone(),
        again: None,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_long_orders_is_split_and_keeps_its_order() {
        let parts = split(vec![1_usize, 2_999, 10, 5_000, 3], |lines| *lines);
        assert_eq!(parts, [vec![1], vec![2_999], vec![10], vec![5_000], vec![3]]);
        let parts = split((0..128).map(|_| 1_usize).collect(), |lines| *lines);
        assert_eq!(parts.len(), 1, "ordinary orders travel together");
        assert!(split(Vec::<usize>::new(), |lines| *lines).is_empty());
    }
}
