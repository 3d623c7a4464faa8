//! Out of whose sale an intent's money goes back.
//!
//! Providers tell how much went back in all, perhaps before they answer for any refund. So the refunds are laid beside that
//! sum in the order in which they are believed to have happened, and the books are brought to what comes of it. A belief
//! that a later word proves wrong is set right by it: once each refund is done or has failed, each merchant has given
//! exactly its own.

use std::collections::BTreeMap;

use super::Held;
use crate::id::MerchantId;

/// Who gives an intent's money back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Giving {
    /// Refunds that did not fail, in the order in which they are believed to have happened: out of whose sale, and how much,
    /// minor units. Without a merchant by all in proportion.
    pub refunds: Vec<(Option<MerchantId>, i64)>,
    /// What accounts have given so far out of their own merchant's sale, minor units.
    pub alone: Held,
    /// What accounts have given so far in proportion with all others.
    pub together: Held,
}

impl Giving {
    /// What each merchant has still to give alone, once so much went back out of unapplied money and so much out of
    /// merchants' accounts. Below zero it gave for somebody else.
    pub(super) fn owed(&self, unapplied: i64, applied: i64) -> BTreeMap<MerchantId, i64> {
        let (mut skip, mut reach) = (unapplied, applied);
        let mut owed: BTreeMap<MerchantId, i64> = BTreeMap::new();
        for (merchant, amount) in &self.refunds {
            // Unapplied money is in no merchant's accounts: what gave it back was nobody's refund.
            let skipped = if merchant.is_none() { skip.min(*amount) } else { 0 };
            skip -= skipped;
            let reached = reach.min(amount - skipped);
            reach -= reached;
            if let Some(merchant) = merchant {
                *owed.entry(*merchant).or_default() += reached;
            }
        }
        for ((_, merchant), gave) in &self.alone {
            *owed.entry(*merchant).or_default() -= gave;
        }
        owed
    }
}

#[cfg(test)]
mod tests;
