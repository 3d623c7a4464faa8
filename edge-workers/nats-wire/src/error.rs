//! Errors carry a kind to match on and a detail to log.

use alloc::string::String;
use core::fmt;

/// An error of one operation: `K` lists what can happen to that operation and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error<K> {
    kind: K,
    detail: Option<String>,
}

impl<K> Error<K> {
    pub(crate) const fn new(kind: K) -> Self {
        Self { kind, detail: None }
    }

    pub(crate) fn with_detail(kind: K, detail: impl Into<String>) -> Self {
        Self { kind, detail: Some(detail.into()) }
    }

    /// The same detail under another kind.
    pub(crate) fn map<L>(self, kind: impl FnOnce(K) -> L) -> Error<L> {
        Error { kind: kind(self.kind), detail: self.detail }
    }

    /// What happened, for `match`.
    pub const fn kind(&self) -> &K {
        &self.kind
    }

    /// Further words for a log: a subject, a server's sentence. Never credentials.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl<K> From<K> for Error<K> {
    fn from(kind: K) -> Self {
        Self::new(kind)
    }
}

impl<K: fmt::Display> fmt::Display for Error<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl<K: fmt::Debug + fmt::Display> core::error::Error for Error<K> {}
