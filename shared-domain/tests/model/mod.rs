//! Two shoppers and one unit, as states and the steps between them.
//!
//! The network is the set of everything that was ever sent: any of it may arrive now, later, twice or never, in any order.
//! That is more than one loss, one repetition and one crash: it is any number of them. What a crash of the order service
//! takes besides is what it has only in memory: that it waits for a hold. Time is a choice, too: each look at a saga may
//! come early, after the deadline of its payment, or after hours of silence.

pub(crate) mod packed;
mod steps;

use bodega_domain::{
    Timestamp,
    id::{LocationId, MerchantId, OrderId},
    message::inventory::{HoldAsk, HoldLine, HoldState},
    saga::{End, Saga, Step},
    stock::{Allocation, StockRow},
};

use crate::world::{
    inventory::Inventory,
    provider::{Charge, Stage},
};
use packed::PackedIntent;
pub(crate) use steps::Label;

/// What an order costs.
pub(crate) const TOTAL: i64 = 100;

/// What is broken on purpose, to see that the checker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The order asks for the money when it asks for the stock.
    CaptureBeforePosting,
    /// Inventory voids a hold when its time is over and asks nobody.
    HoldVoidedByTime,
    /// The order service says that an order will never exist and does not write it down.
    AbandonWithoutTombstone,
    /// Inventory does not look for a hold of the same order.
    HoldForgotten,
    /// The order believes that its refund is begun when it has only asked for it.
    RefundOnlyAsked,
    /// Nobody looks for sagas that are due.
    NeverDue,
}

/// What may happen in this world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) fault: Fault,
    /// The provider takes money that nobody asked it to take, even of what was cancelled.
    pub(crate) takes_unasked: bool,
    /// The provider may be silent for hours.
    pub(crate) silence: bool,
    /// Orders that are asked for.
    pub(crate) orders: usize,
    /// How often a shopper tries to pay.
    pub(crate) attempts: u8,
}

/// Whether an order id is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Claim {
    #[default]
    None,
    Placed,
    Abandoned,
}

/// Everything that was ever sent about an order. Words of payment are all its states so far: it tells each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sent {
    pub(crate) hold_ask: bool,
    /// Held, short, voided.
    pub(crate) verdicts: [bool; 3],
    /// By [`packed::COMMANDS`].
    pub(crate) commands: [bool; 7],
    /// By the bits of [`packed::word`].
    pub(crate) words: u64,
    /// By [`packed::HOLDS`].
    pub(crate) holds: [bool; 4],
    pub(crate) refund_begun: bool,
    pub(crate) abandon: bool,
    /// It exists, it is abandoned.
    pub(crate) answers: [bool; 2],
}

/// One order id with everything about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct One {
    pub(crate) claim: Claim,
    /// In the memory of the order service: it waits for the hold.
    pub(crate) asking: bool,
    /// By [`packed::STEPS`].
    pub(crate) step: u8,
    /// The saga knows that its payment is being closed.
    pub(crate) heard_closing: bool,
    /// Its end was not waited for: nobody said for hours that its payment is over. A person was told.
    pub(crate) unsettled: bool,
    /// By [`packed::HOLDS`].
    pub(crate) hold: u8,
    /// Units in the lines of its hold.
    pub(crate) units: u8,
    /// Inventory still wants to ask about it.
    pub(crate) ask: bool,
    pub(crate) intent: Option<PackedIntent>,
    pub(crate) charge: Charge,
    pub(crate) sent: Sent,
}

/// A state of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shop {
    pub(crate) pending: u8,
    pub(crate) posted: u8,
    pub(crate) orders: [One; 2],
}

pub(crate) fn order_id(index: usize) -> OrderId {
    OrderId::from_u128(if index == 0 { 1 } else { 2 })
}

fn merchant() -> MerchantId {
    MerchantId::from_u128(1)
}

pub(crate) fn hold_ask(index: usize) -> HoldAsk {
    let line = HoldLine { sku_no: 1, quantity: 1, merchant: merchant() };
    HoldAsk { order: order_id(index), lines: vec![line], ask_at: Timestamp::from_unix_ms(0) }
}

impl One {
    pub(crate) fn step(&self) -> Option<Step> {
        packed::STEPS[usize::from(self.step)]
    }

    pub(crate) fn hold(&self) -> HoldState {
        packed::HOLDS[usize::from(self.hold)]
    }

    /// The saga of this step. Its times are these: early is at 0, the deadline of the payment is over at minute 10.
    pub(crate) fn saga(&self) -> Option<Saga> {
        let placed = Saga::placed(Timestamp::from_unix_ms(0));
        let closing_since = self.heard_closing.then_some(placed.placed_at);
        self.step().map(|step| Saga { step, closing_since, ..placed })
    }

    /// Every message is lost, and the order service has just started.
    pub(crate) fn with_all_lost(&self) -> Self {
        Self { asking: false, sent: Sent::default(), ..*self }
    }

    fn paid(&self) -> bool {
        self.step() == Some(Step::Settled)
    }

    /// What must hold of an order, whatever happens.
    fn check(&self, rules: &Rules) -> Result<(), &'static str> {
        let hold = self.hold();
        let refunding = self.intent.is_some_and(|intent| intent.refund_claimed);
        let claimed = self.intent.is_some_and(|intent| intent.capture_claimed);
        let taken = self.charge.stage == Stage::Captured && self.charge.refunds == 0;
        if self.claim != Claim::Placed && self.step().is_some() {
            return Err("an order exists whose id was given up");
        }
        if self.charge.captures > 1 || self.charge.refunds > self.charge.captures {
            return Err("money moved twice");
        }
        if !rules.takes_unasked && taken && !refunding && hold != HoldState::Posted {
            return Err("money was taken without posted stock");
        }
        // What the provider has given up it does not take any more, whatever was asked of it.
        let may_take = self.charge.stage != Stage::Cancelled;
        if claimed && may_take && !refunding && hold != HoldState::Posted {
            return Err("money was asked for without posted stock");
        }
        match self.step() {
            Some(Step::Opening | Step::Paying) if hold != HoldState::Pending => {
                Err("an order may be paid whose stock is gone")
            }
            Some(Step::Capturing | Step::Settled) if hold != HoldState::Posted => {
                Err("an order gets its money without its stock")
            }
            Some(Step::Settled) if !taken || refunding => Err("a paid order has not its money"),
            Some(Step::Releasing(_) | Step::Ended(_)) if claimed && taken && !refunding => {
                Err("an order ends and keeps the money")
            }
            _ => Ok(()),
        }
    }

    /// Whether it is at its end, and how it should be there.
    pub(crate) fn rests(&self) -> Result<(), &'static str> {
        let kept = self.charge.kept(TOTAL);
        let open = matches!(self.charge.stage, Stage::Processing | Stage::Authorised);
        match self.step() {
            None if matches!(self.hold(), HoldState::None | HoldState::Voided) => Ok(()),
            None => Err("a hold has no owner"),
            Some(Step::Settled) if self.hold() == HoldState::Posted && kept == TOTAL => Ok(()),
            Some(Step::Settled) => Err("an order rests paid without stock or money"),
            Some(Step::Ended(_)) if self.hold() != HoldState::Voided => Err("an ended order keeps its stock"),
            Some(Step::Ended(_)) if kept != 0 => Err("an ended order keeps money"),
            Some(Step::Ended(_)) if open && !self.unsettled => Err("an ended order can still be paid"),
            Some(Step::Ended(_)) => Ok(()),
            Some(_) => Err("an order is not at rest"),
        }
    }

    /// Who has neither stock nor anything to hear any more is the same whatever was sent: this is its end.
    pub(crate) fn at_end(&self) -> Self {
        let ended = matches!(self.step(), Some(Step::Ended(End::Expired | End::Cancelled)));
        let step = if ended { self.step } else { 0 };
        Self { claim: self.claim, step, hold: self.hold, units: self.units, ..Self::default() }
    }
}

impl Shop {
    /// What must hold in every state.
    pub(crate) fn check(&self, rules: &Rules) -> Result<(), &'static str> {
        if self.orders.iter().any(|one| one.units > 1) {
            return Err("an order has two holds");
        }
        if self.pending + self.posted > 1 {
            return Err("more is promised than there is");
        }
        let sum = |state: HoldState| -> u8 {
            self.orders.iter().filter(|one| one.hold() == state).map(|one| one.units).sum()
        };
        if (self.pending, self.posted) != (sum(HoldState::Pending), sum(HoldState::Posted)) {
            return Err("the stock is not the sum of its holds");
        }
        if self.orders.iter().all(One::paid) {
            return Err("one unit was sold twice");
        }
        self.orders.iter().try_for_each(|one| one.check(rules))
    }

    /// The inventory of this state, for the rules that work on rows.
    fn inventory(&self) -> Inventory {
        let location = LocationId::from_u128(1);
        let row = StockRow {
            sku_no: 1,
            location,
            priority: 1,
            merchant: merchant(),
            on_hand: 1,
            pending: self.pending.into(),
            posted: self.posted.into(),
            short: 0,
            safety: 0,
            reorder_point: 0,
        };
        let mut inventory = Inventory { rows: vec![row], ..Inventory::default() };
        for (index, one) in self.orders.iter().enumerate() {
            let order = order_id(index);
            if one.hold() != HoldState::None {
                inventory.holds.insert(order, one.hold());
            }
            for _ in 0..one.units {
                let line = Allocation { order, sku_no: 1, location, merchant: merchant(), quantity: 1 };
                inventory.lines.push(line);
            }
        }
        inventory
    }

    fn keep(&mut self, inventory: &Inventory) {
        let row = &inventory.rows[0];
        self.pending = u8::try_from(row.pending).unwrap();
        self.posted = u8::try_from(row.posted).unwrap();
        for (index, one) in self.orders.iter_mut().enumerate() {
            let lines = inventory.lines.iter().filter(|line| line.order == order_id(index));
            one.hold = packed::hold_index(inventory.state(order_id(index)));
            one.units = u8::try_from(lines.count()).unwrap();
        }
    }
}
