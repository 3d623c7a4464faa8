//! What a seed decides before anything happens.

use bodega_domain::{catalog::SkuNo, message::inventory::HoldLine};

use super::{SHOPPERS, Service, merchant};
use crate::world::SplitMix64;

/// What a card does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    Pays,
    Refused,
    /// Authorises and refuses every capture.
    CaptureFails,
    /// Authorises after minutes.
    Slow,
    /// Never says anything.
    Silent,
}

/// What a shopper does.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    pub(crate) comes_ms: i64,
    pub(crate) lines: Vec<HoldLine>,
    /// Minor units.
    pub(crate) total: i64,
    /// One for each attempt.
    pub(crate) cards: Vec<Card>,
    /// Asks in a second window, with a key of its own and the same quote.
    pub(crate) twice: bool,
    /// Calls the order off, when it exists by then.
    pub(crate) cancels: bool,
    /// Inventory wants its stock back.
    pub(crate) lets_go: bool,
}

/// A plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// SKU 1 at both locations, then SKU 2.
    pub(crate) on_hand: [i64; 4],
    pub(crate) shoppers: Vec<Shopper>,
    /// Milliseconds by which each service's clock is wrong.
    pub(crate) skews: [i64; 3],
    /// In a thousand messages.
    pub(crate) lost: i64,
    pub(crate) repeated: i64,
    pub(crate) late: i64,
    /// In a thousand calls to the provider.
    pub(crate) unanswered: i64,
    /// Service, when, and for how long.
    pub(crate) crashes: Vec<(Service, i64, i64)>,
}

impl Plan {
    pub(crate) fn draw(rng: &mut SplitMix64) -> Self {
        let mut crashes = Vec::new();
        for service in [Service::Order, Service::Inventory, Service::Payment] {
            for _ in 0..rng.range(0, 3) {
                crashes.push((service, rng.range(0, 30 * 60_000), rng.range(100, 5 * 60_000)));
            }
        }
        Self {
            on_hand: std::array::from_fn(|_| rng.range(0, 4)),
            shoppers: (0..SHOPPERS).map(|_| Shopper::draw(rng)).collect(),
            skews: std::array::from_fn(|_| rng.range(-600_000, 600_001)),
            lost: rng.range(0, 250),
            repeated: rng.range(0, 250),
            late: rng.range(0, 150),
            unanswered: rng.range(0, 300),
            crashes,
        }
    }
}

impl Shopper {
    fn draw(rng: &mut SplitMix64) -> Self {
        let line = |sku_no: SkuNo, rng: &mut SplitMix64| HoldLine {
            sku_no,
            quantity: u32::try_from(rng.range(1, 4)).unwrap(),
            merchant: merchant(),
        };
        let mut lines = Vec::new();
        let which = rng.range(1, 4);
        if which & 1 != 0 {
            lines.push(line(1, rng));
        }
        if which & 2 != 0 {
            lines.push(line(2, rng));
        }
        let card = |rng: &mut SplitMix64| match rng.range(0, 10) {
            0 | 1 => Card::Refused,
            2 => Card::CaptureFails,
            3 | 4 => Card::Slow,
            5 => Card::Silent,
            _ => Card::Pays,
        };
        Self {
            comes_ms: rng.range(0, 10 * 60_000),
            total: lines.iter().map(|line| i64::from(line.quantity) * 500).sum(),
            lines,
            cards: (0..rng.range(1, 4)).map(|_| card(rng)).collect(),
            twice: rng.happens(200),
            cancels: rng.happens(250),
            lets_go: rng.happens(100),
        }
    }
}
