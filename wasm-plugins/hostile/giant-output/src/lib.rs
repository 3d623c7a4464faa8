//! Hostile plugin, for tests: it answers with more than anyone asked for, or with what nobody can use.

use bodega_plugin_sdk::{Cart, Description, Effect, LineUnits, Promotion, Refusal, export_promotion};
use serde::Deserialize;

struct GiantOutput;

/// The kind of answer.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Configuration {
    /// Thousands of effects.
    Effects,
    /// One label of a megabyte.
    Label,
    /// One refusal of a megabyte.
    Refusal,
    /// A few effects more than allowed.
    SlightlyTooMany,
    /// The same line twenty-five thousand times.
    Lines,
    /// A line that is not in the cart.
    ForeignLine,
    /// A discount of less than nothing.
    Surcharge,
    /// More than everything off.
    MoreThanEverything,
    /// More pieces than the line has.
    TooManyPieces,
    /// A label that a terminal would obey.
    ControlCharacters,
    /// Nothing while it is on trial; a label of a megabyte after.
    AfterTrial,
}

impl Promotion for GiantOutput {
    type Configuration = Configuration;

    fn describe() -> Description {
        Description {
            name: "giant-output".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Answers with more than anyone asked for.".into(),
            example_configuration: r#""effects""#.into(),
        }
    }

    fn evaluate(cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
        let one = || Effect::on_order("Too much").percentage(1);
        let line = |units| Effect::on_lines("Odd", [units]).percentage(1000);
        let first = &cart.lines[0];
        Ok(match configuration {
            Configuration::Effects => vec![one(); 6_000],
            Configuration::AfterTrial if first.merchant == "trial" => Vec::new(),
            Configuration::Label | Configuration::AfterTrial => {
                vec![Effect::on_order("x".repeat(1 << 20)).percentage(1)]
            }
            Configuration::Refusal => return Err(Refusal::Other("x".repeat(1 << 20))),
            Configuration::SlightlyTooMany => vec![one(); 257],
            Configuration::Lines => {
                vec![Effect::on_lines("Again", vec![LineUnits::all(first.index); 25_000]).percentage(1)]
            }
            Configuration::ForeignLine => vec![line(LineUnits::all(first.index + 1_000))],
            Configuration::Surcharge => vec![Effect::on_order("Fee").amount(-500)],
            Configuration::MoreThanEverything => vec![Effect::on_order("All and more").percentage(10_001)],
            Configuration::TooManyPieces => vec![line(LineUnits::some(first.index, first.quantity + 1))],
            Configuration::ControlCharacters => vec![Effect::on_order("\u{1b}[2J").percentage(1)],
        })
    }
}

export_promotion!(GiantOutput);
