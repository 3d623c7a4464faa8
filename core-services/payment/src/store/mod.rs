//! All SQL of this service. Each file is about one table; every statement takes a whole batch.

pub(crate) mod intents;
pub(crate) mod jobs;
pub(crate) mod ledger;
pub(crate) mod opening;
pub(crate) mod parts;
pub(crate) mod policies;
pub(crate) mod reconciliation;
pub(crate) mod records;
pub(crate) mod settlements;
pub(crate) mod statement;

use uuid::Uuid;

/// A typed id as Postgres keeps it.
macro_rules! uuid {
    ($id:expr) => {
        ::uuid::Uuid::from_u128($id.as_u128())
    };
}
pub(crate) use uuid;

/// Typed ids as Postgres keeps them.
pub(crate) fn uuids(bits: impl IntoIterator<Item = u128>) -> Vec<Uuid> {
    bits.into_iter().map(Uuid::from_u128).collect()
}

/// A row that does not say what it must: a fault of ours, told with what is wrong.
pub(crate) fn damaged(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} cannot be read").into())
}
