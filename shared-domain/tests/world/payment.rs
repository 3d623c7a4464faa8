//! Payment: an intent as its service keeps it, and its calls to the provider.
//!
//! After `core-services/payment/src/{intent,work}.rs`, without books, policies and several providers. Facts, what they
//! mean and what an observation proves are the domain's.

use bodega_domain::{
    Timestamp,
    id::{IntentId, OrderId},
    message::payment::IntentState,
    order::{PaymentAmounts, PaymentStatus},
    payment::{Fact, Facts, LastAttempt, Observation, status},
};

use super::{
    eur,
    provider::{Charge, REFERENCES, Stage},
};

/// What the provider has still to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Job {
    Pay,
    Capture,
    Cancel,
    Refund,
}

impl Job {
    pub(crate) const ALL: [Job; 4] = [Job::Pay, Job::Capture, Job::Cancel, Job::Refund];
}

/// A row of `intent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) order: OrderId,
    pub(crate) amount: i64,
    pub(crate) facts: Facts,
    /// The provider has told its id of it.
    pub(crate) referenced: bool,
    pub(crate) capture_claimed: i64,
    pub(crate) refund_claimed: i64,
    pub(crate) closing: bool,
    pub(crate) capture_failed: bool,
    pub(crate) late_returned: bool,
    pub(crate) attempts: u8,
    /// The provider has answered the last attempt.
    pub(crate) answered: bool,
    pub(crate) attempted_at: Option<Timestamp>,
    pub(crate) revision: i64,
    /// By [`Job::ALL`].
    pub(crate) jobs: [bool; 4],
}

/// What an answer or a webhook taught.
#[derive(Debug, Default)]
pub(crate) struct Lesson {
    seen: Option<Observation>,
    facts: Vec<Fact>,
    /// The attempt with this number was answered.
    answered: Option<u8>,
    capture_refused: bool,
    refund_failed: bool,
    done: Option<Job>,
}

impl Lesson {
    /// Only what the provider shows.
    pub(crate) fn of(charge: &Charge, amount: i64) -> Self {
        Self { seen: charge.observe(amount), ..Self::default() }
    }
}

impl Intent {
    /// Opened, with its first attempt.
    pub(crate) fn open(order: OrderId, amount: i64, now: Timestamp) -> Self {
        let jobs = [true, false, false, false];
        Self { amount, attempts: 1, attempted_at: Some(now), jobs, ..Self::never_opened(order) }
    }

    /// Closing what was never opened leaves this behind. Its amount is not known: one minor unit.
    pub(crate) fn never_opened(order: OrderId) -> Self {
        Self {
            order,
            amount: 1,
            facts: Facts::default(),
            referenced: false,
            capture_claimed: 0,
            refund_claimed: 0,
            closing: false,
            capture_failed: false,
            late_returned: false,
            attempts: 0,
            answered: false,
            attempted_at: None,
            revision: 1,
            jobs: [false; 4],
        }
    }

    fn last(&self) -> LastAttempt<'static> {
        match (self.attempts, self.answered) {
            (0, _) => LastAttempt::None,
            (_, false) => LastAttempt::Asked,
            (attempt, true) => LastAttempt::Answered(REFERENCES[usize::from(attempt)]),
        }
    }

    pub(crate) fn status(&self) -> PaymentStatus {
        status(self.amount, &self.facts, self.last())
    }

    /// As others see it.
    pub(crate) fn state(&self) -> IntentState {
        IntentState {
            order: self.order,
            intent: IntentId::from_u128(self.order.as_u128()),
            revision: self.revision,
            status: self.status(),
            amount: eur(self.amount),
            amounts: PaymentAmounts {
                authorised: eur(self.facts.authorised),
                captured: eur(self.facts.captured),
                refunded: eur(self.facts.refunded),
            },
            next_action: None,
            attempts: self.attempts.into(),
            attempted_at: self.attempted_at,
            closing: self.closing,
            claimed: self.capture_claimed >= self.amount,
            cancelled: self.facts.cancelled,
            capture_failed: self.capture_failed,
            mismatch: self.facts.mismatch,
            held_until: None,
            at_shipment: Vec::new(),
            capture_before: None,
        }
    }

    /// One transaction: late money is seen to, and what others see differently is a revision.
    pub(crate) fn write(&mut self, change: impl FnOnce(&mut Self)) {
        let told = |intent: &Self| IntentState { claimed: false, ..intent.state() };
        let before = told(self);
        change(self);
        let late = self.facts.captured - self.capture_claimed - self.refund_claimed;
        if self.closing && !self.late_returned && late > 0 {
            self.late_returned = self.refund();
        }
        if told(self) != before {
            self.revision += 1;
        }
    }

    fn set(&mut self, job: Job, open: bool) {
        self.jobs[job as usize] = open;
    }

    pub(crate) fn wants(&self, job: Job) -> bool {
        self.jobs[job as usize]
    }

    pub(crate) fn capture(&mut self) {
        let whole = self.amount;
        if self.capture_claimed >= whole || self.capture_failed || self.facts.authorised < whole {
            return;
        }
        if self.facts.cancelled && self.facts.captured < whole {
            return;
        }
        if self.refund_claimed > 0 {
            self.capture_failed = true;
            return;
        }
        if self.closing {
            self.closing = false;
            self.set(Job::Cancel, false);
        }
        self.capture_claimed = whole;
        if self.facts.captured < whole {
            self.set(Job::Capture, true);
        }
    }

    pub(crate) fn close(&mut self) {
        let was_closing = std::mem::replace(&mut self.closing, true);
        if self.facts.cancelled || self.facts.captured > 0 {
            return;
        }
        if !self.referenced && !matches!(self.last(), LastAttempt::Asked) {
            self.facts.learn(&Fact::Cancelled);
        } else if !was_closing {
            self.set(Job::Cancel, true);
        }
    }

    /// Another attempt. `false` when it is closed, paid or under way.
    pub(crate) fn attempt(&mut self, now: Timestamp) -> bool {
        let may = match self.status() {
            PaymentStatus::Pending => self.attempts == 0,
            PaymentStatus::Refused | PaymentStatus::RequiresAction => true,
            _ => false,
        };
        if !may || self.closing {
            return false;
        }
        self.attempts += 1;
        self.attempted_at = Some(now);
        self.answered = false;
        self.set(Job::Pay, true);
        true
    }

    /// All of it goes back. `true` when that is begun, now or before.
    pub(crate) fn refund(&mut self) -> bool {
        if self.facts.captured == 0 {
            return false;
        }
        if self.refund_claimed < self.facts.captured {
            self.refund_claimed = self.facts.captured;
            self.set(Job::Refund, true);
        }
        true
    }

    /// Asks the provider. What it did is done, whether or not the lesson is ever written.
    pub(crate) fn call(&self, job: Job, charge: &mut Charge) -> Lesson {
        let amount = self.amount;
        match job {
            Job::Pay => {
                let refused = charge.pay(self.attempts).is_err();
                let reference = REFERENCES[usize::from(self.attempts)].to_owned();
                let facts = if refused { vec![Fact::Refused(reference)] } else { Vec::new() };
                Lesson { facts, answered: Some(self.attempts), done: Some(job), ..Lesson::of(charge, amount) }
            }
            Job::Capture => {
                let refused = charge.capture().is_err() && charge.stage != Stage::Captured;
                Lesson { capture_refused: refused, done: Some(job), ..Lesson::of(charge, amount) }
            }
            Job::Cancel if !self.referenced => {
                // An attempt under way may still make the intent there.
                let over = !matches!(self.last(), LastAttempt::Asked);
                let facts = if over { vec![Fact::Cancelled] } else { Vec::new() };
                Lesson { facts, done: over.then_some(job), ..Lesson::default() }
            }
            Job::Cancel => {
                // Refused or not: what it shows decides, and it is over either way.
                let _ = charge.cancel();
                Lesson { done: Some(job), ..Lesson::of(charge, amount) }
            }
            Job::Refund => {
                let failed = charge.refund().is_err();
                Lesson { refund_failed: failed, done: Some(job), ..Lesson::of(charge, amount) }
            }
        }
    }

    /// Takes in what was learned.
    pub(crate) fn learn(&mut self, lesson: &Lesson) {
        if let Some(seen) = &lesson.seen {
            self.referenced = true;
            self.facts.learn_all(&seen.facts(eur(self.amount)));
        }
        self.facts.learn_all(&lesson.facts);
        self.refund_claimed = self.refund_claimed.max(self.facts.refunded);
        if self.facts.cancelled && self.facts.captured < self.capture_claimed {
            self.capture_claimed = self.facts.captured;
            self.set(Job::Capture, false);
        }
        if lesson.answered == Some(self.attempts) {
            self.answered = true;
        }
        if lesson.capture_refused && self.facts.captured < self.capture_claimed {
            self.capture_failed = true;
            self.capture_claimed = self.facts.captured;
        }
        if lesson.refund_failed {
            self.refund_claimed = self.facts.refunded;
        }
        if let Some(job) = lesson.done {
            self.set(job, false);
        }
    }
}
