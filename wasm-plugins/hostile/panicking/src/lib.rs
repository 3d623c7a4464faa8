//! Hostile plugin, for tests: it panics.

use bodega_plugin_sdk::{Cart, Description, Effect, Promotion, Refusal, export_promotion};

struct Panicking;

impl Promotion for Panicking {
    type Configuration = serde::de::IgnoredAny;

    fn describe() -> Description {
        Description {
            name: "panicking".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Panics.".into(),
            example_configuration: "{}".into(),
        }
    }

    fn evaluate(cart: &Cart, _configuration: &Self::Configuration) -> Result<Vec<Effect>, Refusal> {
        let beyond = &cart.lines[cart.lines.len()];
        Ok(vec![Effect::on_order(beyond.sku.clone()).percentage(1)])
    }
}

export_promotion!(Panicking);
