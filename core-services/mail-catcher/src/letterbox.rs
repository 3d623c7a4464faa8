//! What was caught, and what is refused next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::mail::{Envelope, Mail};

/// Mails that are kept; the oldest go first.
pub const KEPT_MAX: usize = 1_000;

/// What the next recipients are answered instead of being taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The answer.
    pub code: RefusalCode,
    /// To how many recipients. 0: all are taken again.
    pub times: u32,
}

/// How a recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub enum RefusalCode {
    /// 451: not now, try again.
    Later,
    /// 550: never.
    Never,
}

impl TryFrom<u16> for RefusalCode {
    type Error = &'static str;

    fn try_from(code: u16) -> Result<Self, Self::Error> {
        match code {
            451 => Ok(RefusalCode::Later),
            550 => Ok(RefusalCode::Never),
            _ => Err("code: 451 (try again) or 550 (never)"),
        }
    }
}

/// The kept mails. No lock is held while a mail is read or a page made.
#[derive(Debug, Default)]
pub(crate) struct Letterbox(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Newest first.
    mails: VecDeque<Arc<Mail>>,
    /// Mails that ever came: the id of the newest.
    count: u64,
    refusal: Option<Refusal>,
}

impl Letterbox {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a mail and keeps it.
    pub(crate) fn put(&self, envelope: Envelope, raw: &[u8]) {
        let mut mail = Mail::read(crate::now(), envelope, raw);
        let mut kept = self.lock();
        kept.count += 1;
        mail.id = kept.count;
        kept.mails.push_front(Arc::new(mail));
        kept.mails.truncate(KEPT_MAX);
    }

    /// The mails for an address, or all of them, newest first.
    pub(crate) fn newest(&self, to: Option<&str>) -> Vec<Arc<Mail>> {
        self.lock().mails.iter().filter(|mail| to.is_none_or(|to| mail.is_for(to))).cloned().collect()
    }

    pub(crate) fn mail(&self, id: u64) -> Option<Arc<Mail>> {
        self.lock().mails.iter().find(|mail| mail.id == id).cloned()
    }

    /// Forgets all mails; ids go on.
    pub(crate) fn empty(&self) {
        self.lock().mails.clear();
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.lock().refusal = Some(refusal);
    }

    /// Whether this recipient is refused; counts it.
    pub(crate) fn refuses(&self) -> Option<RefusalCode> {
        let mut kept = self.lock();
        let refusal = kept.refusal.as_mut()?;
        refusal.times = refusal.times.checked_sub(1)?;
        Some(refusal.code)
    }
}
