//! A merchant's statement: what the marketplace owes it, and by what that came about.

use serde::{Deserialize, Serialize};

use crate::{
    id::{JournalId, MerchantId, OrderId},
    money::{Currency, Money},
    time::Timestamp,
};

/// A month of a merchant's books, in UTC.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementOf {
    /// Whose; may be left out by whoever acts for a single merchant.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// `YYYY-MM`; none: the month that runs.
    #[serde(default)]
    pub month: Option<String>,
    /// Of the lines; none: the first currency that the merchant has books in.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// Where the last page of lines ended.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Lines of a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What the accounts of a merchant hold, credits minus debits. Below zero the merchant owes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Owed to the merchant.
    pub payable: Money,
    /// Owed to it, and held back while a bank decides about a dispute.
    pub held: Money,
    /// Tax on its sales.
    pub tax: Money,
    /// What the marketplace keeps of its sales.
    pub fee: Money,
}

/// A merchant's accounts of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementAccounts {
    /// When the month began.
    pub opening: Standing,
    /// When it ended; while it runs, now.
    pub closing: Standing,
}

/// What one event changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// When it was booked.
    pub at: Timestamp,
    /// Its journal in the ledger.
    pub journal: JournalId,
    /// About which order.
    pub order: Option<OrderId>,
    /// Why, for instance `capture`, `refund`.
    pub reason: String,
    /// By how much.
    pub change: Standing,
    /// Owed to the merchant afterwards.
    pub payable: Money,
}

/// The statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Whose.
    pub merchant: MerchantId,
    /// `YYYY-MM`.
    pub month: String,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
    /// One for each currency in which anything was ever booked until the end of the month.
    pub accounts: Vec<StatementAccounts>,
    /// Of the lines; none when the merchant has no books.
    pub currency: Option<Currency>,
    /// Oldest first. The opening, and all lines of the month, come to the closing.
    pub lines: Vec<StatementLine>,
    /// Where the next page of lines begins.
    pub next_cursor: Option<String>,
}
