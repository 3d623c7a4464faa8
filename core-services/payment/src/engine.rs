//! The one place where intents change: a batch of commands in one transaction, decided under the intents' locks, written
//! set-based; afterwards the calls that must be made and the news that must be told leave, and only then.

mod back;
mod booking;
mod open;

use std::{collections::BTreeMap, sync::Arc};

use bodega_domain::{
    Code, Failure, Timestamp,
    id::{IntentId, MerchantId, OrderId},
    ledger::MerchantShare,
    message::payment::{CalledOff, CaptureParcel, IntentState, ParcelMoney, RefundAnswer},
};
use bodega_platform::{Context, TransactionError, Tx, halving, outbox};
use tokio::sync::mpsc;

pub(crate) use open::Opening;

use crate::{
    changes::{Changes, RawWebhook},
    intent::{AttemptAsk, Intent, Lesson, RefundAsk, parcels::Made},
    job::{Job, JobKind},
    limits::{JOB_LEASE_MS, TELL_AGAIN_MS},
    store::{self, records::KnownRefund},
};

/// What may be done with an intent.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Something was learned.
    Learn { target: Target, lesson: Box<Lesson>, raw: Option<RawWebhook> },
    /// The order wants its money.
    Capture(OrderId),
    /// The order wants no payment any more.
    Close(OrderId),
    /// Goods are leaving, and their money is taken with them.
    CaptureParcel(CaptureParcel),
    /// Goods that had not left are called off; without a part all of the order.
    CallOff(OrderId, Option<CalledOff>, RefundAsk),
    /// The shopper tries again.
    Attempt(OrderId, AttemptAsk),
    /// Somebody gives money back.
    Refund(OrderId, RefundAsk),
}

/// Which intent a lesson is about.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Ours.
    Intent(IntentId),
    /// The one that a provider knows under this reference.
    Reference(String, String),
    /// None: the webhook is only kept.
    Nothing,
}

/// What comes of a command.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The intent as it is now.
    State(Box<IntentState>),
    /// The refund.
    Refund(RefundAnswer),
    /// What became of a parcel's money.
    Parcel(ParcelMoney),
    /// Nothing to say.
    Done,
}

/// Writes batches.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) context: Context,
    /// Calls to be made at once.
    pub(crate) jobs: mpsc::Sender<Job>,
    /// News to be told at once.
    pub(crate) news: mpsc::Sender<Arc<Intent>>,
}

/// What a committed batch leaves behind.
#[derive(Default)]
struct Written {
    replies: Vec<Result<Reply, Failure>>,
    jobs: Vec<Job>,
    news: Vec<Arc<Intent>>,
}

impl Engine {
    /// Writes a batch; a member that the database refuses fails alone.
    pub(crate) async fn write(&self, batch: Vec<Command>) -> Vec<Result<Reply, Failure>> {
        let isolate = |failure: &Failure| failure.code == Code::Internal;
        let written = halving(&batch, isolate, async |part: &[Command]| self.write_part(part).await).await;
        written.into_iter().map(|member| member.and_then(|reply| reply)).collect()
    }

    async fn write_part(&self, part: &[Command]) -> Result<Vec<Result<Reply, Failure>>, Failure> {
        let now = self.context.clock().now();
        let written: Written = self
            .context
            .postgres()
            .transaction(|mut tx| {
                Box::pin(async move { Ok::<_, TransactionError<Failure>>(self.run(&mut tx, part, now).await?) })
            })
            .await
            .map_err(Failure::from)?;
        if written.jobs.iter().any(|job| job.kind == JobKind::Capture) {
            self.context.failpoints().hit("payment.after_claim").await;
        }
        self.leave(written.jobs, written.news);
        Ok(written.replies)
    }

    /// After the commit: what cannot be done at once is found again by its row.
    fn leave(&self, jobs: Vec<Job>, news: Vec<Arc<Intent>>) {
        for job in jobs {
            let _ = self.jobs.try_send(job);
        }
        for intent in news {
            let _ = self.news.try_send(intent);
        }
    }

    async fn run(&self, tx: &mut Tx<'_, '_>, batch: &[Command], now: Timestamp) -> Result<Written, sqlx::Error> {
        let mut work = Work::load(tx, &self.context, batch, now).await?;
        let before = work.intents.clone();
        let replies = batch.iter().map(|command| work.decide(command, now)).collect();
        work.see_to_late_money(tx, &self.context, now).await?;
        booking::book(tx, &mut work.intents, &mut work.made, &mut work.changes).await?;
        self.save(tx, batch, &work, now).await?;
        let told = |intent: &&Intent| before.get(&intent.id).is_none_or(|old| old.revision < intent.revision);
        let news = work.intents.values().filter(told).map(|intent| Arc::new(intent.clone())).collect();
        let jobs = work.changes.jobs_new.into_iter().filter(|job| job.kind != JobKind::Poll).collect();
        Ok(Written { replies, jobs, news })
    }

    async fn save(
        &self,
        tx: &mut Tx<'_, '_>,
        batch: &[Command],
        work: &Work,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let Work { intents, changes, .. } = work;
        let mut touched = changes.touched.clone();
        touched.sort_unstable();
        touched.dedup();
        let rows: Vec<&Intent> = touched.iter().filter_map(|id| intents.get(id)).collect();
        let raw: Vec<(&RawWebhook, Option<&str>)> = batch
            .iter()
            .filter_map(|command| match command {
                Command::Learn { raw, target, .. } => Some((raw.as_ref()?, work.unknown(target))),
                _ => None,
            })
            .collect();
        let entropy = self.context.entropy();
        store::intents::save(tx, &rows, now.plus_ms(TELL_AGAIN_MS)).await?;
        store::records::insert_webhooks(tx, &raw, now).await?;
        store::records::insert_facts(tx, &changes.facts, now).await?;
        store::records::insert_attempts(tx, &changes.attempts_new, now).await?;
        store::records::answer_attempts(tx, &changes.attempts_answered).await?;
        store::records::answer_refunds(tx, &changes.refunds_answered).await?;
        store::records::insert_refunds(tx, &changes.refunds_new, now).await?;
        store::records::insert_exceptions(tx, &changes.exceptions, now, entropy).await?;
        store::parts::insert(tx, &changes.parts_new).await?;
        store::parts::refuse(tx, &changes.parts_refused).await?;
        store::ledger::insert(tx, &changes.transfers, now, entropy).await?;
        store::jobs::delete(tx, &changes.jobs_done).await?;
        store::jobs::put_off(tx, &changes.jobs_again).await?;
        store::jobs::insert(tx, &changes.jobs_new, due).await?;
        let events: Vec<_> = changes.events.iter().map(|event| self.context.event(event.order, event)).collect();
        outbox::append(tx, &events).await
    }
}

/// This process makes the call at once; another one takes it when this one did not come back.
pub(crate) fn due(job: &Job) -> Timestamp {
    if job.kind == JobKind::Poll { job.due_at } else { job.due_at.plus_ms(JOB_LEASE_MS) }
}

/// The intents of a batch under their locks, and what decisions need beside them.
struct Work {
    intents: BTreeMap<IntentId, Intent>,
    by_order: BTreeMap<OrderId, IntentId>,
    by_reference: BTreeMap<(String, String), IntentId>,
    /// Keys of attempts that are known already.
    attempts: Vec<(IntentId, String)>,
    /// Attempts of each buyer within the last hour.
    begun: BTreeMap<String, i64>,
    refunds: BTreeMap<IntentId, Vec<(String, KnownRefund)>>,
    /// Shares of intents out of one of which something is given back.
    shares: BTreeMap<IntentId, Vec<MerchantShare>>,
    /// Whose money waits until the goods leave, of intents whose order asks for its money.
    put_off: BTreeMap<IntentId, Vec<MerchantId>>,
    /// Intents of which money waits, or is about to.
    made: BTreeMap<IntentId, Made>,
    changes: Changes,
}

impl Work {
    async fn load(
        tx: &mut Tx<'_, '_>,
        context: &Context,
        batch: &[Command],
        now: Timestamp,
    ) -> Result<Self, sqlx::Error> {
        let (mut ids, mut orders, mut references) = (Vec::new(), Vec::new(), Vec::new());
        for command in batch {
            match command {
                Command::Learn { target: Target::Intent(id), .. } => ids.push(*id),
                Command::Learn { target: Target::Reference(provider, reference), .. } => {
                    references.push((provider.as_str(), reference.as_str()));
                }
                Command::Learn { target: Target::Nothing, .. } => {}
                Command::Capture(order)
                | Command::Close(order)
                | Command::CaptureParcel(CaptureParcel { order, .. })
                | Command::CallOff(order, ..)
                | Command::Attempt(order, _)
                | Command::Refund(order, _) => orders.push(*order),
            }
        }
        let by_reference = store::intents::find_by_reference(tx, &references).await?;
        ids.extend(by_reference.values());
        let mut locked = store::intents::lock(tx, ids, orders.clone()).await?;
        locked.extend(open::tombstones(tx, context, batch, &locked, now).await?);
        let intents: BTreeMap<_, _> = locked.into_iter().map(|intent| (intent.id, intent)).collect();
        let by_order: BTreeMap<_, _> = intents.values().map(|intent| (intent.order, intent.id)).collect();

        let (mut keys, mut buyers) = (Vec::new(), Vec::new());
        let (mut refunding, mut capturing) = (Vec::new(), Vec::new());
        for command in batch {
            match command {
                Command::Attempt(order, ask) => {
                    keys.extend(by_order.get(order).map(|id| (*id, ask.key.as_str())));
                    buyers.push(ask.buyer.clone());
                }
                Command::Refund(order, _) | Command::CallOff(order, ..) => refunding.extend(by_order.get(order)),
                Command::Capture(order) => capturing.extend(by_order.get(order)),
                _ => {}
            }
        }
        let put_off = store::parts::put_off(tx, &capturing).await?;
        let parcelled =
            intents.values().filter(|intent| !intent.parcels.at_shipment.is_empty()).map(|intent| intent.id);
        let made = store::parts::made(tx, &parcelled.chain(put_off.keys().copied()).collect()).await?;
        let attempts = store::records::known_attempts(tx, &keys).await?;
        let begun = store::opening::attempts_since(tx, buyers, now.plus_min(-60)).await?;
        let refunds = store::records::refunds_of(tx, &refunding).await?;
        let of_one = |command: &Command| match command {
            Command::Refund(order, ask) | Command::CallOff(order, _, ask) if ask.merchant.is_some() => {
                by_order.get(order).copied()
            }
            _ => None,
        };
        let shared: Vec<IntentId> = batch.iter().filter_map(of_one).collect();
        let shares = if shared.is_empty() { BTreeMap::new() } else { store::ledger::shares(tx, &shared).await? };
        let changes = Changes::default();
        Ok(Self { intents, by_order, by_reference, attempts, begun, refunds, shares, put_off, made, changes })
    }

    fn intent_of(&self, target: &Target) -> Option<IntentId> {
        match target {
            Target::Intent(id) => Some(*id),
            Target::Reference(provider, reference) => {
                self.by_reference.get(&(provider.clone(), reference.clone())).copied()
            }
            Target::Nothing => None,
        }
    }

    /// The provider's id that no payment of ours has, or not yet.
    fn unknown<'t>(&self, target: &'t Target) -> Option<&'t str> {
        match target {
            Target::Reference(_, reference) if self.intent_of(target).is_none() => Some(reference),
            _ => None,
        }
    }

    fn decide(&mut self, command: &Command, now: Timestamp) -> Result<Reply, Failure> {
        let id = match command {
            Command::Learn { target, .. } => self.intent_of(target),
            Command::Capture(order)
            | Command::Close(order)
            | Command::CaptureParcel(CaptureParcel { order, .. })
            | Command::CallOff(order, ..)
            | Command::Attempt(order, _)
            | Command::Refund(order, _) => self.by_order.get(order).copied(),
        };
        let Some(mut intent) = id.and_then(|id| self.intents.get(&id)).cloned() else {
            return match command {
                // Somebody else's payment at the same provider, or one whose id we do not know yet: `webhook_raw` keeps
                // it, and `early_words` looks again.
                Command::Learn { .. } => Ok(Reply::Done),
                _ => Err(Code::OrderNotFound.into()),
            };
        };
        let before = intent.clone();
        let reply = match command {
            Command::Learn { lesson, .. } => {
                intent.learn(lesson, now, &mut self.changes);
                if let Some((_, taken)) = self.changes.parts_refused.iter().rfind(|(of, _)| *of == intent.id) {
                    let made = self.made.entry(intent.id).or_default();
                    made.refuse(*taken);
                    intent.recount(made);
                }
                Ok(Reply::Done)
            }
            Command::Capture(_) => {
                let merchants = self.put_off.get(&intent.id).map(Vec::as_slice);
                let put_off = merchants.zip(self.made.get_mut(&intent.id));
                intent.capture(put_off, now, &mut self.changes);
                Ok(Reply::Done)
            }
            Command::CaptureParcel(ask) => {
                let made = self.made.entry(intent.id).or_default();
                intent.capture_parcel(ask, made, now, &mut self.changes).map(Reply::Parcel)
            }
            Command::CallOff(_, part, ask) => self.call_off(&mut intent, *part, ask, now).map(Reply::Refund),
            Command::Close(_) => {
                intent.close(now, &mut self.changes);
                Ok(Reply::Done)
            }
            Command::Attempt(_, ask) => self.attempt(&mut intent, ask, now).map(|()| Reply::Done),
            Command::Refund(_, ask) => self.refund(&mut intent, ask, now).map(Reply::Refund),
        };
        if reply.is_ok() {
            intent.settle(&before, &mut self.changes);
        }
        let reply = reply.map(|reply| match reply {
            Reply::Done if !matches!(command, Command::Learn { .. }) => Reply::State(Box::new(intent.state())),
            reply => reply,
        });
        if reply.is_ok() {
            self.intents.insert(intent.id, intent);
        }
        reply
    }

    fn attempt(&mut self, intent: &mut Intent, ask: &AttemptAsk, now: Timestamp) -> Result<(), Failure> {
        if self.attempts.iter().any(|(id, key)| *id == intent.id && *key == ask.key) {
            return Ok(());
        }
        let begun = self.begun.entry(ask.buyer.clone()).or_default();
        open::within_limit(*begun)?;
        intent.attempt(ask, now, &mut self.changes)?;
        *begun += 1;
        self.attempts.push((intent.id, ask.key.clone()));
        Ok(())
    }
}
