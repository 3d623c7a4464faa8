//! Keys that nobody has written for long are removed: carts left behind would fill the disk for good.
//!
//! Two tables beside the stores: the day on which a key expires, and the same ordered by that day. A key is entered anew
//! once a day at most, so that a busy cart costs one look-up a write and nothing else.

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{Error, Table};

/// Day, since 1970, on which a key (`store`, NUL, `key`) expires.
const DAY_OF: TableDefinition<'_, &str, u32> = TableDefinition::new("expiry day of key");
/// The same, first to expire first.
const BY_DAY: TableDefinition<'_, (u32, &str), ()> = TableDefinition::new("expiry keys by day");
/// Keys removed in one transaction: bounds how long writes wait behind it.
pub(super) const SWEEP_MAX: usize = 1_000;

/// Which keys expire, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Store of the keys.
    pub(crate) store: String,
    /// Begin of the keys.
    pub(crate) prefix: String,
    /// Days after the last write.
    pub(crate) days: u32,
}

fn rule<'r>(rules: &'r [Rule], store: &str, key: &str) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.store == store && key.starts_with(&rule.prefix))
}

/// Notes that a key was written.
pub(super) fn touch(
    transaction: &WriteTransaction,
    rules: &[Rule],
    store: &str,
    key: &str,
    today: u32,
) -> Result<(), Error> {
    let Some(rule) = rule(rules, store, key) else { return Ok(()) };
    let day = today.saturating_add(rule.days);
    let name = format!("{store}\0{key}");
    let mut day_of = transaction.open_table(DAY_OF)?;
    let before = day_of.insert(name.as_str(), day)?.map(|before| before.value());
    if before != Some(day) {
        let mut by_day = transaction.open_table(BY_DAY)?;
        if let Some(before) = before {
            by_day.remove((before, name.as_str()))?;
        }
        by_day.insert((day, name.as_str()), ())?;
    }
    Ok(())
}

/// Removes keys whose day has come, [`SWEEP_MAX`] at most, and says how many.
pub(super) fn sweep(transaction: &WriteTransaction, today: u32) -> Result<usize, Error> {
    let mut by_day = transaction.open_table(BY_DAY)?;
    let due: Vec<(u32, String)> = by_day
        .range(..(today.saturating_add(1), ""))?
        .take(SWEEP_MAX)
        .map(|entry| entry.map(|(key, _)| (key.value().0, key.value().1.to_owned())).map_err(Error::from))
        .collect::<Result<_, _>>()?;
    let mut day_of = transaction.open_table(DAY_OF)?;
    for (day, name) in &due {
        by_day.remove((*day, name.as_str()))?;
        day_of.remove(name.as_str())?;
        if let Some((store, key)) = name.split_once('\0') {
            transaction.open_table(Table::new(store))?.remove(key)?;
        }
    }
    Ok(due.len())
}
