//! Hostile plugin, for tests: an ordinary plugin, but it wants a clock. It must be refused before it runs.

use bodega_plugin_sdk::{Cart, Description, Effect, Promotion, Refusal, export_promotion};

/// A world beside the promotion world, which asks for a clock.
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
mod clock {
    bodega_plugin_sdk::wit_bindgen::generate!({
        inline: "
            package bodega:nosy@1.0.0;
            interface clock { now: func() -> u64; }
            world nosy { import clock; }
        ",
        runtime_path: "::bodega_plugin_sdk::wit_bindgen::rt",
    });
}

struct Importer;

impl Promotion for Importer {
    type Configuration = serde::de::IgnoredAny;

    fn describe() -> Description {
        Description {
            name: "importer".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Wants a clock.".into(),
            example_configuration: "{}".into(),
        }
    }

    fn evaluate(_cart: &Cart, _configuration: &Self::Configuration) -> Result<Vec<Effect>, Refusal> {
        let now = clock::bodega::nosy::clock::now();
        Ok(vec![Effect::on_order(format!("At {now}")).percentage(100)])
    }
}

export_promotion!(Importer);
