//! What may be done with an intent: pure decisions on the row that is locked.
//!
//! Each takes the intent and what is asked or learned, changes the intent, and notes in [`Changes`] what has to be
//! written beside it. Nothing here reads a clock, a table or a network.

pub(crate) mod parcels;

use bodega_domain::{
    Code, Failure, Timestamp,
    id::{AttemptId, IntentId, MerchantId, OrderId, RefundId},
    ledger::{Booked, Known},
    message::payment::{IntentChanged, IntentState},
    money::Money,
    order::{NextAction, PaymentAmounts, PaymentStatus},
    payment::{self, Fact, Facts, LastAttempt},
};

use crate::{
    changes::{Changes, NewAttempt, NewException, NewRefund},
    job::{Job, JobKind, pause_ms},
    limits::{POLL_FIRST_MS, POLL_MAX_MS},
    provider::{Dispute, Seen},
};

use self::parcels::{Made, Parcels};

/// Key and reason of the refund that gives late money back.
pub(crate) const LATE_PAYMENT: &str = "late_payment";

/// A row of `intent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) id: IntentId,
    pub(crate) order: OrderId,
    pub(crate) buyer: String,
    pub(crate) provider: String,
    /// The provider's id of it.
    pub(crate) reference: Option<String>,
    pub(crate) amount: Money,
    pub(crate) facts: Facts,
    /// Minor units that the order asked us to take.
    pub(crate) capture_claimed: i64,
    /// Minor units that we gave back or are about to.
    pub(crate) refund_claimed: i64,
    pub(crate) booked: Booked,
    pub(crate) closing: bool,
    pub(crate) capture_failed: bool,
    /// Late money was sent back: once, a person sees to the rest.
    pub(crate) late_returned: bool,
    /// Late money waits until then, by its merchants' wish, for the order to be made again.
    pub(crate) late_held_until: Option<Timestamp>,
    pub(crate) parcels: Parcels,
    pub(crate) attempts: i32,
    pub(crate) last_attempt: Option<AttemptId>,
    pub(crate) last_attempted_at: Option<Timestamp>,
    pub(crate) last_reference: Option<String>,
    pub(crate) last_unknown: bool,
    pub(crate) status: PaymentStatus,
    pub(crate) revision: i64,
}

/// What an answer or a webhook taught about an intent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    /// The intent as the provider showed it.
    pub(crate) seen: Option<Seen>,
    /// Facts known without that.
    pub(crate) facts: Vec<Fact>,
    /// The dispute that they are about.
    pub(crate) dispute: Option<Dispute>,
    /// What became of an attempt.
    pub(crate) attempt: Option<(AttemptId, AttemptWord)>,
    /// The provider refuses to hand over the money, for good.
    pub(crate) capture_refused: bool,
    /// What became of a refund.
    pub(crate) refund: Option<RefundWord>,
    /// What becomes of the job that brought this.
    pub(crate) job: Option<(Job, JobWord)>,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum AttemptWord {
    /// The provider calls it so.
    Answered(String),
    /// Nobody knows yet.
    Unknown,
}

/// What became of a refund.
#[derive(Clone, Debug)]
pub(crate) struct RefundWord {
    pub(crate) refund: RefundId,
    pub(crate) amount: i64,
    /// The provider's code, when it refused for good.
    pub(crate) failed: Option<String>,
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobWord {
    /// It is done.
    Done,
    /// Again, after a pause that grows.
    Again,
    /// Again, unless the intent needs no asking any more.
    WhileOpen,
}

/// Money that came for an intent that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// There is none.
    None,
    /// It has just come.
    Fresh(Money),
    /// It waits for its order to be made again.
    Waiting,
    /// It has waited long enough.
    Due(Money),
    /// It has waited, and something else has become of it.
    Over,
}

/// An attempt that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct AttemptAsk {
    pub(crate) id: AttemptId,
    pub(crate) buyer: String,
    pub(crate) provider: String,
    pub(crate) method: String,
    pub(crate) key: String,
    pub(crate) return_url: Option<String>,
}

/// A refund that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct RefundAsk {
    pub(crate) id: RefundId,
    /// Absent for all that is left.
    pub(crate) amount: Option<Money>,
    /// Out of whose sale; absent for everybody's.
    pub(crate) merchant: Option<MerchantId>,
    pub(crate) key: String,
    pub(crate) reason: String,
}

impl Intent {
    fn last(&self) -> LastAttempt<'_> {
        match (&self.last_attempt, &self.last_reference) {
            (None, _) => LastAttempt::None,
            (Some(_), Some(reference)) => LastAttempt::Answered(reference),
            (Some(_), None) if self.last_unknown => LastAttempt::Unknown,
            (Some(_), None) => LastAttempt::Asked,
        }
    }

    /// An attempt whose outcome is not known yet may still make the intent at the provider.
    fn awaits_answer(&self) -> bool {
        matches!(self.last(), LastAttempt::Asked | LastAttempt::Unknown)
    }

    /// What is known of its money, for the books.
    pub(crate) fn known(&self) -> Known {
        Known {
            captured: self.facts.captured,
            refunded: self.facts.refunded,
            // A payment that does not match is nobody's until a person has looked at it.
            asked: if self.facts.mismatch { self.booked.applied } else { self.capture_claimed },
            disputed: self.facts.disputed,
        }
    }

    /// As others see it.
    pub(crate) fn state(&self) -> IntentState {
        let money = |amount: i64| Money::new(amount, self.amount.currency()).unwrap_or(self.amount);
        let url = payment::challenge(&self.facts, self.last());
        let url = url.filter(|_| self.status == PaymentStatus::RequiresAction);
        IntentState {
            order: self.order,
            intent: self.id,
            revision: self.revision,
            status: self.status,
            amount: self.amount,
            amounts: PaymentAmounts {
                authorised: money(self.facts.authorised),
                captured: money(self.facts.captured),
                refunded: money(self.facts.refunded),
            },
            next_action: url.map(|url| NextAction { r#type: "redirect".to_owned(), url: url.to_owned() }),
            attempts: u32::try_from(self.attempts).unwrap_or(0),
            attempted_at: self.last_attempted_at,
            closing: self.closing,
            claimed: self.is_asked_for(),
            cancelled: self.facts.cancelled,
            capture_failed: self.capture_failed,
            mismatch: self.facts.mismatch,
            held_until: self.late_held_until,
            at_shipment: self.parcels.at_shipment.clone(),
            capture_before: self.parcels.capture_before.filter(|_| self.parcels.waiting > 0),
        }
    }

    /// Derives the status anew, and when anything that others see is other than `before`, counts a revision.
    pub(crate) fn settle(&mut self, before: &Intent, changes: &mut Changes) {
        self.status = payment::status(self.wanted(), &self.facts, self.last());
        if *self == *before {
            return;
        }
        // That the order has asked for its money the order knows: a word about that alone would cost a round for nothing.
        let told = |intent: &Intent| IntentState { claimed: false, ..intent.state() };
        if told(self) != told(before) {
            self.revision = before.revision + 1;
            let event = IntentChanged { order: self.order, status: self.status, revision: self.revision };
            changes.events.push(event);
        }
        changes.touched.push(self.id);
    }

    /// Takes in what was learned.
    pub(crate) fn learn(&mut self, lesson: &Lesson, now: Timestamp, changes: &mut Changes) {
        let mut facts = lesson.facts.clone();
        if let Some(seen) = &lesson.seen {
            match &self.reference {
                None => self.reference = Some(seen.reference.clone()),
                Some(known) if *known != seen.reference => {
                    // Two intents at the provider for one of ours: what the second shows must not count for the first.
                    changes.exceptions.push(self.exception("second_intent"));
                    return self.finish(lesson, now, changes);
                }
                Some(_) => {}
            }
            facts.extend(seen.observation.facts(self.amount));
            self.parcels.in_parts |= seen.observation.in_parts;
            self.parcels.capture_before = self.parcels.capture_before.max(seen.observation.capture_before);
        }
        for fact in self.facts.learn_all(&facts) {
            if fact == Fact::Mismatch {
                changes.exceptions.push(self.exception("amount_mismatch"));
                // What was asked for before that was known is not asked for again.
                changes.jobs_done.push((JobKind::Capture, self.id.as_u128()));
            }
            if fact == Fact::Cancelled && self.parcels.waiting > 0 && !self.closing {
                // Goods were promised for this money, and it will never come.
                changes.exceptions.push(self.exception("authorisation_lost"));
            }
            if let Fact::Disputed(amount) = fact {
                changes.exceptions.push(self.disputed(amount, lesson.dispute.as_ref()));
            }
            changes.facts.push((self.id, fact));
        }
        self.refund_claimed = self.refund_claimed.max(self.facts.refunded);
        if self.facts.cancelled && self.facts.captured < self.capture_claimed {
            // What was asked for cannot be taken any more. Should it come all the same, nobody has asked for it.
            self.ask_no_more(changes);
            changes.jobs_done.push((JobKind::Capture, self.id.as_u128()));
        }
        if let Some((attempt, word)) = &lesson.attempt {
            self.learn_of_attempt(*attempt, word, changes);
        }
        if lesson.capture_refused && self.facts.captured < self.capture_claimed {
            self.capture_failed |= self.ask_no_more(changes);
        }
        if let Some(refund) = &lesson.refund {
            self.learn_of_refund(refund, changes);
        }
        self.finish(lesson, now, changes);
    }

    /// A person has to answer the bank, before its deadline.
    fn disputed(&self, amount: i64, dispute: Option<&Dispute>) -> NewException {
        let mut exception = self.exception("disputed");
        exception.detail["amount"] = amount.into();
        if let Some(Dispute { respond_before, reason, .. }) = dispute {
            exception.detail["respond_before"] = respond_before.map(|at| at.to_string()).into();
            exception.detail["reason"] = reason.clone().into();
        }
        exception
    }

    fn learn_of_attempt(&mut self, attempt: AttemptId, word: &AttemptWord, changes: &mut Changes) {
        changes.attempts_answered.push((attempt, word.clone()));
        if self.last_attempt != Some(attempt) {
            return;
        }
        match word {
            AttemptWord::Answered(reference) => {
                self.last_reference = Some(reference.clone());
                self.last_unknown = false;
            }
            AttemptWord::Unknown => self.last_unknown = true,
        }
    }

    fn learn_of_refund(&mut self, word: &RefundWord, changes: &mut Changes) {
        changes.refunds_answered.push((word.refund, self.id, word.failed.is_none()));
        if let Some(code) = &word.failed {
            self.refund_claimed = (self.refund_claimed - word.amount).max(self.facts.refunded);
            let mut exception = self.exception("refund_failed");
            exception.detail["code"] = code.clone().into();
            exception.detail["refund"] = word.refund.to_string().into();
            changes.exceptions.push(exception);
        }
    }

    /// What follows from the facts: jobs that end, go on or begin.
    fn finish(&mut self, lesson: &Lesson, now: Timestamp, changes: &mut Changes) {
        self.let_go(now, changes);
        let status = payment::status(self.wanted(), &self.facts, self.last());
        let open = matches!(status, PaymentStatus::Processing | PaymentStatus::RequiresAction);
        if let Some((job, word)) = &lesson.job {
            let again = match word {
                JobWord::Done => false,
                JobWord::Again => true,
                JobWord::WhileOpen => open,
            };
            if again {
                changes.jobs_again.push((job.clone(), now.plus_ms(pause_ms(job.kind, job.tries))));
            } else if job.kind == JobKind::Capture && self.facts.captured < self.capture_claimed {
                // More was asked for while this was being taken.
                changes.jobs_again.push((job.clone(), now));
            } else {
                changes.jobs_done.push((job.kind, job.subject));
            }
        }
        let polled = lesson.job.as_ref().is_some_and(|(job, _)| job.kind == JobKind::Poll);
        if open && !polled {
            let first = now.plus_ms(pause_ms(JobKind::Poll, 0).clamp(POLL_FIRST_MS, POLL_MAX_MS));
            changes.jobs_new.push(Job::of_intent(JobKind::Poll, self, first));
        }
    }

    /// What becomes of money that nobody asked for, of an intent that is closed: it goes back in full and once, at once or
    /// when its time is over.
    pub(crate) fn late_money(&self, now: Timestamp) -> Late {
        let asked = self.capture_claimed.max(self.booked.applied);
        let amount = self.facts.captured - asked - self.refund_claimed;
        let returns = self.closing && !self.late_returned && !self.facts.mismatch && amount > 0;
        match (Money::new(amount, self.amount.currency()), self.late_held_until) {
            (Ok(_), Some(until)) if returns && now < until => Late::Waiting,
            (Ok(amount), Some(_)) if returns => Late::Due(amount),
            (Ok(amount), None) if returns => Late::Fresh(amount),
            (_, Some(_)) => Late::Over,
            (_, None) => Late::None,
        }
    }

    /// Whether its late money could pay an order of this amount: all of it is there, and nothing of it on its way back.
    pub(crate) fn could_pay(&self, amount: Money) -> bool {
        let whole = self.facts.captured >= self.amount.amount() && self.amount == amount;
        let back = self.refund_claimed > 0 || self.facts.disputed > 0 || self.late_returned;
        self.closing && whole && !back && !self.facts.mismatch
    }

    /// Pays another order from now on, with the late money that waits.
    pub(crate) fn take_over(&mut self, order: OrderId, buyer: String) {
        self.order = order;
        self.buyer = buyer;
        self.closing = false;
        self.late_held_until = None;
        self.status = payment::status(self.amount.amount(), &self.facts, self.last());
        self.revision += 1;
    }

    /// Takes what was authorised, but for what waits until the goods of these merchants leave. What cannot be taken is left
    /// as it is: the state tells.
    pub(crate) fn capture(
        &mut self,
        put_off: Option<(&[MerchantId], &mut Made)>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let whole = self.amount.amount();
        if self.is_asked_for() || self.capture_failed || self.facts.mismatch || self.facts.authorised < whole {
            return;
        }
        if self.facts.cancelled && self.facts.captured < whole {
            return;
        }
        if self.refund_claimed > 0 {
            // Late money that is on its way back pays nothing any more.
            self.capture_failed = true;
            return;
        }
        if self.closing {
            // The money came while it was being closed, and the order goes on.
            self.closing = false;
            changes.jobs_done.push((JobKind::Cancel, self.id.as_u128()));
        }
        let due = put_off.map_or(whole, |(merchants, made)| self.put_off(merchants, made, changes));
        self.capture_claimed = due;
        if self.facts.captured < due {
            changes.jobs_new.push(Job::of_intent(JobKind::Capture, self, now));
        }
    }

    /// Begins no new attempt any more, and cancels at the provider what can still be authorised.
    pub(crate) fn close(&mut self, now: Timestamp, changes: &mut Changes) {
        if self.amount.amount() == 0 {
            // A gift is paid: there is nothing to close.
            return;
        }
        let was_closing = std::mem::replace(&mut self.closing, true);
        if self.facts.cancelled || self.facts.captured > 0 {
            return;
        }
        if self.reference.is_none() && !self.awaits_answer() {
            // The provider never heard of it: there is nothing to wait for.
            self.facts.learn(&Fact::Cancelled);
            changes.facts.push((self.id, Fact::Cancelled));
        } else if !was_closing {
            changes.jobs_new.push(Job::of_intent(JobKind::Cancel, self, now));
        }
    }

    /// Begins another attempt.
    ///
    /// # Errors
    /// When the intent is closed, paid, or the last attempt is still under way.
    pub(crate) fn attempt(&mut self, ask: &AttemptAsk, now: Timestamp, changes: &mut Changes) -> Result<(), Failure> {
        let may = match self.status {
            PaymentStatus::Pending => self.attempts == 0,
            PaymentStatus::Refused | PaymentStatus::RequiresAction => true,
            _ => false,
        };
        if !may || self.closing || self.facts.mismatch {
            return Err(Code::PaymentStateConflict.into());
        }
        if self.reference.is_some() && self.provider != ask.provider {
            return Err(Failure::new(Code::PaymentMethodUnknown, "This payment was begun with another provider."));
        }
        self.provider.clone_from(&ask.provider);
        self.attempts += 1;
        self.last_attempt = Some(ask.id);
        self.last_attempted_at = Some(now);
        self.last_reference = None;
        self.last_unknown = false;
        changes.attempts_new.push(NewAttempt { intent: self.id, ask: ask.clone() });
        changes.jobs_new.push(Job::of_attempt(self, ask, now));
        Ok(())
    }

    /// Claims money to be given back, and gives the amount. `most` is what is left of the sale that it is out of.
    ///
    /// # Errors
    /// When there is not so much, or in another currency.
    pub(crate) fn refund(
        &mut self,
        ask: &RefundAsk,
        most: Option<i64>,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<Money, Failure> {
        let left = self.facts.captured - self.refund_claimed;
        let left = most.map_or(left, |most| most.min(left));
        let currency = self.amount.currency();
        let amount = match ask.amount {
            Some(amount) if amount.currency() != currency => {
                return Err(Failure::from(Code::ValidationFailed).field(
                    "/amount/currency",
                    "currency_mismatch",
                    "Money is given back in the currency it was taken in.",
                ));
            }
            Some(amount) => amount.amount(),
            None => left,
        };
        if amount < 1 || amount > left {
            return Err(Code::AmountExceeded.into());
        }
        let amount = Money::new(amount, currency).map_err(|_| Failure::from(Code::AmountExceeded))?;
        self.refund_claimed += amount.amount();
        changes.refunds_new.push(NewRefund { intent: self.id, ask: ask.clone(), amount });
        changes.jobs_new.push(Job::of_refund(self, ask.id, amount, now));
        Ok(amount)
    }

    fn exception(&self, kind: &'static str) -> NewException {
        let detail = serde_json::json!({"intent": self.id, "amount": self.amount, "captured": self.facts.captured});
        NewException { order: self.order, intent: self.id, kind, detail }
    }
}

#[cfg(test)]
mod tests;
