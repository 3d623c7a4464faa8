//! A shop in one thread: three services with rows and memory, a network and a provider that misbehave, and a seed that
//! decides all of it.

mod checks;
mod order;
mod others;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Timestamp,
    id::{LocationId, MerchantId, OrderId},
    message::{
        inventory::{HoldAsk, HoldState, HoldVerdict},
        order::AbandonVerdict,
        payment::IntentState,
    },
    saga::Command,
    stock::StockRow,
};

use crate::world::{
    SplitMix64,
    inventory::Inventory,
    payment::{Intent, Job},
    provider::{Charge, Stage},
};
use order::Row;
use plan::Plan;

/// Shoppers, each with one quote and so with one order id.
pub(crate) const SHOPPERS: usize = 6;
/// Events after which a run has to be quiet.
const EVENTS_MAX: usize = 20_000;
/// The hour at which everything begins: far from the beginning of time, so that no clock is cut off.
const BEGIN_MS: i64 = 1_000_000_000;
/// Milliseconds after which nothing is lost, repeated or crashes any more.
const CALM_AFTER_MS: i64 = 45 * 60_000;

/// Who a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Order,
    Inventory,
    Payment,
}

/// What goes over the network. Orders are named by their shopper.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Place {
        order: usize,
        key: u8,
    },
    Cancel {
        order: usize,
    },
    PayAgain {
        order: usize,
        attempt: u8,
    },
    LetGo {
        order: usize,
    },
    Hold {
        order: usize,
        key: u8,
        ask: HoldAsk,
    },
    Verdict {
        order: usize,
        key: u8,
        verdict: HoldVerdict,
    },
    Command {
        order: usize,
        command: Command,
    },
    Attempt {
        order: usize,
        attempt: u8,
    },
    Intent {
        order: usize,
        state: Box<IntentState>,
    },
    HoldIs {
        order: usize,
        state: HoldState,
    },
    RefundBegun {
        order: usize,
    },
    Abandon {
        order: usize,
    },
    Abandoned {
        order: usize,
        verdict: AbandonVerdict,
    },
    Changed {
        order: usize,
        state: Box<IntentState>,
    },
    Heard {
        order: usize,
        revision: i64,
    },
    Webhook {
        order: usize,
        seen: Charge,
    },
    /// To the shopper: it exists, or will never.
    Answer {
        order: usize,
        exists: bool,
    },
}

/// What happens at some time.
#[derive(Clone, Debug)]
enum Event {
    /// An answer reaches only the process that asked: the one of this epoch.
    Arrives {
        to: Service,
        epoch: Option<u32>,
        message: Message,
    },
    Due {
        order: usize,
        at: i64,
    },
    Ask {
        order: usize,
    },
    Job {
        order: usize,
        job: Job,
        tries: u32,
    },
    Poll {
        order: usize,
        pause: i64,
    },
    Tell {
        order: usize,
        pause: i64,
    },
    Card {
        order: usize,
        attempt: u8,
        word: Stage,
        pays: bool,
    },
    Shopper {
        order: usize,
    },
    Crash {
        service: Service,
        down_ms: i64,
    },
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) rng: SplitMix64,
    pub(crate) plan: Plan,
    pub(crate) now: i64,
    queue: BTreeMap<(i64, u64), Event>,
    sequence: u64,
    /// By service: when it is up again, and how often it was started.
    up_at: [i64; 3],
    epochs: [u32; 3],

    // The order service: rows, and what waits for a hold in its memory.
    keys: BTreeMap<(usize, u8), usize>,
    claims: [Option<AbandonVerdict>; SHOPPERS],
    rows: [Option<Row>; SHOPPERS],
    cancelled_keys: BTreeSet<usize>,
    waiting: BTreeMap<(usize, u8), Timestamp>,
    /// The last thing that a saga wanted a person to look at.
    exception: Option<&'static str>,

    inventory: Inventory,

    // Payment: rows, and which calls are planned.
    intents: [Option<Intent>; SHOPPERS],
    told: [i64; SHOPPERS],
    planned: [[bool; 4]; SHOPPERS],
    telling: [bool; SHOPPERS],
    polling: [bool; SHOPPERS],
    attempt_keys: BTreeSet<(usize, u8)>,

    charges: [Charge; SHOPPERS],
    answered: [Option<bool>; SHOPPERS],
    asked: [u8; SHOPPERS],
    /// Broken on purpose: inventory voids a hold when its time is over and asks nobody.
    pub(crate) holds_end_by_time: bool,
    /// What happened, when somebody wants to read it.
    pub(crate) trace: Option<Vec<String>>,
}

pub(crate) fn order_id(order: usize) -> OrderId {
    OrderId::from_u128(u128::try_from(order).unwrap() + 1)
}

pub(crate) fn merchant() -> MerchantId {
    MerchantId::from_u128(1)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = SplitMix64(seed);
        let plan = Plan::draw(&mut rng);
        let row = |(index, on_hand): (usize, &i64)| {
            let location = index % 2;
            StockRow {
                sku_no: if index < 2 { 1 } else { 2 },
                location: LocationId::from_u128(u128::try_from(location).unwrap() + 1),
                priority: i32::try_from(location).unwrap(),
                merchant: merchant(),
                on_hand: *on_hand,
                pending: 0,
                posted: 0,
                short: 0,
                safety: 0,
                reorder_point: 0,
            }
        };
        let rows = plan.on_hand.iter().enumerate().map(row).collect();
        let mut world = Self {
            rng,
            now: BEGIN_MS,
            queue: BTreeMap::new(),
            sequence: 0,
            up_at: [0; 3],
            epochs: [0; 3],
            keys: BTreeMap::new(),
            claims: [None; SHOPPERS],
            rows: [None; SHOPPERS],
            cancelled_keys: BTreeSet::new(),
            waiting: BTreeMap::new(),
            exception: None,
            inventory: Inventory { rows, ..Inventory::default() },
            intents: [const { None }; SHOPPERS],
            told: [0; SHOPPERS],
            planned: [[false; 4]; SHOPPERS],
            telling: [false; SHOPPERS],
            polling: [false; SHOPPERS],
            attempt_keys: BTreeSet::new(),
            charges: [Charge::default(); SHOPPERS],
            answered: [None; SHOPPERS],
            asked: [0; SHOPPERS],
            holds_end_by_time: false,
            trace: None,
            plan,
        };
        for order in 0..SHOPPERS {
            world.after(world.plan.shoppers[order].comes_ms, Event::Shopper { order });
        }
        for (service, at_ms, down_ms) in world.plan.crashes.clone() {
            world.after(at_ms, Event::Crash { service, down_ms });
        }
        world
    }

    /// Until nothing happens any more; then everything has to be right.
    pub(crate) fn run(&mut self) -> Result<usize, String> {
        let mut events = 0;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            events += 1;
            if events > EVENTS_MAX {
                return Err("it does not come to rest".to_owned());
            }
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{:>9} {event:?}", at - BEGIN_MS));
            }
            self.happens(event);
            self.check_always()?;
        }
        self.check_end()?;
        Ok(events)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives { to, epoch, message } => {
                let up = self.now >= self.up_at[to as usize];
                let meant = epoch.is_none_or(|epoch| epoch == self.epochs[to as usize]);
                if let Message::Answer { order, exists } = message {
                    self.answered[order] = Some(exists);
                } else if up && meant {
                    match to {
                        Service::Order => self.order_hears(message),
                        Service::Inventory => self.inventory_hears(message),
                        Service::Payment => self.payment_hears(message),
                    }
                }
            }
            Event::Due { order, at } => self.when_up(Service::Order, event, |world| world.order_is_due(order, at)),
            Event::Ask { order } => self.when_up(Service::Inventory, event, |world| world.inventory_asks(order)),
            Event::Job { order, job, tries } => {
                self.when_up(Service::Payment, event, |world| world.payment_calls(order, job, tries));
            }
            Event::Poll { order, pause } => {
                self.when_up(Service::Payment, event, |world| world.payment_polls(order, pause));
            }
            Event::Tell { order, pause } => {
                self.when_up(Service::Payment, event, |world| world.payment_tells(order, pause));
            }
            Event::Card { order, attempt, word, pays } => self.card_speaks(order, attempt, word, pays),
            Event::Shopper { order } => self.shopper_acts(order),
            Event::Crash { service, down_ms } => self.crash(service, down_ms),
        }
    }

    /// What rows bring about waits for a process.
    fn when_up(&mut self, service: Service, event: Event, then: impl FnOnce(&mut Self)) {
        let up_at = self.up_at[service as usize];
        if self.now >= up_at { then(self) } else { self.at(up_at, event) }
    }

    fn at(&mut self, at: i64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn after(&mut self, ms: i64, event: Event) {
        self.at(self.now + ms, event);
    }

    fn is_calm(&self) -> bool {
        self.now >= BEGIN_MS + CALM_AFTER_MS
    }

    /// Something bad, so often in a thousand times; never any more once it is calm.
    fn misfortune(&mut self, permille: i64) -> bool {
        !self.is_calm() && self.rng.happens(permille)
    }

    /// What the service's own clock says.
    fn clock(&self, service: Service) -> Timestamp {
        Timestamp::from_unix_ms(self.now + self.plan.skews[service as usize])
    }

    fn crash(&mut self, service: Service, down_ms: i64) {
        self.epochs[service as usize] += 1;
        self.up_at[service as usize] = self.now + down_ms;
        if service == Service::Order {
            self.waiting.clear();
        }
    }

    fn send(&mut self, to: Service, message: Message) {
        self.carry(to, None, message);
    }

    /// An answer to whoever is the process of that service now.
    fn answer(&mut self, to: Service, message: Message) {
        let epoch = self.epochs[to as usize];
        self.carry(to, Some(epoch), message);
    }

    fn carry(&mut self, to: Service, epoch: Option<u32>, message: Message) {
        if self.misfortune(self.plan.lost) {
            return;
        }
        if self.misfortune(self.plan.repeated) {
            let delay = self.delay();
            self.after(delay, Event::Arrives { to, epoch, message: message.clone() });
        }
        let delay = self.delay();
        self.after(delay, Event::Arrives { to, epoch, message });
    }

    fn delay(&mut self) -> i64 {
        if self.misfortune(self.plan.late) { self.rng.range(1_000, 20 * 60_000) } else { self.rng.range(1, 300) }
    }
}
