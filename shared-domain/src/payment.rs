//! What is known of a payment: facts that only grow, and the status that follows from them.
//!
//! A webhook or a poll adds facts. They may come late, twice, in any order or not at all: what is known is the join of
//! everything seen, so the order of arrival never matters.
//!
//! ```text
//! pending ─▶ processing / requires_action ─▶ authorised ─▶ captured ─▶ (partially_)refunded
//!    └──────────▶ refused ─▶ (another attempt)     └─▶ cancelled          └─▶ disputed
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    money::{Currency, Money},
    order::PaymentStatus,
    time::Timestamp,
};

/// One thing that a provider said about an intent. Amounts are cumulative, in minor units of the intent's currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// At least so much was authorised.
    Authorised(i64),
    /// At least so much was taken.
    Captured(i64),
    /// At least so much was given back.
    Refunded(i64),
    /// It can no longer be authorised.
    Cancelled,
    /// The attempt with this provider reference was refused.
    Refused(String),
    /// The attempt with this provider reference waits for the shopper at this address.
    Challenged(String, String),
    /// The shopper's bank takes so much back.
    Disputed(i64),
    /// The provider's amount or currency is not ours.
    Mismatch,
}

impl Fact {
    /// As stored and logged.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Fact::Authorised(_) => "authorised",
            Fact::Captured(_) => "captured",
            Fact::Refunded(_) => "refunded",
            Fact::Cancelled => "cancelled",
            Fact::Refused(_) => "refused",
            Fact::Challenged(..) => "challenged",
            Fact::Disputed(_) => "disputed",
            Fact::Mismatch => "mismatch",
        }
    }

    /// The amount it carries, 0 without one.
    #[must_use]
    pub const fn amount(&self) -> i64 {
        match self {
            Fact::Authorised(amount) | Fact::Captured(amount) | Fact::Refunded(amount) | Fact::Disputed(amount) => {
                *amount
            }
            _ => 0,
        }
    }

    /// The attempt it is about, empty without one.
    #[must_use]
    pub fn reference(&self) -> &str {
        match self {
            Fact::Refused(reference) | Fact::Challenged(reference, _) => reference,
            _ => "",
        }
    }
}

/// Everything known of an intent: the join of its facts.
///
/// Always `refunded ≤ captured ≤ authorised`: who hears of a capture first has heard of the authorisation too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Largest cumulative amount authorised, minor units.
    pub authorised: i64,
    /// Largest cumulative amount taken.
    pub captured: i64,
    /// Largest cumulative amount given back.
    pub refunded: i64,
    /// Once true, always true.
    pub cancelled: bool,
    /// Refused attempts by provider reference.
    pub refused: BTreeSet<String>,
    /// Attempts that wait or waited for the shopper, with the address.
    pub challenged: BTreeMap<String, String>,
    /// Largest amount disputed.
    pub disputed: i64,
    /// The provider's amount or currency is not ours: never paid.
    pub mismatch: bool,
}

impl Facts {
    /// Takes a fact in. `true` when it was news.
    pub fn learn(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::Authorised(amount) => raise(&mut self.authorised, *amount),
            Fact::Captured(amount) => {
                let news = raise(&mut self.captured, *amount);
                raise(&mut self.authorised, self.captured) || news
            }
            Fact::Refunded(amount) => {
                let news = raise(&mut self.refunded, *amount);
                let captured = raise(&mut self.captured, self.refunded);
                raise(&mut self.authorised, self.captured) || captured || news
            }
            Fact::Cancelled => !std::mem::replace(&mut self.cancelled, true),
            Fact::Refused(reference) => self.refused.insert(reference.clone()),
            Fact::Challenged(reference, url) => match self.challenged.get_mut(reference) {
                // Two addresses for one attempt: the larger text, so that the order of arrival does not matter.
                Some(known) if *known >= *url => false,
                Some(known) => {
                    known.clone_from(url);
                    true
                }
                None => {
                    self.challenged.insert(reference.clone(), url.clone());
                    true
                }
            },
            Fact::Disputed(amount) => raise(&mut self.disputed, *amount),
            Fact::Mismatch => !std::mem::replace(&mut self.mismatch, true),
        }
    }

    /// Takes many facts in and gives those back that were news.
    pub fn learn_all(&mut self, facts: &[Fact]) -> Vec<Fact> {
        facts.iter().filter(|fact| self.learn(fact)).cloned().collect()
    }
}

fn raise(known: &mut i64, seen: i64) -> bool {
    let news = seen > *known;
    *known = (*known).max(seen);
    news
}

/// What is known of the last attempt, beside the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAttempt<'a> {
    /// There was none.
    None,
    /// The provider was asked, or is about to be.
    Asked,
    /// The provider was asked and nobody knows what became of it.
    Unknown,
    /// The provider answered, and calls the attempt so.
    Answered(&'a str),
}

/// Where a payment of `amount` (minor units) is.
#[must_use]
pub fn status(amount: i64, facts: &Facts, last: LastAttempt<'_>) -> PaymentStatus {
    if facts.mismatch {
        return PaymentStatus::Unknown;
    }
    if amount == 0 {
        // A gift: there is nothing to take.
        return PaymentStatus::Captured;
    }
    if facts.disputed > 0 {
        return PaymentStatus::Disputed;
    }
    if facts.refunded > 0 {
        let all = facts.refunded >= facts.captured;
        return if all { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
    }
    if facts.captured > 0 {
        let all = facts.captured >= amount;
        return if all { PaymentStatus::Captured } else { PaymentStatus::PartiallyCaptured };
    }
    if facts.cancelled {
        return PaymentStatus::Cancelled;
    }
    if facts.authorised >= amount {
        return PaymentStatus::Authorised;
    }
    match last {
        LastAttempt::None | LastAttempt::Asked => PaymentStatus::Pending,
        LastAttempt::Unknown => PaymentStatus::Unknown,
        LastAttempt::Answered(reference) if facts.refused.contains(reference) => PaymentStatus::Refused,
        LastAttempt::Answered(reference) if facts.challenged.contains_key(reference) => PaymentStatus::RequiresAction,
        LastAttempt::Answered(_) => PaymentStatus::Processing,
    }
}

/// What the shopper has to do for the last attempt: the address of its open challenge.
#[must_use]
pub fn challenge<'a>(facts: &'a Facts, last: LastAttempt<'_>) -> Option<&'a str> {
    match last {
        LastAttempt::Answered(reference) => facts.challenged.get(reference).map(String::as_str),
        _ => None,
    }
}

/// What a provider shows of an intent, in a webhook or an answer, in no provider's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What is to be paid, minor units.
    pub amount: i64,
    /// Its currency; `None` when the provider's word is no currency we know.
    pub currency: Option<Currency>,
    /// Authorised and not yet taken.
    pub capturable: i64,
    /// Taken so far.
    pub captured: i64,
    /// Given back so far, where it says so.
    pub refunded: i64,
    /// Given up.
    pub cancelled: bool,
    /// Disputed by the shopper's bank.
    pub disputed: i64,
    /// The provider's reference of the last attempt, and how that stands.
    pub attempt: Option<(String, AttemptView)>,
    /// What is authorised may be taken in several parts.
    pub in_parts: bool,
    /// Until when it may be taken, where the provider says so.
    pub capture_before: Option<Timestamp>,
}

/// How the last attempt stands in an [`Observation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptView {
    /// Under way, or authorised: the amounts tell.
    Open,
    /// Refused.
    Refused,
    /// Waits for the shopper at this address.
    Challenged(String),
}

impl Observation {
    /// The facts that it proves about an intent of `expected`. Another amount or currency proves only that, and that it
    /// is over when it is: an order waits for the end of its payment, whatever was paid.
    #[must_use]
    pub fn facts(&self, expected: Money) -> Vec<Fact> {
        let ours = self.amount == expected.amount() && self.currency == Some(expected.currency());
        let mut facts = if ours { self.facts_of_ours() } else { Vec::new() };
        let mismatch = !ours || self.captured > expected.amount();
        if mismatch {
            facts.push(Fact::Mismatch);
        }
        // Money of a payment that does not match is a person's to look at; none of it can be authorised any more.
        if self.cancelled || (mismatch && self.captured > 0 && self.capturable == 0) {
            facts.push(Fact::Cancelled);
        }
        facts
    }

    fn facts_of_ours(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        let authorised = self.capturable.saturating_add(self.captured);
        let amounts = [
            (authorised, Fact::Authorised as fn(i64) -> Fact),
            (self.captured, Fact::Captured),
            (self.refunded, Fact::Refunded),
            (self.disputed, Fact::Disputed),
        ];
        facts.extend(amounts.into_iter().filter(|(amount, _)| *amount > 0).map(|(amount, fact)| fact(amount)));
        match &self.attempt {
            Some((reference, AttemptView::Refused)) => facts.push(Fact::Refused(reference.clone())),
            Some((reference, AttemptView::Challenged(url))) => {
                facts.push(Fact::Challenged(reference.clone(), url.clone()));
            }
            Some((_, AttemptView::Open)) | None => {}
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fact() -> impl Strategy<Value = Fact> {
        let reference = prop_oneof![Just("ch_1".to_owned()), Just("ch_2".to_owned())];
        prop_oneof![
            (0_i64..200).prop_map(Fact::Authorised),
            (0_i64..200).prop_map(Fact::Captured),
            (0_i64..200).prop_map(Fact::Refunded),
            Just(Fact::Cancelled),
            reference.clone().prop_map(Fact::Refused),
            (reference, "[ab]").prop_map(|(reference, url)| Fact::Challenged(reference, url)),
            (0_i64..200).prop_map(Fact::Disputed),
            Just(Fact::Mismatch),
        ]
    }

    fn join(facts: &[Fact]) -> Facts {
        let mut known = Facts::default();
        known.learn_all(facts);
        known
    }

    proptest! {
        #[test]
        fn neither_order_nor_repetition_of_facts_matters(
            (facts, shuffled) in proptest::collection::vec(fact(), 0..20).prop_flat_map(|facts| {
                let twice: Vec<_> = facts.iter().chain(&facts).cloned().collect();
                (Just(facts), Just(twice).prop_shuffle())
            }),
        ) {
            prop_assert_eq!(join(&facts), join(&shuffled));
        }

        #[test]
        fn amounts_are_ordered_and_a_known_fact_is_no_news(facts in proptest::collection::vec(fact(), 0..20)) {
            let mut known = Facts::default();
            for fact in &facts {
                let before = known.clone();
                prop_assert_eq!(known.learn(fact), before != known);
                prop_assert!(known.refunded <= known.captured && known.captured <= known.authorised);
                prop_assert!(!known.learn(fact));
            }
        }

        #[test]
        fn what_was_taken_in_full_stays_paid_whatever_is_said_later(
            facts in proptest::collection::vec(fact(), 0..20),
        ) {
            let mut known = join(&facts);
            known.learn(&Fact::Captured(100));
            let now = status(100, &known, LastAttempt::Asked);
            prop_assert!(!matches!(
                now,
                PaymentStatus::Pending | PaymentStatus::Refused | PaymentStatus::Cancelled | PaymentStatus::Authorised
            ));
        }
    }

    fn observed(amount: i64) -> Observation {
        Observation {
            amount,
            currency: Some(Currency::EUR),
            capturable: 0,
            captured: 0,
            refunded: 0,
            cancelled: false,
            disputed: 0,
            attempt: None,
            in_parts: false,
            capture_before: None,
        }
    }

    #[test]
    fn another_amount_or_currency_proves_nothing_but_the_mismatch() {
        let expected = Money::new(100, Currency::EUR).unwrap();
        let right = Observation { captured: 100, ..observed(100) };
        assert_eq!(right.facts(expected), [Fact::Authorised(100), Fact::Captured(100)]);
        for wrong in [
            Observation { captured: 100, ..observed(99) },
            Observation { currency: Some(Currency::USD), captured: 100, ..observed(100) },
            Observation { currency: None, captured: 100, ..observed(100) },
        ] {
            assert_eq!(wrong.facts(expected), [Fact::Mismatch, Fact::Cancelled], "taken, and so over");
        }
        assert_eq!(Observation { capturable: 99, ..observed(99) }.facts(expected), [Fact::Mismatch]);
        let given_up = Observation { cancelled: true, ..observed(99) };
        assert_eq!(given_up.facts(expected), [Fact::Mismatch, Fact::Cancelled]);
        let taken_too_much = Observation { captured: 101, ..observed(100) };
        assert!(taken_too_much.facts(expected).contains(&Fact::Mismatch));
        assert_eq!(
            status(100, &join(&[Fact::Captured(100), Fact::Mismatch]), LastAttempt::None),
            PaymentStatus::Unknown
        );
    }

    #[test]
    fn each_status_follows_from_its_facts() {
        let challenged = Fact::Challenged("ch_1".into(), "https://bank".into());
        let cases: Vec<(Vec<Fact>, LastAttempt<'_>, PaymentStatus)> = vec![
            (vec![], LastAttempt::None, PaymentStatus::Pending),
            (vec![], LastAttempt::Asked, PaymentStatus::Pending),
            (vec![], LastAttempt::Unknown, PaymentStatus::Unknown),
            (vec![], LastAttempt::Answered("ch_1"), PaymentStatus::Processing),
            (vec![challenged.clone()], LastAttempt::Answered("ch_1"), PaymentStatus::RequiresAction),
            (vec![challenged, Fact::Refused("ch_1".into())], LastAttempt::Answered("ch_1"), PaymentStatus::Refused),
            (vec![Fact::Refused("ch_1".into())], LastAttempt::Answered("ch_2"), PaymentStatus::Processing),
            (vec![Fact::Authorised(100)], LastAttempt::Answered("ch_1"), PaymentStatus::Authorised),
            (vec![Fact::Authorised(100), Fact::Cancelled], LastAttempt::Answered("ch_1"), PaymentStatus::Cancelled),
            (vec![Fact::Captured(40)], LastAttempt::Answered("ch_1"), PaymentStatus::PartiallyCaptured),
            (vec![Fact::Captured(100), Fact::Cancelled], LastAttempt::Answered("ch_1"), PaymentStatus::Captured),
            (
                vec![Fact::Captured(100), Fact::Refunded(1)],
                LastAttempt::Answered("ch_1"),
                PaymentStatus::PartiallyRefunded,
            ),
            (vec![Fact::Refunded(100), Fact::Disputed(1)], LastAttempt::Answered("ch_1"), PaymentStatus::Disputed),
        ];
        for (facts, last, expected) in cases {
            assert_eq!(status(100, &join(&facts), last), expected, "{facts:?} {last:?}");
        }
    }
}
