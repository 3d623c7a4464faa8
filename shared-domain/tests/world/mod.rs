//! What the model check and the simulation share: inventory, payment and the provider as they behave, without I/O.
//!
//! The rules are the domain's own functions; what stands here is only what the services keep in rows around them.

#![allow(dead_code, reason = "each test that includes this world uses another part of it")]

pub(crate) mod inventory;
pub(crate) mod payment;
pub(crate) mod provider;

use bodega_domain::money::{Currency, Money};

/// Minor units of the currency that everything here costs.
pub(crate) fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

/// Randomness that a seed determines on every machine.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` up to and without `high`.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high - low).unwrap();
        low + i64::try_from(self.next() % width).unwrap()
    }

    /// Whether something happens that happens so often in a thousand times.
    pub(crate) fn happens(&mut self, permille: i64) -> bool {
        self.range(0, 1_000) < permille
    }
}
