//! The books beside the providers' settlement reports.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Lays the books beside the providers' reports now. While a run goes on, or waits to be begun, that one is given.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {}

/// Runs, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconciliations {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A run: all payments of the shop beside all lines of the reports. What differs is an open exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// Its id; opaque.
    pub id: String,
    /// Who asked for it; the service itself each night.
    pub who: String,
    /// When.
    pub asked_at: Timestamp,
    /// When the last payment was looked at; none while it goes on.
    pub finished_at: Option<Timestamp>,
    /// Lines read from the reports.
    pub lines: i64,
    /// Payments looked at so far.
    pub payments: i64,
    /// Of these, payments that differ.
    pub differences: i64,
    /// Why a report could not be read; its old lines were used.
    pub trouble: Option<String>,
}

/// What somebody should do about an exception.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// A stable word, for instance `write_to_provider`.
    pub action: String,
    /// The same for people.
    pub text: String,
}
