//! Whether an answer makes sense for its cart.

use super::{Cart, Discount, Effect, Outcome, Target};
use crate::limits::{EFFECTS_MAX, LABEL_BYTES_MAX, LINE_UNITS_MAX, PERCENTAGE_BP_MAX};
use bodega_domain::limits::MONEY_AMOUNT_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// The outcome that `effects` are for `cart`: themselves, or the first rule of the world that they break.
#[must_use]
pub fn check(cart: &Cart, effects: Vec<Effect>) -> Outcome {
    let units: usize = effects
        .iter()
        .map(|effect| match &effect.target {
            Target::Lines(lines) => lines.len(),
            Target::Order | Target::Shipping => 0,
        })
        .sum();
    if effects.len() > EFFECTS_MAX || units > LINE_UNITS_MAX {
        return Outcome::OutputTooLarge;
    }
    let quantities: BTreeMap<u32, u32> = cart.lines.iter().map(|line| (line.index, line.quantity)).collect();
    for (position, effect) in effects.iter().enumerate() {
        if let Err(rule) = sensible(effect, &quantities) {
            return Outcome::InvalidOutput { detail: format!("effect {position}: {rule}") };
        }
    }
    Outcome::Ok(effects)
}

fn sensible(effect: &Effect, quantities: &BTreeMap<u32, u32>) -> Result<(), &'static str> {
    if effect.label.trim().is_empty() || effect.label.len() > LABEL_BYTES_MAX {
        return Err("its label has 1 to 120 bytes and is not blank");
    }
    if effect.label.chars().any(char::is_control) {
        return Err("its label has no control characters");
    }
    match effect.discount {
        Discount::PercentageBp(bp) if !(1..=PERCENTAGE_BP_MAX).contains(&bp) => {
            return Err("its percentage is 1 to 10000 basis points");
        }
        Discount::Amount(amount) if !(1..=MONEY_AMOUNT_MAX).contains(&amount) => {
            return Err("its amount is at least 1 minor unit and within what money can be");
        }
        Discount::PercentageBp(_) | Discount::Amount(_) => {}
    }
    let Target::Lines(lines) = &effect.target else { return Ok(()) };
    if lines.is_empty() {
        return Err("it names no line");
    }
    let mut seen = BTreeSet::new();
    for line in lines {
        let Some(quantity) = quantities.get(&line.index) else { return Err("it names a line that it was not given") };
        if !seen.insert(line.index) {
            return Err("it names a line twice");
        }
        if line.units.is_some_and(|units| units == 0 || units > *quantity) {
            return Err("it names between 1 and all pieces of a line");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Line, LineUnits};
    use super::*;

    fn cart() -> Cart {
        let line = |index, quantity| Line {
            index,
            sku: format!("sku-{index}"),
            product: "p".into(),
            merchant: "m".into(),
            categories: vec![],
            tags: vec![],
            attributes: vec![],
            quantity,
            unit_price: 100,
            total: 100 * i64::from(quantity),
        };
        Cart {
            currency: "EUR".into(),
            minor_digits: 2,
            market: "eu".into(),
            lines: vec![line(0, 3), line(4, 1)],
            subtotal: 400,
            codes: vec![],
            customer_group: None,
            issued_at: None,
        }
    }

    fn effect(target: Target, discount: Discount, label: &str) -> Effect {
        Effect { target, discount, label: label.into() }
    }

    fn lines(units: &[(u32, Option<u32>)]) -> Target {
        Target::Lines(units.iter().map(|&(index, units)| LineUnits { index, units }).collect())
    }

    #[test]
    fn effects_at_the_edges_of_every_rule_pass() {
        let edges = vec![
            effect(lines(&[(0, Some(3)), (4, None)]), Discount::PercentageBp(10_000), &"é".repeat(60)),
            effect(lines(&[(4, Some(1))]), Discount::PercentageBp(1), "x"),
            effect(Target::Order, Discount::Amount(1), "one cent"),
            effect(Target::Shipping, Discount::Amount(MONEY_AMOUNT_MAX), "shipping"),
        ];
        assert_eq!(check(&cart(), edges.clone()), Outcome::Ok(edges));
    }

    #[test]
    fn one_step_over_the_edge_of_any_rule_is_invalid() {
        let off = Discount::PercentageBp(100);
        let wrong = [
            effect(Target::Order, off, ""),
            effect(Target::Order, off, " \u{2003}"),
            effect(Target::Order, off, &"é".repeat(61)),
            effect(Target::Order, off, "a\nb"),
            effect(Target::Order, Discount::PercentageBp(0), "x"),
            effect(Target::Order, Discount::PercentageBp(10_001), "x"),
            effect(Target::Order, Discount::Amount(0), "x"),
            effect(Target::Order, Discount::Amount(-1), "x"),
            effect(Target::Order, Discount::Amount(MONEY_AMOUNT_MAX + 1), "x"),
            effect(lines(&[]), off, "x"),
            effect(lines(&[(1, None)]), off, "x"),
            effect(lines(&[(0, Some(1)), (0, Some(1))]), off, "x"),
            effect(lines(&[(0, Some(4))]), off, "x"),
            effect(lines(&[(0, Some(0))]), off, "x"),
        ];
        for wrong in wrong {
            let outcome = check(&cart(), vec![wrong.clone()]);
            assert!(matches!(outcome, Outcome::InvalidOutput { .. }), "{wrong:?} gave {outcome:?}");
        }
    }

    #[test]
    fn more_effects_or_line_references_than_allowed_are_too_large() {
        let small = effect(Target::Order, Discount::Amount(1), "x");
        assert!(matches!(check(&cart(), vec![small.clone(); EFFECTS_MAX]), Outcome::Ok(_)));
        assert_eq!(check(&cart(), vec![small; EFFECTS_MAX + 1]), Outcome::OutputTooLarge);
        let wide = effect(lines(&[(0, None); LINE_UNITS_MAX + 1]), Discount::Amount(1), "x");
        assert_eq!(check(&cart(), vec![wide]), Outcome::OutputTooLarge);
    }
}
