//! One call: a fresh store, an instance, an answer or the way it broke, and nothing left behind.

use super::{bindings, engine::Clocked, plugin::Plugin};
use bodega_plugin_host::{
    limits::{
        CONFIGURATION_BYTES_MAX, EPOCH_TICKS_MAX, FUEL_BASE, MEMORY_BYTES_MAX, NAME_BYTES_MAX, OUTPUT_BYTES_MAX,
        REFUSAL_BYTES_MAX, SUMMARY_BYTES_MAX, TABLE_ELEMENTS_MAX, VERSION_BYTES_MAX, fuel,
    },
    protocol::{Call, Cart, Description, Outcome, Refusal, Verdict, check},
};
use wasmtime::{Error, ResourceLimiter, Store, Trap};

/// What a store knows about its only call.
#[derive(Default)]
pub(super) struct State {
    /// Whether the instance was told that there is no more memory.
    denied: bool,
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grows(desired <= MEMORY_BYTES_MAX)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.grows(desired <= TABLE_ELEMENTS_MAX)
    }
}

impl State {
    /// "No" is what WebAssembly says when memory ends: a language that can then tidy up goes on, the others trap.
    fn grows(&mut self, granted: bool) -> wasmtime::Result<bool> {
        self.denied |= !granted;
        Ok(granted)
    }
}

/// Runs one call.
pub(super) fn call(clocked: &Clocked, plugin: &Plugin, call: &Call, cart: &Cart) -> Verdict {
    let given = call.fuel.unwrap_or_else(|| fuel(cart.lines.len()));
    let (answer, fuel) = in_fresh_store(clocked, plugin, given, |promotion, store| {
        let cart = bindings::cart(cart, &call.configuration);
        promotion.bodega_promotion_evaluator().call_evaluate(store, &cart)
    });
    let outcome = match answer {
        Ok(Ok(effects)) => check(cart, effects.into_iter().map(bindings::effect).collect()),
        Ok(Err(refusal)) => Outcome::Refused(cut(bindings::refusal(refusal))),
        Err(outcome) => outcome,
    };
    Verdict { outcome, fuel }
}

/// Asks a plugin what it is.
pub(super) fn describe(clocked: &Clocked, plugin: &Plugin) -> Result<Description, Outcome> {
    let (answer, _) = in_fresh_store(clocked, plugin, FUEL_BASE, |promotion, store| {
        promotion.bodega_promotion_evaluator().call_describe(store)
    });
    let description = bindings::description(answer?);
    match nonsense(&description) {
        None => Ok(description),
        Some(detail) => Err(Outcome::InvalidOutput { detail: detail.into() }),
    }
}

fn in_fresh_store<T>(
    clocked: &Clocked,
    plugin: &Plugin,
    given: u64,
    ask: impl FnOnce(&super::bindings::Promotion, &mut Store<State>) -> wasmtime::Result<T>,
) -> (Result<T, Outcome>, u64) {
    let mut store = Store::new(clocked.engine(), State::default());
    store.limiter(|state| state);
    store.set_hostcall_fuel(OUTPUT_BYTES_MAX);
    store.set_epoch_deadline(EPOCH_TICKS_MAX);
    // Fails only when the engine does not count fuel; then the call below would not end either.
    let answer = store
        .set_fuel(given)
        .and_then(|()| plugin.ready.instantiate(&mut store))
        .and_then(|promotion| ask(&promotion, &mut store))
        .map_err(|error| outcome(&error, store.data().denied));
    let left = store.get_fuel().unwrap_or(0);
    (answer, given.saturating_sub(left))
}

/// The outcome that an error of the engine is, for an instance that was or was not denied memory.
fn outcome(error: &Error, denied: bool) -> Outcome {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Outcome::OutOfFuel,
        Some(Trap::Interrupt) => Outcome::TimedOut,
        Some(_) if denied => Outcome::OutOfMemory,
        Some(trap) => Outcome::Trapped { detail: trap.to_string() },
        // The engine has no public type for this one; a test of each kind of giant output watches over the words.
        None if error.root_cause().to_string().contains("fuel allocated for hostcalls") => Outcome::OutputTooLarge,
        None => Outcome::Trapped { detail: error.root_cause().to_string() },
    }
}

/// A refusal is read by a person and kept: what is too long is cut, and what no line of text holds becomes a space.
fn cut(refusal: Refusal) -> Refusal {
    let short = |mut text: String| -> String {
        text.truncate(text.floor_char_boundary(REFUSAL_BYTES_MAX));
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    match refusal {
        Refusal::Configuration(text) => Refusal::Configuration(short(text)),
        Refusal::Other(text) => Refusal::Other(short(text)),
    }
}

/// The rule that a description breaks.
fn nonsense(description: &Description) -> Option<&'static str> {
    let slug = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let line =
        |text: &str, bytes: usize| !text.is_empty() && text.len() <= bytes && !text.chars().any(char::is_control);
    let Description { name, version, summary, example_configuration } = description;
    if !line(name, NAME_BYTES_MAX) || !slug(name) {
        Some("a name has 1 to 60 lower-case letters, digits and hyphens")
    } else if !line(version, VERSION_BYTES_MAX) || !line(summary, SUMMARY_BYTES_MAX) {
        Some("version and summary are one short line each")
    } else if example_configuration.len() > CONFIGURATION_BYTES_MAX
        || serde_json::from_str::<serde::de::IgnoredAny>(example_configuration).is_err()
    {
        Some("the example configuration is JSON of at most 16 KB")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_short_line_that_every_store_takes() {
        let said = |text: &str| cut(Refusal::Other(text.into()));
        assert_eq!(said("no\0 such\nthing\u{85}"), Refusal::Other("no  such thing ".into()));
        assert_eq!(cut(Refusal::Configuration("\0".into())), Refusal::Configuration(" ".into()));
        let Refusal::Other(long) = said(&"ü\0".repeat(REFUSAL_BYTES_MAX)) else { panic!("another refusal") };
        assert!(long.len() <= REFUSAL_BYTES_MAX && !long.chars().any(char::is_control), "{long}");
    }
}
