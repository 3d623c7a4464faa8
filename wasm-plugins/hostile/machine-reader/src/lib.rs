//! Hostile plugin, for tests: it tries to tell one machine, process or call from another, and to say so in its label.

use bodega_plugin_sdk::{Cart, Description, Effect, Promotion, Refusal, export_promotion};
use std::{
    collections::HashSet,
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering},
};

/// Would count the calls, if anything outlived one.
static CALLS: AtomicU32 = AtomicU32::new(0);

struct MachineReader;

impl Promotion for MachineReader {
    type Configuration = serde::de::IgnoredAny;

    fn describe() -> Description {
        Description {
            name: "machine-reader".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Tries to tell one machine from another.".into(),
            example_configuration: "{}".into(),
        }
    }

    // Floats are what it is after: their "not a number" has other bits on other processors.
    #[allow(clippy::float_arithmetic)]
    fn evaluate(_cart: &Cart, _configuration: &Self::Configuration) -> Result<Vec<Effect>, Refusal> {
        let nan = (black_box(0.0_f64) / black_box(0.0_f64)).to_bits();
        let small_nan = (black_box(f32::INFINITY) - black_box(f32::INFINITY)).to_bits();
        // A hash set has its keys in an order that is random wherever there is randomness.
        let order: String = ('a'..='h').collect::<HashSet<char>>().into_iter().collect();
        let address = &raw const nan as usize;
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        let label = format!("{nan:016x} {small_nan:08x} {order} {address:x} {calls}");
        Ok(vec![Effect::on_order(label).percentage(1)])
    }
}

export_promotion!(MachineReader);
