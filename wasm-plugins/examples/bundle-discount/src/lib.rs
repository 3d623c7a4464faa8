//! Example plugin: things that go together cost less together.
//!
//! A bundle lists its parts. As many bundles as the cart has complete sets of parts get the discount, and only those
//! pieces do; a third mug without its coffee costs what it always costs.

use bodega_plugin_sdk::{Cart, Description, Effect, LineUnits, Promotion, Refusal, Selection, export_promotion};
use serde::Deserialize;
use std::collections::BTreeMap;

struct BundleDiscount;

/// What a merchant sets.
#[derive(Deserialize)]
#[serde(try_from = "Settings")]
struct Configuration {
    label: String,
    parts: Vec<Part>,
    off: Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What the shopper reads.
    label: String,
    /// What belongs together.
    parts: Vec<Part>,
    off: Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    of: Selection,
    #[serde(default = "one")]
    pieces: u32,
}

const fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Off {
    /// Hundredths of a percent off the pieces of the bundles.
    PercentageBp(u32),
    /// Minor units off each bundle, by currency; a currency that is not listed gets nothing.
    AmountEach(BTreeMap<String, i64>),
}

impl TryFrom<Settings> for Configuration {
    type Error = &'static str;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let Settings { label, parts, off } = settings;
        if parts.len() < 2 || parts.iter().any(|part| part.pieces == 0 || part.of == Selection::default()) {
            return Err("a bundle has two parts or more, each with a selection and at least 1 piece");
        }
        let sensible = match &off {
            Off::PercentageBp(bp) => (1..=10_000).contains(bp),
            Off::AmountEach(amounts) => amounts.values().all(|amount| *amount > 0),
        };
        if !sensible {
            return Err("off is a percentage_bp between 1 and 10000, or amounts of at least 1");
        }
        Ok(Self { label, parts, off })
    }
}

/// The pieces that `count` bundles take, or none when the cart does not hold so many. Parts are filled in the order of
/// the configuration and each from its first lines on.
fn taken(cart: &Cart, parts: &[(&Part, Vec<usize>)], count: u64) -> Option<Vec<u64>> {
    let mut left: Vec<u64> = cart.lines.iter().map(|line| u64::from(line.quantity)).collect();
    let mut taken = vec![0; left.len()];
    for (part, chosen) in parts {
        let mut missing = u64::from(part.pieces) * count;
        for &line in chosen {
            let units = missing.min(left[line]);
            left[line] -= units;
            taken[line] += units;
            missing -= units;
        }
        if missing > 0 {
            return None;
        }
    }
    Some(taken)
}

/// The number of complete bundles and the pieces of each line in them. Found by halving: thousands of pieces must not
/// cost a step each.
fn bundles(cart: &Cart, parts: &[Part]) -> (u64, Vec<u64>) {
    let parts: Vec<(&Part, Vec<usize>)> = parts
        .iter()
        .map(|part| (part, (0..cart.lines.len()).filter(|&line| part.of.chooses(&cart.lines[line])).collect()))
        .collect();
    let pieces: u64 = cart.lines.iter().map(|line| u64::from(line.quantity)).sum();
    let (mut complete, mut too_many) = ((0, Vec::new()), pieces + 1);
    while too_many - complete.0 > 1 {
        let count = complete.0 + (too_many - complete.0) / 2;
        match taken(cart, &parts, count) {
            Some(taken) => complete = (count, taken),
            None => too_many = count,
        }
    }
    complete
}

impl Promotion for BundleDiscount {
    type Configuration = Configuration;

    fn describe() -> Description {
        Description {
            name: "bundle-discount".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Things that go together cost less together.".into(),
            example_configuration: concat!(
                r#"{"label": "Breakfast set", "parts": [{"of": {"categories": ["coffee"]}}, "#,
                r#"{"of": {"categories": ["bakery"]}, "pieces": 2}], "off": {"percentage_bp": 1500}}"#
            )
            .into(),
        }
    }

    fn evaluate(cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
        let (count, taken) = bundles(cart, &configuration.parts);
        if count == 0 {
            return Ok(Vec::new());
        }
        let lines = cart.lines.iter().zip(taken).filter(|(_, units)| *units > 0).map(|(line, units)| {
            // No more than the line's own quantity, which is 32 bits wide.
            LineUnits::some(line.index, u32::try_from(units).unwrap_or(line.quantity))
        });
        let effect = Effect::on_lines(configuration.label.clone(), lines);
        Ok(match &configuration.off {
            Off::PercentageBp(bp) => vec![effect.percentage(*bp)],
            Off::AmountEach(amounts) => amounts
                .get(&cart.currency)
                .map(|each| effect.amount(each.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX))))
                .into_iter()
                .collect(),
        })
    }
}

export_promotion!(BundleDiscount);

#[cfg(test)]
mod tests {
    use super::*;
    use bodega_plugin_sdk::golden::check;

    #[test]
    fn only_complete_bundles_cost_less() {
        check::<BundleDiscount>(include_str!("../golden/complete_bundles.json"));
    }

    #[test]
    fn half_a_bundle_is_none() {
        check::<BundleDiscount>(include_str!("../golden/half_a_bundle.json"));
    }

    #[test]
    fn an_amount_counts_for_each_bundle_in_its_currency() {
        check::<BundleDiscount>(include_str!("../golden/amount_each.json"));
    }

    #[test]
    fn a_currency_without_an_amount_gets_nothing() {
        check::<BundleDiscount>(include_str!("../golden/other_currency.json"));
    }

    #[test]
    fn a_bundle_of_one_part_is_refused() {
        check::<BundleDiscount>(include_str!("../golden/one_part.json"));
    }
}
