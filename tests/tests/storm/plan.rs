//! What happens in a storm, decided before it begins: the same seed is the same plan.

use std::collections::BTreeMap;

/// Services, each in a process of its own.
pub(crate) const SERVICES: &[&str] = &[
    "identity",
    "catalog",
    "inventory",
    "pricing",
    "payment",
    "order",
    "cart",
    "notification",
    "replicator",
    "gateway",
];
/// Everything else that is killed.
const OTHERS: [&str; 6] = ["postgres", "nats", "redis", "simulator", "edge-1", "edge-2"];
/// Those that stand between a checkout and its order more often than others: they are killed more often.
const BUSY: [&str; 5] = ["order", "inventory", "payment", "postgres", "nats"];
/// Kills of each process at least.
pub(crate) const KILLS_EACH_MIN: u32 = 10;
/// Kills in all at least.
pub(crate) const KILLS_MIN: u32 = 200;
/// Blows in a minute, about: with what they need to come back.
const BLOWS_A_MINUTE: u32 = 45;
/// Purchases in a minute at most: a reserve, so that shoppers never run out of wishes.
const PURCHASES_A_MINUTE: u32 = 400;
/// Articles that are scarce: everybody wants them.
pub(crate) const ARTICLES: usize = 6;
/// Units of each.
pub(crate) const UNITS: i64 = 160;
/// Minutes by which a clock goes wrong at most.
const SKEW_MIN: u64 = 12;
/// Whose clocks go wrong, and how often at least.
const WITH_CLOCKS: [&str; 4] = ["order", "inventory", "payment", "pricing"];
const CLOCKS_MIN: usize = 8;

/// Numbers that follow from a seed (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(1))).unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What hits the shop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Blow {
    /// These end as by SIGKILL, at one moment, and are started again.
    Kill(Vec<&'static str>),
    /// It is frozen for so many milliseconds: its sockets are open and nobody answers.
    Freeze(&'static str, u64),
    /// All connections of a service to its database are cut.
    CutDatabase(&'static str),
    /// The next call of this kind at the provider goes wrong in this way.
    Provider(&'static str, &'static str),
    /// Webhooks are held back for a while, then sent in another order, some of them twice.
    Webhooks,
    /// The bus has no room for events for a while.
    FullQueue,
    /// A process is started again with a clock that is so many minutes off.
    Clock(&'static str, i64),
}

/// How a shopper pays, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wish {
    /// With a card that works, and waits for the goods.
    Buy,
    /// The same, then calls the order off.
    CallOff,
    /// A card is refused, another one pays.
    SecondCard,
    /// A card is refused, and that is that.
    GiveUp,
    /// The bank asks back, and the shopper says yes.
    Challenge,
    /// The bank speaks later.
    Slow,
    /// The bank says everything twice and in disorder.
    Stutter,
    /// The bank keeps the money when it is asked for it.
    NoCapture,
    /// The card can be charged once only.
    OneCapture,
}

impl Wish {
    /// The card that is tried first.
    pub(crate) const fn card(self) -> &'static str {
        match self {
            Wish::Buy | Wish::CallOff => "card_ok",
            Wish::SecondCard | Wish::GiveUp => "card_refused",
            Wish::Challenge => "card_challenge",
            Wish::Slow => "card_slow",
            Wish::Stutter => "card_duplicate",
            Wish::NoCapture => "card_capture_fails",
            Wish::OneCapture => "card_one_capture",
        }
    }
}

/// What becomes of a paid order's goods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Goods {
    /// They stay.
    Stay,
    /// They leave in one parcel.
    Leave,
    /// One piece leaves, another one is called off, then the rest leaves.
    InPieces,
    /// They leave, arrive, and one piece comes back.
    ComeBack,
}

/// A shopper's way through the shop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Purchase {
    pub(crate) key: String,
    pub(crate) edge: usize,
    /// Which article, and how many.
    pub(crate) lines: Vec<(usize, u32)>,
    pub(crate) wish: Wish,
    pub(crate) goods: Goods,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// With the pause before each, milliseconds.
    pub(crate) blows: Vec<(u64, Blow)>,
    pub(crate) purchases: Vec<Purchase>,
}

impl Plan {
    /// A storm of at least so many minutes; 0 for the shortest that kills often enough.
    pub(crate) fn new(seed: u64, minutes: u32) -> Self {
        let mut dice = Dice::new(seed);
        let mut victims: Vec<&'static str> = Vec::new();
        for name in SERVICES.iter().chain(&OTHERS) {
            victims.extend(std::iter::repeat_n(*name, usize::try_from(KILLS_EACH_MIN).unwrap_or(10)));
        }
        while victims.len() < usize::try_from(KILLS_MIN.max(minutes * BLOWS_A_MINUTE)).unwrap_or(usize::MAX) {
            victims.push(dice.pick(&BUSY));
        }
        for at in (1..victims.len()).rev() {
            victims.swap(at, dice.index(at + 1));
        }
        let mut blows = Vec::new();
        while !victims.is_empty() {
            let at_once = 1 + dice.index(3);
            let mut together: Vec<&'static str> = Vec::new();
            for name in victims.split_off(victims.len().saturating_sub(at_once)) {
                if together.contains(&name) { victims.push(name) } else { together.push(name) }
            }
            blows.push((100 + dice.below(700), Blow::Kill(together)));
            if dice.chance(35) {
                blows.push((50 + dice.below(300), Self::other_blow(&mut dice)));
            }
        }
        // Clocks go wrong both ways, all through the storm, whatever else the dice say.
        for n in 0..CLOCKS_MIN {
            let at = blows.len() * (2 * n + 1) / (2 * CLOCKS_MIN);
            let pause = 50 + dice.below(300);
            blows.insert(at, (pause, Self::clock(&mut dice, n % 2 == 0)));
        }
        let count = PURCHASES_A_MINUTE * minutes.max(4);
        let purchases = (0..count).map(|n| Self::purchase(&mut dice, n)).collect();
        Self { seed, blows, purchases }
    }

    fn other_blow(dice: &mut Dice) -> Blow {
        let service = dice.pick(SERVICES);
        match dice.below(12) {
            0..=2 => {
                Blow::Freeze(dice.pick(&["order", "inventory", "payment", "nats", "postgres"]), 300 + dice.below(2_500))
            }
            3..=4 => Blow::CutDatabase(service),
            5..=7 => {
                let modes = ["refuse", "drop_response", "hang_after", "hang_before"];
                Blow::Provider(dice.pick(&["create", "capture", "cancel", "refund", "confirm"]), dice.pick(&modes))
            }
            8..=9 => Blow::Webhooks,
            10 => Blow::FullQueue,
            _ => {
                let ahead = dice.chance(50);
                Self::clock(dice, ahead)
            }
        }
    }

    fn clock(dice: &mut Dice, ahead: bool) -> Blow {
        let minutes = 1 + i64::try_from(dice.below(SKEW_MIN)).unwrap_or(0);
        Blow::Clock(dice.pick(&WITH_CLOCKS), if ahead { minutes } else { -minutes })
    }

    fn purchase(dice: &mut Dice, n: u32) -> Purchase {
        let first = dice.index(ARTICLES);
        let mut lines = vec![(first, 1 + u32::try_from(dice.below(3)).unwrap_or(0))];
        let second = dice.index(ARTICLES);
        if second != first && dice.chance(40) {
            lines.push((second, 1 + u32::try_from(dice.below(2)).unwrap_or(0)));
        }
        let wish = match dice.below(100) {
            0..=44 => Wish::Buy,
            45..=54 => Wish::CallOff,
            55..=62 => Wish::SecondCard,
            63..=67 => Wish::GiveUp,
            68..=75 => Wish::Challenge,
            76..=82 => Wish::Slow,
            83..=90 => Wish::Stutter,
            91..=94 => Wish::NoCapture,
            _ => Wish::OneCapture,
        };
        let goods = match dice.below(4) {
            0 => Goods::Stay,
            1 => Goods::Leave,
            2 => Goods::InPieces,
            _ => Goods::ComeBack,
        };
        Purchase { key: format!("storm-{n}"), edge: dice.index(2), lines, wish, goods }
    }

    /// A number that is the same for the same plan.
    pub(crate) fn digest(&self) -> u64 {
        use std::hash::{Hash as _, Hasher as _};
        // With fixed keys: the same on every machine.
        #[allow(deprecated, reason = "its keys are fixed, which those of its successor are not")]
        let mut hasher = std::hash::SipHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Kills by process.
    pub(crate) fn kills(&self) -> BTreeMap<&'static str, u32> {
        let mut kills = BTreeMap::new();
        for (_, blow) in &self.blows {
            if let Blow::Kill(names) = blow {
                names.iter().for_each(|name| *kills.entry(*name).or_default() += 1);
            }
        }
        kills
    }
}

#[test]
fn a_seed_is_a_plan_that_kills_everybody_often_enough() {
    for seed in [0, 1, 42, u64::MAX] {
        let plan = Plan::new(seed, 0);
        assert_eq!(plan, Plan::new(seed, 0));
        assert_ne!(plan.digest(), Plan::new(seed ^ 1, 0).digest());
        let kills = plan.kills();
        assert_eq!(kills.len(), SERVICES.len() + OTHERS.len());
        assert!(kills.values().all(|count| *count >= KILLS_EACH_MIN), "{kills:?}");
        assert!(kills.values().sum::<u32>() >= KILLS_MIN, "{kills:?}");
        let clocks = plan.blows.iter().filter_map(|(_, blow)| match blow {
            Blow::Clock(_, minutes) => Some(*minutes),
            _ => None,
        });
        assert!(clocks.clone().filter(|minutes| *minutes > 0).count() >= CLOCKS_MIN / 2);
        assert!(clocks.clone().filter(|minutes| *minutes < 0).count() >= CLOCKS_MIN / 2);
        assert!(clocks.clone().all(|minutes| minutes != 0), "a clock that goes wrong is wrong");
    }
}
