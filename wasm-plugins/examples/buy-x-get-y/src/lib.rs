//! Example plugin: buy X, get Y.
//!
//! Of every `buy + get` chosen pieces the `get` cheapest ones cost less, nothing by default. Pieces of all chosen lines
//! are counted together, and it repeats: with buy 2, get 1, seven pieces are two groups and one piece left over.

use bodega_plugin_sdk::{Cart, Description, Effect, Line, LineUnits, Promotion, Refusal, Selection, export_promotion};
use serde::Deserialize;

struct BuyXGetY;

/// What a merchant sets.
#[derive(Deserialize)]
#[serde(try_from = "Settings")]
struct Configuration {
    of: Selection,
    buy: u32,
    get: u32,
    percentage_bp: u32,
    groups_max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The lines that count; all when nothing is listed.
    #[serde(default)]
    of: Selection,
    /// Pieces that are paid in full.
    buy: u32,
    /// Pieces that cost less.
    get: u32,
    /// How much less, in hundredths of a percent.
    #[serde(default = "everything_off")]
    percentage_bp: u32,
    /// Groups that an order may have at most.
    #[serde(default = "no_limit")]
    groups_max: u32,
}

const fn everything_off() -> u32 {
    10_000
}

const fn no_limit() -> u32 {
    u32::MAX
}

impl TryFrom<Settings> for Configuration {
    type Error = &'static str;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        if settings.buy == 0 || settings.get == 0 {
            return Err("buy and get must be at least 1");
        }
        if !(1..=10_000).contains(&settings.percentage_bp) {
            return Err("percentage_bp must be between 1 and 10000");
        }
        let Settings { of, buy, get, percentage_bp, groups_max } = settings;
        Ok(Self { of, buy, get, percentage_bp, groups_max })
    }
}

impl Promotion for BuyXGetY {
    type Configuration = Configuration;

    fn describe() -> Description {
        Description {
            name: "buy-x-get-y".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Of every so many pieces, the cheapest cost less or nothing.".into(),
            example_configuration: r#"{"of": {"categories": ["coffee"]}, "buy": 2, "get": 1}"#.into(),
        }
    }

    fn evaluate(cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
        let mut chosen: Vec<&Line> = configuration.of.of(&cart.lines).collect();
        // In 64 bits: 200 lines of 32-bit quantities cannot overflow.
        let pieces: u64 = chosen.iter().map(|line| u64::from(line.quantity)).sum();
        let group = u64::from(configuration.buy) + u64::from(configuration.get);
        let groups = (pieces / group).min(u64::from(configuration.groups_max));
        let mut cheaper = groups * u64::from(configuration.get);

        chosen.sort_by_key(|line| (line.unit_price, line.index));
        let mut taken = Vec::new();
        for line in chosen {
            if cheaper == 0 {
                break;
            }
            let units = u32::try_from(cheaper).map_or(line.quantity, |left| left.min(line.quantity));
            taken.push(LineUnits::some(line.index, units));
            cheaper -= u64::from(units);
        }
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let label = match configuration.percentage_bp {
            10_000 => format!("Buy {}, get {} free", configuration.buy, configuration.get),
            bp => format!("Buy {}, get {} at {} % off", configuration.buy, configuration.get, Percent(bp)),
        };
        Ok(vec![Effect::on_lines(label, taken).percentage(configuration.percentage_bp)])
    }
}

/// Hundredths of a percent as people write them: 1250 is `12.5`.
struct Percent(u32);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}"),
            part if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            part => write!(f, "{whole}.{part:02}"),
        }
    }
}

export_promotion!(BuyXGetY);

#[cfg(test)]
mod tests {
    use super::*;
    use bodega_plugin_sdk::golden::check;

    #[test]
    fn the_cheapest_of_three_is_free() {
        check::<BuyXGetY>(include_str!("../golden/cheapest_of_three.json"));
    }

    #[test]
    fn two_pieces_are_no_group() {
        check::<BuyXGetY>(include_str!("../golden/two_are_no_group.json"));
    }

    #[test]
    fn it_repeats_over_lines_and_takes_the_cheapest_pieces() {
        check::<BuyXGetY>(include_str!("../golden/repeats_over_lines.json"));
    }

    #[test]
    fn groups_of_an_order_can_be_limited() {
        check::<BuyXGetY>(include_str!("../golden/limited_groups.json"));
    }

    #[test]
    fn a_configuration_that_gives_nothing_is_refused() {
        check::<BuyXGetY>(include_str!("../golden/zero_is_refused.json"));
    }

    #[test]
    fn percentages_are_written_without_needless_digits() {
        let written: Vec<String> = [5000, 1250, 1205].into_iter().map(|bp| Percent(bp).to_string()).collect();
        assert_eq!(written, ["50", "12.5", "12.05"]);
    }
}
