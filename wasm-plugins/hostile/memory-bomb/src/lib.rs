//! Hostile plugin, for tests: it asks for all the memory there is.

use bodega_plugin_sdk::{Cart, Description, Effect, Promotion, Refusal, export_promotion};
use serde::Deserialize;
use std::hint::black_box;

struct MemoryBomb;

/// The way to ask.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Configuration {
    /// More and more, and keeps it.
    Hoard,
    /// Everything at once.
    Gulp,
    /// Everything at once, but politely: takes no for an answer.
    Polite,
    /// Nothing while it is on trial; more and more after.
    AfterTrial,
}

impl Promotion for MemoryBomb {
    type Configuration = Configuration;

    fn describe() -> Description {
        Description {
            name: "memory-bomb".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Asks for all the memory there is.".into(),
            example_configuration: r#""hoard""#.into(),
        }
    }

    fn evaluate(cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
        match configuration {
            Configuration::AfterTrial if cart.lines[0].merchant == "trial" => Ok(Vec::new()),
            Configuration::Hoard | Configuration::AfterTrial => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                while black_box(true) {
                    hoard.push(black_box(Vec::with_capacity(64 << 10)));
                }
                Err(Refusal::Other(hoard.len().to_string()))
            }
            Configuration::Gulp => Err(Refusal::Other(black_box(vec![0_u8; 2_000_000_000]).len().to_string())),
            Configuration::Polite => {
                let mut wish: Vec<u8> = Vec::new();
                match wish.try_reserve_exact(2_000_000_000) {
                    Ok(()) => Err(Refusal::Other(black_box(wish).capacity().to_string())),
                    Err(_) => Ok(vec![Effect::on_order("Made do with less").percentage(100)]),
                }
            }
        }
    }
}

export_promotion!(MemoryBomb);
