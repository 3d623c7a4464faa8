//! Provider calls that must happen, each a row until its answer is committed.

use bodega_domain::{
    Timestamp,
    id::{AttemptId, IntentId, OrderId, RefundId},
    money::Money,
};

use crate::{
    intent::{AttemptAsk, Intent},
    limits::{POLL_FIRST_MS, POLL_MAX_MS, RETRY_FIRST_MS, RETRY_MAX_MS},
};

/// What the provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum JobKind {
    /// To let an attempt pay.
    Pay,
    /// To take what is authorised.
    Capture,
    /// To let go of what is authorised and not wanted any more, after some of it was taken.
    Release,
    /// To give the intent up.
    Cancel,
    /// To give money back.
    Refund,
    /// How it stands.
    Poll,
}

impl JobKind {
    const ALL: [JobKind; 6] =
        [JobKind::Pay, JobKind::Capture, JobKind::Release, JobKind::Cancel, JobKind::Refund, JobKind::Poll];

    /// As stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            JobKind::Pay => "pay",
            JobKind::Capture => "capture",
            JobKind::Release => "release",
            JobKind::Cancel => "cancel",
            JobKind::Refund => "refund",
            JobKind::Poll => "poll",
        }
    }

    /// Reads what was stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A call with everything it needs, so that it can be made without another look at the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) kind: JobKind,
    /// The attempt, refund or intent that it is about.
    pub(crate) subject: u128,
    pub(crate) tries: u32,
    pub(crate) due_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) intent: IntentId,
    pub(crate) order: OrderId,
    pub(crate) provider: String,
    pub(crate) reference: Option<String>,
    /// What is to be paid, given back, or to have been taken in all.
    pub(crate) amount: Money,
    /// What of it was taken before, minor units.
    pub(crate) taken: i64,
    /// Nothing is taken later: what is left of the authorisation is released.
    pub(crate) last: bool,
    /// For attempts: what the provider calls the method.
    pub(crate) method: String,
    pub(crate) return_url: Option<String>,
    /// Whether an attempt is still unanswered: what a cancellation has to wait for.
    pub(crate) awaits_answer: bool,
}

impl Job {
    /// A call about the intent itself.
    pub(crate) fn of_intent(kind: JobKind, intent: &Intent, due_at: Timestamp) -> Self {
        let asked = Money::new(intent.capture_claimed, intent.amount.currency()).unwrap_or(intent.amount);
        Self {
            kind,
            subject: intent.id.as_u128(),
            tries: 0,
            due_at,
            created_at: due_at,
            intent: intent.id,
            order: intent.order,
            provider: intent.provider.clone(),
            reference: intent.reference.clone(),
            amount: if kind == JobKind::Capture { asked } else { intent.amount },
            taken: intent.facts.captured,
            last: intent.parcels.waiting == 0,
            method: String::new(),
            return_url: None,
            awaits_answer: intent.last_attempt.is_some() && intent.last_reference.is_none(),
        }
    }

    /// A call that lets an attempt pay.
    pub(crate) fn of_attempt(intent: &Intent, ask: &AttemptAsk, now: Timestamp) -> Self {
        Self {
            subject: ask.id.as_u128(),
            method: ask.method.clone(),
            return_url: ask.return_url.clone(),
            ..Self::of_intent(JobKind::Pay, intent, now)
        }
    }

    /// A call that gives money back.
    pub(crate) fn of_refund(intent: &Intent, refund: RefundId, amount: Money, now: Timestamp) -> Self {
        Self { subject: refund.as_u128(), amount, ..Self::of_intent(JobKind::Refund, intent, now) }
    }

    /// The attempt it is about.
    pub(crate) fn attempt(&self) -> AttemptId {
        AttemptId::from_u128(self.subject)
    }

    /// The refund it is about.
    pub(crate) fn refund(&self) -> RefundId {
        RefundId::from_u128(self.subject)
    }
}

/// Milliseconds until the next try: doubling, bounded.
pub(crate) fn pause_ms(kind: JobKind, tries: u32) -> i64 {
    let (first, max) = match kind {
        JobKind::Poll => (POLL_FIRST_MS, POLL_MAX_MS),
        _ => (RETRY_FIRST_MS, RETRY_MAX_MS),
    };
    first.saturating_mul(1 << tries.min(20)).min(max)
}
