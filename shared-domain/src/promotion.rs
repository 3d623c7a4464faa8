//! Promotions: declarative rules, effects of rules and plugins, and what a cart comes to under them.
//!
//! Computed from scratch each time and replaced as a set, so that nothing is applied twice. Order: effects on lines in
//! their given order, then on the whole order, then on shipping; each takes from what the ones before it left, and
//! nothing goes below zero. Tax is rounded half up once a rate over the whole order; its shares go to the lines by
//! largest remainder, ties by line order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Currency, Money,
    catalog::{SkuNo, SkuView},
    id::{MerchantId, PromotionId},
    limits::{
        CODE_BYTES_MAX, MONEY_AMOUNT_MAX, RULE_CATEGORIES_MAX, RULE_CURRENCIES_MAX, RULE_NAME_BYTES_MAX, RULE_SKUS_MAX,
    },
    market::Market,
    money::MoneyError,
    quote::{Adjustment, AdjustmentClass, QuoteLine, Shipping, Source, TaxLine, Totals},
};

/// Hundredths of a percent that make a whole.
pub const WHOLE_BP: u32 = 10_000;

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

/// A cart line with all that pricing knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedLine {
    /// The SKU as the catalogue has it.
    pub sku: SkuView,
    /// How many, ≥ 1.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: Money,
}

/// What is made cheaper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// These lines: index, and how many of its units (all without a number).
    Lines(Vec<(usize, Option<u32>)>),
    /// These lines as a whole, after what lines themselves got.
    Order(Vec<usize>),
    /// Shipping.
    Shipping,
}

/// How much cheaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// Hundredths of a percent.
    Bp(u32),
    /// Minor units off the target as a whole.
    Amount(i64),
}

/// One discount as it was asked for, by a rule or a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Who asked for it.
    pub source: Source,
    /// What shoppers read.
    pub label: String,
    /// Who funds it.
    pub funded_by: Option<MerchantId>,
    /// What is made cheaper.
    pub target: Target,
    /// How much cheaper.
    pub discount: Discount,
}

/// What the rules say about a cart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruled {
    /// Their effects, in the order of the rules.
    pub effects: Vec<Effect>,
    /// Codes that counted.
    pub codes: Vec<String>,
    /// Codes that did not, with a sentence for the shopper.
    pub refused: Vec<(String, &'static str)>,
}

/// Evaluates rules over a cart.
#[must_use]
pub fn evaluate(rules: &[Rule], lines: &[PricedLine], codes: &[String], currency: Currency) -> Ruled {
    let mut ruled = Ruled::default();
    let mut counted: BTreeSet<String> = BTreeSet::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for rule in rules {
        if let Some(code) = &rule.code {
            let Some(entered) = codes.iter().find(|entered| entered.eq_ignore_ascii_case(code)) else { continue };
            known.insert(entered.clone());
        }
        let Some(effect) = effect_of(rule, lines, currency) else { continue };
        if let Some(code) = &rule.code {
            counted.extend(codes.iter().filter(|entered| entered.eq_ignore_ascii_case(code)).cloned());
        }
        ruled.effects.push(effect);
    }
    for code in codes {
        if counted.contains(code) {
            ruled.codes.push(code.clone());
        } else if known.contains(code) {
            ruled.refused.push((code.clone(), "Nothing in the cart meets its conditions."));
        } else {
            ruled.refused.push((code.clone(), "No promotion has this code."));
        }
    }
    ruled
}

fn effect_of(rule: &Rule, lines: &[PricedLine], currency: Currency) -> Option<Effect> {
    let matching: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| rule.merchant.is_none_or(|merchant| merchant == line.sku.merchant))
        .filter(|(_, line)| rule.categories.is_empty() || rule.categories.contains(&line.sku.category))
        .filter(|(_, line)| rule.skus.is_empty() || rule.skus.contains(&line.sku.sku))
        .map(|(index, _)| index)
        .collect();
    let units: u64 = matching.iter().map(|i| u64::from(lines[*i].quantity)).sum();
    let value: i128 =
        matching.iter().map(|i| i128::from(lines[*i].unit_price.amount()) * i128::from(lines[*i].quantity)).sum();
    let minimum = rule.min_subtotal.get(currency.code()).copied().unwrap_or(0);
    if matching.is_empty() || units < u64::from(rule.min_quantity) || value < i128::from(minimum) {
        return None;
    }
    let (target, discount) = match &rule.benefit {
        Benefit::PercentageBp(bp) => {
            (Target::Lines(matching.into_iter().map(|i| (i, None)).collect()), Discount::Bp((*bp).min(WHOLE_BP)))
        }
        Benefit::Amount(amounts) => (Target::Order(matching), Discount::Amount(*amounts.get(currency.code())?)),
        Benefit::FreeShipping if rule.merchant.is_none() => (Target::Shipping, Discount::Bp(WHOLE_BP)),
        Benefit::FreeShipping => return None,
    };
    Some(Effect {
        source: Source::Rule(rule.id.to_string()),
        label: rule.label.clone(),
        funded_by: rule.merchant,
        target,
        discount,
    })
}

/// What a cart comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The lines with their shares.
    pub lines: Vec<QuoteLine>,
    /// Every discount that lowered something.
    pub adjustments: Vec<Adjustment>,
    /// Tax by rate.
    pub taxes: Vec<TaxLine>,
    /// What is paid.
    pub totals: Totals,
}

/// What is left of lines and shipping while effects are applied.
struct Left {
    lines: Vec<i64>,
    shipping: i64,
}

/// Applies effects to lines and shipping and adds everything up.
///
/// # Errors
/// Mixed currencies, or amounts out of range.
pub fn price(
    lines: &[PricedLine],
    effects: &[Effect],
    shipping: &Shipping,
    market: &Market,
) -> Result<Priced, MoneyError> {
    let currency = shipping.amount.currency();
    let subtotals: Vec<Money> =
        lines.iter().map(|line| line.unit_price.times(line.quantity)).collect::<Result<_, _>>()?;
    let mut left = Left { lines: subtotals.iter().map(|m| m.amount()).collect(), shipping: shipping.amount.amount() };
    let mut adjustments = Vec::new();
    for class in [AdjustmentClass::Line, AdjustmentClass::Order, AdjustmentClass::Shipping] {
        for effect in effects.iter().filter(|effect| class_of(&effect.target) == class) {
            adjustments.extend(apply(effect, class, lines, &mut left, currency)?);
        }
    }
    let subtotal = Money::sum(currency, subtotals.iter().copied())?;
    let discount = Money::sum(currency, adjustments.iter().map(|a| a.amount))?;
    let (taxes, line_taxes) = taxes(lines, &left, market, currency)?;
    let tax = Money::sum(currency, taxes.iter().map(|t| t.amount))?;
    let totals = Totals::new(subtotal, discount, shipping.amount, tax, market.tax_included)?;
    let lines = lines
        .iter()
        .zip(&subtotals)
        .zip(left.lines.iter().zip(line_taxes))
        .map(|((line, subtotal), (left, tax))| {
            let net = Money::new(*left, currency)?;
            let total = if market.tax_included { net } else { net.checked_add(tax)? };
            Ok(QuoteLine {
                sku_no: line.sku.sku_no,
                sku: line.sku.sku.clone(),
                title: line.sku.title.clone(),
                merchant: line.sku.merchant,
                quantity: line.quantity,
                unit_price: line.unit_price,
                subtotal: *subtotal,
                discount: subtotal.checked_sub(net)?,
                tax_rate_bp: market.rate_bp(line.sku.tax_class),
                tax,
                total,
            })
        })
        .collect::<Result<_, MoneyError>>()?;
    Ok(Priced { lines, adjustments, taxes, totals })
}

const fn class_of(target: &Target) -> AdjustmentClass {
    match target {
        Target::Lines(_) => AdjustmentClass::Line,
        Target::Order(_) => AdjustmentClass::Order,
        Target::Shipping => AdjustmentClass::Shipping,
    }
}

fn apply(
    effect: &Effect,
    class: AdjustmentClass,
    lines: &[PricedLine],
    left: &mut Left,
    currency: Currency,
) -> Result<Option<Adjustment>, MoneyError> {
    let made = |amount: Money, lines: Vec<(usize, Money)>| Adjustment {
        source: effect.source.clone(),
        class,
        label: effect.label.clone(),
        funded_by: effect.funded_by,
        amount,
        lines,
    };
    let bases: BTreeMap<usize, i64> = match &effect.target {
        Target::Shipping => {
            let off = off(effect.discount, left.shipping, currency)?;
            left.shipping -= off.amount();
            return Ok(Some(made(off, Vec::new())).filter(|a| a.amount.amount() > 0));
        }
        Target::Order(indexes) => indexes.iter().filter_map(|i| Some((*i, *left.lines.get(*i)?))).collect(),
        Target::Lines(units) => units
            .iter()
            .filter_map(|(index, units)| {
                let (line, left) = (lines.get(*index)?, *left.lines.get(*index)?);
                let units = units.unwrap_or(line.quantity).min(line.quantity);
                Some((*index, line.unit_price.times(units).ok()?.amount().min(left)))
            })
            .collect(),
    };
    let base: i64 = bases.values().sum();
    let total = off(effect.discount, base, currency)?;
    let weights: Vec<i64> = bases.values().copied().collect();
    let mut shares = Vec::new();
    // A share never exceeds its base: the discount is at most the sum of the bases, and shares are proportional.
    for (index, share) in bases.keys().copied().zip(total.split(&weights)) {
        if share.amount() > 0 {
            left.lines[index] -= share.amount();
            shares.push((index, share));
        }
    }
    Ok(Some(made(total, shares)).filter(|a| a.amount.amount() > 0))
}

/// What a discount takes off a base, at most all of it.
fn off(discount: Discount, base: i64, currency: Currency) -> Result<Money, MoneyError> {
    let base = Money::new(base.max(0), currency)?;
    match discount {
        Discount::Bp(bp) => base.basis_points(bp.min(WHOLE_BP)),
        Discount::Amount(amount) => Money::new(amount.clamp(0, base.amount()), currency),
    }
}

/// Tax by rate over the whole order, and each line's share of it.
fn taxes(
    lines: &[PricedLine],
    left: &Left,
    market: &Market,
    currency: Currency,
) -> Result<(Vec<TaxLine>, Vec<Money>), MoneyError> {
    let mut by_rate: BTreeMap<u32, (i64, Vec<usize>)> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let (base, members) = by_rate.entry(market.rate_bp(line.sku.tax_class)).or_default();
        *base += left.lines[index];
        members.push(index);
    }
    if left.shipping > 0 {
        by_rate.entry(market.standard_bp).or_default().0 += left.shipping;
    }
    let mut shares = vec![Money::zero(currency); lines.len()];
    let mut taxes = Vec::new();
    for (rate_bp, (base, members)) in by_rate {
        let gross = Money::new(base, currency)?;
        let amount = if market.tax_included { contained(gross, rate_bp)? } else { gross.basis_points(rate_bp)? };
        // Shipping takes part in the split with its own weight, after the lines.
        let goods: i64 = members.iter().map(|i| left.lines[*i]).sum();
        let weights: Vec<i64> = members.iter().map(|i| left.lines[*i]).chain([base - goods]).collect();
        for (index, share) in members.iter().zip(amount.split(&weights)) {
            shares[*index] = share;
        }
        let base = if market.tax_included { gross.checked_sub(amount)? } else { gross };
        taxes.push(TaxLine { rate_bp, base, amount });
    }
    Ok((taxes, shares))
}

/// The tax that a gross amount contains, half up: gross × rate ÷ (1 + rate).
fn contained(gross: Money, rate_bp: u32) -> Result<Money, MoneyError> {
    let (rate, whole) = (i128::from(rate_bp), i128::from(WHOLE_BP));
    let tax = (i128::from(gross.amount()) * rate * 2 + (whole + rate)) / ((whole + rate) * 2);
    Money::new(i64::try_from(tax).map_err(|_| MoneyError::OutOfRange)?, gross.currency())
}

/// The numbers of all SKUs in a cart, without repetition.
#[must_use]
pub fn sku_nos(lines: &[(SkuNo, u32)]) -> Vec<SkuNo> {
    lines.iter().map(|(sku, _)| *sku).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        address::Destination,
        catalog::{Band, Prices, TaxClass},
    };

    fn line(sku_no: SkuNo, merchant: u128, category: &str, class: TaxClass, price: i64, quantity: u32) -> PricedLine {
        let sku = SkuView {
            sku: format!("S{sku_no}"),
            sku_no,
            product: format!("p{sku_no}"),
            title: format!("Product {sku_no}"),
            category: category.into(),
            merchant: MerchantId::from_u128(merchant),
            tax_class: class,
            prices: Prices::default(),
            band: Band::InStock,
            picture: None,
        };
        PricedLine { sku, quantity, unit_price: Money::new(price, Currency::EUR).unwrap() }
    }

    fn rule(benefit: Benefit) -> Rule {
        Rule {
            id: PromotionId::from_u128(1),
            merchant: None,
            label: "Less".into(),
            code: None,
            categories: Vec::new(),
            skus: Vec::new(),
            min_quantity: 0,
            min_subtotal: BTreeMap::new(),
            benefit,
            uses_max: None,
            uses_per_buyer_max: None,
        }
    }

    #[test]
    fn a_rule_is_bounded_in_every_part_and_the_largest_one_fits_its_owners_share() {
        let largest = Rule {
            merchant: Some(MerchantId::from_u128(u128::MAX)),
            label: "x".repeat(120),
            code: Some("x".repeat(CODE_BYTES_MAX)),
            categories: vec!["x".repeat(RULE_NAME_BYTES_MAX); RULE_CATEGORIES_MAX],
            skus: vec!["x".repeat(RULE_NAME_BYTES_MAX); RULE_SKUS_MAX],
            min_quantity: u32::MAX,
            min_subtotal: BTreeMap::from([("EUR".to_owned(), MONEY_AMOUNT_MAX)]),
            uses_max: Some(u32::MAX),
            uses_per_buyer_max: Some(u32::MAX),
            ..rule(Benefit::Amount(BTreeMap::from([("EUR".to_owned(), MONEY_AMOUNT_MAX)])))
        };
        assert_eq!(largest.faults(), []);
        assert!(serde_json::to_vec(&largest).unwrap().len() < crate::limits::OWNER_RULES_BYTES_MAX * 9 / 10);
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

    #[test]
    fn no_rule_is_left_out_of_a_quote_however_many_there_are() {
        let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1)];
        let rules = vec![rule(Benefit::PercentageBp(1)); 300];
        assert_eq!(evaluate(&rules, &lines, &[], Currency::EUR).effects.len(), 300);
    }

    fn shipping(amount: i64) -> Shipping {
        Shipping { method: "standard".into(), amount: Money::new(amount, Currency::EUR).unwrap() }
    }

    fn germany() -> Market {
        Market::assumed(Currency::EUR)
    }

    #[test]
    fn ten_percent_off_the_bakery_and_nothing_else() {
        let lines = [line(1, 1, "bakery", TaxClass::Reduced, 333, 3), line(2, 1, "drinks", TaxClass::Standard, 500, 1)];
        let bakery = Rule { categories: vec!["bakery".into()], ..rule(Benefit::PercentageBp(1_000)) };
        let ruled = evaluate(&[bakery], &lines, &[], Currency::EUR);
        let priced = price(&lines, &ruled.effects, &shipping(490), &germany()).unwrap();
        assert_eq!(priced.totals.discount.amount(), 100, "99.9 becomes 100");
        assert_eq!(priced.lines[0].total.amount(), 899);
        assert_eq!(priced.lines[1].discount.amount(), 0);
        assert_eq!(priced.totals.total.amount(), 999 + 500 - 100 + 490);
    }

    #[test]
    fn german_tax_is_inside_the_price_and_rounded_once_a_rate() {
        let lines = [line(1, 1, "a", TaxClass::Reduced, 107, 1), line(2, 1, "a", TaxClass::Standard, 119, 1)];
        let priced = price(&lines, &[], &shipping(119), &germany()).unwrap();
        let of = |t: &TaxLine| (t.rate_bp, t.base.amount(), t.amount.amount());
        assert_eq!(priced.taxes.iter().map(of).collect::<Vec<_>>(), [(700, 100, 7), (1_900, 200, 38)]);
        assert_eq!(priced.totals.total.amount(), 345);
        assert_eq!(priced.lines[1].tax.amount(), 19, "the other half is shipping's");
    }

    #[test]
    fn american_tax_comes_on_top() {
        let to = Destination { country: "US".parse().unwrap(), region: Some("TX".into()), postal_code: "1".into() };
        let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1)];
        let priced = price(&lines, &[], &shipping(0), &Market::of(&to).unwrap()).unwrap();
        assert_eq!(priced.totals.tax.amount(), 63, "6.25 % of 10.00 is 62.5");
        assert_eq!(priced.totals.total.amount(), 1_063);
    }

    #[test]
    fn codes_count_once_their_conditions_are_met() {
        let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1)];
        let minimum = BTreeMap::from([("EUR".to_owned(), 2_000)]);
        let off = || Benefit::Amount(BTreeMap::from([("EUR".to_owned(), 500)]));
        let with_code = |code: &str, rule: Rule| Rule { code: Some(code.into()), ..rule };
        let rules = [with_code("FIVE", rule(off())), with_code("BIG", Rule { min_subtotal: minimum, ..rule(off()) })];
        let codes: Vec<String> = ["five", "BIG", "NONE"].map(String::from).to_vec();
        let ruled = evaluate(&rules, &lines, &codes, Currency::EUR);
        assert_eq!((ruled.effects.len(), ruled.codes), (1, vec!["five".to_owned()]));
        assert_eq!(ruled.refused.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>(), ["BIG", "NONE"]);
    }

    #[test]
    fn a_merchant_lowers_only_its_own_lines() {
        let lines = [line(1, 1, "a", TaxClass::Standard, 1_000, 1), line(2, 2, "a", TaxClass::Standard, 1_000, 1)];
        let own = Rule { merchant: Some(MerchantId::from_u128(2)), ..rule(Benefit::PercentageBp(5_000)) };
        let ruled = evaluate(&[own], &lines, &[], Currency::EUR);
        let priced = price(&lines, &ruled.effects, &shipping(0), &germany()).unwrap();
        assert_eq!(priced.lines.iter().map(|l| l.discount.amount()).collect::<Vec<_>>(), [0, 500]);
    }

    #[test]
    fn three_for_two_takes_one_unit_off() {
        let lines = [line(1, 1, "drinks", TaxClass::Standard, 250, 3)];
        let effect = Effect {
            source: Source::Rule("x".into()),
            label: "3 for 2".into(),
            funded_by: None,
            target: Target::Lines(vec![(0, Some(1))]),
            discount: Discount::Bp(WHOLE_BP),
        };
        let priced = price(&lines, &[effect], &shipping(0), &germany()).unwrap();
        assert_eq!(priced.totals.total.amount(), 500);
    }

    fn any_effect(lines: usize) -> impl Strategy<Value = Effect> {
        let target = prop_oneof![
            proptest::collection::vec((0..lines + 1, proptest::option::of(0_u32..5)), 0..4).prop_map(Target::Lines),
            proptest::collection::vec(0..lines + 1, 0..4).prop_map(Target::Order),
            Just(Target::Shipping),
        ];
        let discount =
            prop_oneof![(0_u32..20_000).prop_map(Discount::Bp), (-100_i64..100_000).prop_map(Discount::Amount)];
        (target, discount).prop_map(|(target, discount)| Effect {
            source: Source::Rule("r".into()),
            label: "Less".into(),
            funded_by: None,
            target,
            discount,
        })
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_everything_adds_up_and_nothing_is_negative(
            goods in proptest::collection::vec((0_i64..5_000, 1_u32..5, 0_u8..3), 1..6),
            effects in proptest::collection::vec(any_effect(6), 0..8),
            post in 0_i64..1_000,
            included: bool,
        ) {
            let class = |n| [TaxClass::Standard, TaxClass::Reduced, TaxClass::Zero][usize::from(n)];
            let lines: Vec<PricedLine> = (1_u32..).zip(goods).map(|(n, (price, quantity, c))| {
                line(n, 1, "a", class(c), price, quantity)
            }).collect();
            let market = Market { tax_included: included, ..germany() };
            let priced = price(&lines, &effects, &shipping(post), &market).unwrap();
            let sum = |f: &dyn Fn(&QuoteLine) -> i64| priced.lines.iter().map(f).sum::<i64>();
            let t = priced.totals;
            prop_assert!(t.total.amount() >= 0);
            prop_assert!(priced.lines.iter().all(|l| l.total.amount() >= 0 && l.discount.amount() >= 0 && l.tax.amount() >= 0));
            prop_assert_eq!(sum(&|l| l.subtotal.amount()), t.subtotal.amount());
            let on_shipping: i64 = priced.adjustments.iter()
                .filter(|a| a.class == AdjustmentClass::Shipping).map(|a| a.amount.amount()).sum();
            prop_assert_eq!(sum(&|l| l.discount.amount()) + on_shipping, t.discount.amount());
            for a in &priced.adjustments {
                let shares: i64 = a.lines.iter().map(|(_, m)| m.amount()).sum();
                prop_assert!(a.amount.amount() > 0);
                prop_assert!(a.class == AdjustmentClass::Shipping || shares == a.amount.amount());
            }
            prop_assert_eq!(priced.taxes.iter().map(|x| x.amount.amount()).sum::<i64>(), t.tax.amount());
            prop_assert!(sum(&|l| l.tax.amount()) <= t.tax.amount());
        }
    }
}
