//! Plugins that waste time are left out for a while.

use super::lock;
use crate::{
    limits::{STRIKES_MAX, SUSPENSION},
    protocol::{Hash, Outcome},
};
use std::{collections::HashMap, sync::Mutex};
use tokio::time::Instant;

/// How often in a row each plugin was ended by the clock or lost its process.
#[derive(Debug, Default)]
pub(super) struct Strikes(Mutex<HashMap<Hash, (u32, Instant)>>);

impl Strikes {
    /// Whether this plugin is to be left out now. After the suspension it gets one chance, not three.
    pub(super) fn suspended(&self, plugin: &Hash) -> bool {
        lock(&self.0).get(plugin).is_some_and(|(strikes, last)| *strikes >= STRIKES_MAX && last.elapsed() < SUSPENSION)
    }

    /// Takes note of an outcome. What fuel or memory ended is no strike: it cost little, and every machine repeats it.
    pub(super) fn count(&self, plugin: &Hash, outcome: &Outcome) {
        let mut plugins = lock(&self.0);
        match outcome {
            Outcome::TimedOut | Outcome::HostLost { .. } => {
                let (strikes, last) = plugins.entry(*plugin).or_insert((0, Instant::now()));
                (*strikes, *last) = (strikes.saturating_add(1), Instant::now());
                if *strikes >= STRIKES_MAX {
                    tracing::warn!(%plugin, strikes, "the plugin wastes time and is left out for a while");
                }
            }
            Outcome::Suspended | Outcome::NotLoaded => {}
            _ => {
                plugins.remove(plugin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_wastes_time_again_and_again_is_left_out_and_no_other() {
        let strikes = Strikes::default();
        let (slow, other) = (Hash::of(b"slow"), Hash::of(b"other"));
        let lost = Outcome::HostLost { detail: String::new() };
        for outcome in [&Outcome::TimedOut, &lost, &Outcome::TimedOut] {
            assert!(!strikes.suspended(&slow));
            strikes.count(&slow, outcome);
        }
        assert!(strikes.suspended(&slow));
        assert!(!strikes.suspended(&other));
    }

    #[test]
    fn an_answer_in_between_forgives_all() {
        let strikes = Strikes::default();
        let plugin = Hash::of(b"plugin");
        for _ in 0..STRIKES_MAX {
            strikes.count(&plugin, &Outcome::TimedOut);
            strikes.count(&plugin, &Outcome::OutOfFuel);
        }
        assert!(!strikes.suspended(&plugin));
    }
}
