//! What one batch writes beside the intents themselves.

use bodega_domain::{
    Timestamp,
    id::{AttemptId, IntentId, OrderId, RefundId},
    ledger::Transfer,
    message::payment::IntentChanged,
    money::Money,
    payment::Fact,
};

use crate::{
    intent::{AttemptAsk, AttemptWord, RefundAsk, parcels::NewPart},
    job::{Job, JobKind},
};

/// A row of `attempt`.
#[derive(Clone, Debug)]
pub(crate) struct NewAttempt {
    pub(crate) intent: IntentId,
    pub(crate) ask: AttemptAsk,
}

/// A row of `refund`.
#[derive(Clone, Debug)]
pub(crate) struct NewRefund {
    pub(crate) intent: IntentId,
    pub(crate) ask: RefundAsk,
    pub(crate) amount: Money,
}

/// A row of `exception`.
#[derive(Clone, Debug)]
pub(crate) struct NewException {
    pub(crate) order: OrderId,
    pub(crate) intent: IntentId,
    pub(crate) kind: &'static str,
    pub(crate) detail: serde_json::Value,
}

/// A webhook as it came.
#[derive(Clone, Debug)]
pub(crate) struct RawWebhook {
    pub(crate) provider: String,
    pub(crate) event: String,
    pub(crate) body: Vec<u8>,
}

/// Everything that a batch writes; what is empty costs no statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// Intents whose rows changed.
    pub(crate) touched: Vec<IntentId>,
    pub(crate) facts: Vec<(IntentId, Fact)>,
    pub(crate) attempts_new: Vec<NewAttempt>,
    pub(crate) attempts_answered: Vec<(AttemptId, AttemptWord)>,
    pub(crate) refunds_new: Vec<NewRefund>,
    /// The refund, of which intent, and whether it was done.
    pub(crate) refunds_answered: Vec<(RefundId, IntentId, bool)>,
    pub(crate) jobs_new: Vec<Job>,
    pub(crate) jobs_done: Vec<(JobKind, u128)>,
    pub(crate) jobs_again: Vec<(Job, Timestamp)>,
    pub(crate) transfers: Vec<(IntentId, OrderId, Transfer)>,
    pub(crate) exceptions: Vec<NewException>,
    pub(crate) events: Vec<IntentChanged>,
    pub(crate) parts_new: Vec<NewPart>,
    /// Of these intents what was asked for beyond so much, minor units, was refused.
    pub(crate) parts_refused: Vec<(IntentId, i64)>,
}
