//! Effects read as sentences: `Effect::on_order("5 % off").percentage(500)`.

use crate::{Discount, Effect, LineUnits, Target};

/// An effect that knows its target and label, but not yet how much it takes off.
#[derive(Debug, Clone)]
#[must_use = "say how much: `percentage` or `amount`"]
pub struct Open {
    target: Target,
    label: String,
}

impl Effect {
    /// A discount on everything that the plugin sees.
    pub fn on_order(label: impl Into<String>) -> Open {
        Open { target: Target::Order, label: label.into() }
    }

    /// A discount on the shipping price.
    pub fn on_shipping(label: impl Into<String>) -> Open {
        Open { target: Target::Shipping, label: label.into() }
    }

    /// A discount on these lines together.
    pub fn on_lines(label: impl Into<String>, lines: impl IntoIterator<Item = LineUnits>) -> Open {
        Open { target: Target::Lines(lines.into_iter().collect()), label: label.into() }
    }
}

impl Open {
    /// Takes hundredths of a percent off, 1 to 10'000.
    #[must_use]
    pub fn percentage(self, bp: u32) -> Effect {
        Effect { target: self.target, discount: Discount::PercentageBp(bp), label: self.label }
    }

    /// Takes minor units of the cart's currency off the target as a whole, at least 1.
    #[must_use]
    pub fn amount(self, minor_units: i64) -> Effect {
        Effect { target: self.target, discount: Discount::Amount(minor_units), label: self.label }
    }
}

impl LineUnits {
    /// All pieces of a line.
    #[must_use]
    pub const fn all(index: u32) -> Self {
        Self { index, units: None }
    }

    /// So many pieces of a line.
    #[must_use]
    pub const fn some(index: u32, units: u32) -> Self {
        Self { index, units: Some(units) }
    }
}
