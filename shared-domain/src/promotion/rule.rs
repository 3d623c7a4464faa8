//! A declarative rule, and the bounds of each of its parts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::WHOLE_BP;
use crate::{
    Currency,
    id::{MerchantId, PromotionId},
    limits::{
        CODE_BYTES_MAX, MONEY_AMOUNT_MAX, RULE_CATEGORIES_MAX, RULE_CURRENCIES_MAX, RULE_NAME_BYTES_MAX, RULE_SKUS_MAX,
    },
};

/// What a rule takes off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Benefit {
    /// Hundredths of a percent off the matching lines, 1 to 10,000.
    PercentageBp(u32),
    /// Minor units off the matching lines together, by currency.
    Amount(BTreeMap<String, i64>),
    /// Shipping for nothing. Only of the marketplace itself.
    FreeShipping,
}

/// A declarative promotion: small enough for every edge to compute, without a clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id.
    pub id: PromotionId,
    /// Who funds it and whose lines it sees; `None` is the marketplace and all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<MerchantId>,
    /// What shoppers read.
    pub label: String,
    /// The code that it needs; absent for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Only lines of these categories; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Only these SKUs; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skus: Vec<String>,
    /// Only when so many units match.
    #[serde(default)]
    pub min_quantity: u32,
    /// Only when the matching lines come to so many minor units, by currency; a currency that is missing has no minimum.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub min_subtotal: BTreeMap<String, i64>,
    /// What it takes off.
    pub benefit: Benefit,
    /// How many orders may use it in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<u32>,
    /// How many orders of one buyer may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_per_buyer_max: Option<u32>,
}

impl Rule {
    /// What is wrong with a rule before it is kept, as pointer and sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        let readable = |text: &str, max: usize| {
            !text.trim().is_empty() && text.len() <= max && !text.chars().any(char::is_control)
        };
        let names = |names: &[String], max: usize| {
            names.len() <= max && names.iter().all(|name| readable(name, RULE_NAME_BYTES_MAX))
        };
        let amounts = |amounts: &BTreeMap<String, i64>, min: i64| {
            amounts.len() <= RULE_CURRENCIES_MAX
                && amounts.keys().all(|code| code.parse::<Currency>().is_ok())
                && amounts.values().all(|amount| (min..=MONEY_AMOUNT_MAX).contains(amount))
        };
        if !readable(&self.label, 120) {
            faults.push(("/label", "1 to 120 bytes without control characters."));
        }
        if self.code.as_deref().is_some_and(|code| !readable(code, CODE_BYTES_MAX)) {
            faults.push(("/code", "1 to 40 bytes without control characters."));
        }
        if !names(&self.categories, RULE_CATEGORIES_MAX) {
            faults.push(("/categories", "At most 100, each of 1 to 80 bytes without control characters."));
        }
        if !names(&self.skus, RULE_SKUS_MAX) {
            faults.push(("/skus", "At most 200, each of 1 to 80 bytes without control characters."));
        }
        if !amounts(&self.min_subtotal, 0) {
            faults.push(("/min_subtotal", "Minor units, at least 0, of at most 30 currencies of ISO 4217."));
        }
        match &self.benefit {
            Benefit::PercentageBp(bp) if *bp == 0 || *bp > WHOLE_BP => {
                faults.push(("/benefit/percentage_bp", "Between 1 and 10,000."));
            }
            Benefit::Amount(off) if off.is_empty() || !amounts(off, 1) => {
                faults.push(("/benefit/amount", "Positive minor units for 1 to 30 currencies of ISO 4217."));
            }
            Benefit::FreeShipping if self.merchant.is_some() => {
                faults.push(("/benefit", "Only the marketplace can give shipping away."));
            }
            _ => {}
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::OWNER_RULES_BYTES_MAX;

    #[test]
    fn a_rule_is_bounded_in_every_part_and_the_largest_one_fits_its_owners_share() {
        let largest = Rule {
            id: PromotionId::from_u128(u128::MAX),
            merchant: Some(MerchantId::from_u128(u128::MAX)),
            label: "x".repeat(120),
            code: Some("x".repeat(CODE_BYTES_MAX)),
            categories: vec!["x".repeat(RULE_NAME_BYTES_MAX); RULE_CATEGORIES_MAX],
            skus: vec!["x".repeat(RULE_NAME_BYTES_MAX); RULE_SKUS_MAX],
            min_quantity: u32::MAX,
            min_subtotal: BTreeMap::from([("EUR".to_owned(), MONEY_AMOUNT_MAX)]),
            uses_max: Some(u32::MAX),
            uses_per_buyer_max: Some(u32::MAX),
            benefit: Benefit::Amount(BTreeMap::from([("EUR".to_owned(), MONEY_AMOUNT_MAX)])),
        };
        assert_eq!(largest.faults(), []);
        assert!(serde_json::to_vec(&largest).unwrap().len() < OWNER_RULES_BYTES_MAX * 9 / 10);
        let wrong = |change: &dyn Fn(&mut Rule)| {
            let mut rule = largest.clone();
            change(&mut rule);
            rule.faults().into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>()
        };
        assert_eq!(wrong(&|rule| rule.categories.push("one".into())), ["/categories"]);
        assert_eq!(wrong(&|rule| rule.categories[0] = "a\0b".into()), ["/categories"]);
        assert_eq!(wrong(&|rule| rule.skus.push("one".into())), ["/skus"]);
        assert_eq!(wrong(&|rule| rule.skus[0].push('x')), ["/skus"]);
        assert_eq!(wrong(&|rule| rule.min_subtotal = BTreeMap::from([("E\0R".into(), 1)])), ["/min_subtotal"]);
        assert_eq!(wrong(&|rule| rule.min_subtotal = BTreeMap::from([("USD".into(), -1)])), ["/min_subtotal"]);
        let off = |amount| Benefit::Amount(BTreeMap::from([("EUR".to_owned(), amount)]));
        assert_eq!(wrong(&|rule| rule.benefit = off(MONEY_AMOUNT_MAX + 1)), ["/benefit/amount"]);
    }
}
