//! Hostile plugin, for tests: it never returns, in the way that its configuration asks for.

use bodega_plugin_sdk::{Cart, Description, Effect, Promotion, Refusal, export_promotion};
use serde::Deserialize;
use std::hint::black_box;

struct EndlessLoop;

/// The way to waste time.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Configuration {
    /// Additions: fuel is spent on each.
    Add,
    /// Copies of a large block: little fuel is spent on much work.
    Copy,
    /// Calls without end: the stack runs out first.
    Recurse,
    /// Nothing while it is on trial; additions after.
    AfterTrial,
}

impl Promotion for EndlessLoop {
    type Configuration = Configuration;

    fn describe() -> Description {
        Description {
            name: "endless-loop".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Never returns.".into(),
            example_configuration: r#""add""#.into(),
        }
    }

    fn evaluate(cart: &Cart, configuration: &Configuration) -> Result<Vec<Effect>, Refusal> {
        match configuration {
            Configuration::AfterTrial if cart.lines[0].merchant == "trial" => Ok(Vec::new()),
            Configuration::Add | Configuration::AfterTrial => {
                let mut sum = cart.subtotal;
                while black_box(true) {
                    sum = black_box(sum.wrapping_add(1));
                }
                Err(Refusal::Other(sum.to_string()))
            }
            Configuration::Copy => {
                let from = black_box(vec![1_u8; 4 << 20]);
                let mut to = black_box(vec![0_u8; 4 << 20]);
                while black_box(true) {
                    to.copy_from_slice(&from);
                    black_box(&mut to);
                }
                Err(Refusal::Other("copied".into()))
            }
            Configuration::Recurse => Err(Refusal::Other(deeper(cart.subtotal).to_string())),
        }
    }
}

#[allow(unconditional_recursion, clippy::only_used_in_recursion)]
fn deeper(depth: i64) -> i64 {
    let frame = black_box([depth; 64]);
    deeper(black_box(depth.wrapping_add(frame[0]))).wrapping_add(frame[63])
}

export_promotion!(EndlessLoop);
