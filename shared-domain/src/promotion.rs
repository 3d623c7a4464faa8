//! Promotions: declarative rules, effects of rules and plugins, and what a cart comes to under them.
//!
//! Computed from scratch each time and replaced as a set, so that nothing is applied twice. Order: effects on lines in
//! their given order, then on the whole order, then on shipping; each takes from what the ones before it left, and
//! nothing goes below zero. Tax is rounded half up once a rate over the whole order; its shares go to the lines by
//! largest remainder, ties by line order.

mod rule;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Currency, Money,
    catalog::{SkuNo, SkuView},
    id::MerchantId,
    market::Market,
    money::MoneyError,
    quote::{Adjustment, AdjustmentClass, QuoteLine, Shipping, Source, TaxLine, Totals},
};

pub use rule::{Benefit, Rule};

/// Hundredths of a percent that make a whole.
pub const WHOLE_BP: u32 = 10_000;

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
mod tests;
