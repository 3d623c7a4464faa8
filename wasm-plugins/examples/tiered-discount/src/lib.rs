//! Example plugin: the more you buy, the less each costs.
//!
//! The chosen pieces, of each line by itself or of all lines together, reach a tier, and the highest tier reached
//! gives its percentage.

use bodega_plugin_sdk::{Cart, Description, Effect, LineUnits, Promotion, Refusal, Selection, export_promotion};
use serde::Deserialize;
use std::collections::BTreeMap;

struct TieredDiscount;

/// What a merchant sets.
#[derive(Deserialize)]
#[serde(try_from = "Settings")]
struct Configuration {
    of: Selection,
    together: bool,
    tiers: Vec<Tier>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The lines that count; all when nothing is listed.
    #[serde(default)]
    of: Selection,
    /// Whether the pieces of all chosen lines are counted together.
    #[serde(default)]
    together: bool,
    /// From so many pieces, so much off; in any order.
    tiers: Vec<Tier>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct Tier {
    pieces: u32,
    percentage_bp: u32,
}

impl TryFrom<Settings> for Configuration {
    type Error = &'static str;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let Settings { of, together, mut tiers } = settings;
        tiers.sort_by_key(|tier| tier.pieces);
        if tiers.is_empty() || tiers[0].pieces == 0 {
            return Err("at least one tier, each from 1 piece or more");
        }
        if tiers.iter().any(|tier| !(1..=10_000).contains(&tier.percentage_bp)) {
            return Err("percentage_bp must be between 1 and 10000");
        }
        if tiers.windows(2).any(|pair| pair[0].pieces == pair[1].pieces) {
            return Err("two tiers begin at the same number of pieces");
        }
        Ok(Self { of, together, tiers })
    }
}

impl Configuration {
    fn tier(&self, pieces: u64) -> Option<Tier> {
        self.tiers.iter().rev().find(|tier| pieces >= u64::from(tier.pieces)).copied()
    }
}

impl Promotion for TieredDiscount {
    type Configuration = Configuration;

    fn describe() -> Description {
        Description {
            name: "tiered-discount".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "The more pieces, the higher the discount.".into(),
            example_configuration: concat!(
                r#"{"of": {"categories": ["tea"]}, "together": true, "#,
                r#""tiers": [{"pieces": 3, "percentage_bp": 500}, {"pieces": 6, "percentage_bp": 1000}]}"#
            )
            .into(),
        }
    }

    fn evaluate(cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
        let together: u64 = configuration.of.of(&cart.lines).map(|line| u64::from(line.quantity)).sum();
        // Lines that reach the same tier share one effect, which the shopper reads once.
        let mut by_tier: BTreeMap<u32, (Tier, Vec<LineUnits>)> = BTreeMap::new();
        for line in configuration.of.of(&cart.lines) {
            let pieces = if configuration.together { together } else { u64::from(line.quantity) };
            if let Some(tier) = configuration.tier(pieces) {
                by_tier.entry(tier.pieces).or_insert((tier, Vec::new())).1.push(LineUnits::all(line.index));
            }
        }
        Ok(by_tier
            .into_values()
            .map(|(tier, lines)| {
                Effect::on_lines(format!("{} or more", tier.pieces), lines).percentage(tier.percentage_bp)
            })
            .collect())
    }
}

export_promotion!(TieredDiscount);

#[cfg(test)]
mod tests {
    use super::*;
    use bodega_plugin_sdk::golden::check;

    #[test]
    fn each_line_reaches_its_own_tier() {
        check::<TieredDiscount>(include_str!("../golden/each_line_by_itself.json"));
    }

    #[test]
    fn lines_counted_together_reach_a_tier_that_none_reaches_alone() {
        check::<TieredDiscount>(include_str!("../golden/together.json"));
    }

    #[test]
    fn below_the_first_tier_there_is_nothing() {
        check::<TieredDiscount>(include_str!("../golden/below_the_first_tier.json"));
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        check::<TieredDiscount>(include_str!("../golden/unknown_setting.json"));
    }
}
