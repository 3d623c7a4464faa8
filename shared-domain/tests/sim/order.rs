//! The order service: places, abandons, and drives its sagas.
//!
//! After `core-services/order/src/{place,drive}.rs`. What is written in one message is one transaction.

use bodega_domain::{
    limits::{HOLD_ASK_AFTER_S, PLACE_DEADLINE_MS},
    message::{
        inventory::{HoldAsk, HoldVerdict},
        order::AbandonVerdict,
    },
    saga::{Command, Input, Saga, Step},
};

use super::{Event, Message, Service, World, order_id};
use crate::world::provider::{Charge, Stage};

/// Seconds until a command is sent again, doubled at each attempt.
const AGAIN_AFTER_S: i64 = 2;
/// Seconds between two attempts, at most.
const AGAIN_AFTER_MAX_S: i64 = 60;

/// A saga with what is stored beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) saga: Saga,
    revision: i64,
    attempts: u32,
    /// Milliseconds of true time; the service reckons with its own clock, which runs as fast.
    due: Option<i64>,
}

impl World {
    pub(super) fn order_hears(&mut self, message: Message) {
        match message {
            Message::Place { order, key } => self.place(order, key),
            Message::Verdict { order, key, verdict } => self.verdict(order, key, &verdict),
            Message::Abandon { order } => {
                let verdict = *self.claims[order].get_or_insert(AbandonVerdict::Abandoned);
                self.answer(Service::Inventory, Message::Abandoned { order, verdict });
            }
            Message::Intent { order, state } => self.decide(order, &Input::Intent(&state)),
            Message::Changed { order, state } => {
                self.decide(order, &Input::Intent(&state));
                self.answer(Service::Payment, Message::Heard { order, revision: state.revision });
            }
            Message::HoldIs { order, state } => self.decide(order, &Input::Hold(state)),
            Message::RefundBegun { order } => self.decide(order, &Input::RefundBegun),
            Message::LetGo { order } => self.decide(order, &Input::LetGo),
            Message::Cancel { order } if !self.cancelled_keys.contains(&order) => {
                let may = self.rows[order].map(|row| row.saga.decide(&Input::Cancel, self.clock(Service::Order)));
                if matches!(may, Some(Ok(_))) {
                    self.cancelled_keys.insert(order);
                    self.decide(order, &Input::Cancel);
                }
            }
            Message::PayAgain { order, attempt } => {
                let now = self.clock(Service::Order);
                if self.rows[order].is_some_and(|row| row.saga.decide(&Input::PayAgain, now).is_ok()) {
                    self.send(Service::Payment, Message::Attempt { order, attempt });
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, order: usize, key: u8) {
        if self.keys.contains_key(&(order, key)) {
            self.answer_shopper(order, true);
        } else if let Some(claim) = self.claims[order] {
            // Used with another key, or given up: a new quote is needed either way.
            self.answer_shopper(order, claim == AbandonVerdict::Exists);
        } else {
            let deadline = self.clock(Service::Order).plus_ms(PLACE_DEADLINE_MS);
            self.waiting.insert((order, key), deadline);
            let lines = self.plan.shoppers[order].lines.clone();
            let ask = HoldAsk { order: order_id(order), lines, ask_at: deadline.plus_s(HOLD_ASK_AFTER_S) };
            self.send(Service::Inventory, Message::Hold { order, key, ask });
        }
    }

    fn verdict(&mut self, order: usize, key: u8, verdict: &HoldVerdict) {
        let Some(deadline) = self.waiting.remove(&(order, key)) else { return };
        let now = self.clock(Service::Order);
        match verdict {
            HoldVerdict::Held if now <= deadline => {}
            HoldVerdict::Voided => return self.answer_shopper(order, false),
            _ => return,
        }
        // One transaction: key, claim, order and saga, or none of them.
        if self.keys.contains_key(&(order, key)) || self.claims[order].is_some() {
            return;
        }
        self.keys.insert((order, key), order);
        self.claims[order] = Some(AbandonVerdict::Exists);
        let saga = Saga::placed(now);
        self.rows[order] = Some(Row { saga, revision: 0, attempts: 0, due: None });
        self.plan_due(order);
        if self.misfortune(30) {
            return self.crash(Service::Order, 2_000);
        }
        self.command(order, saga.command());
        self.answer_shopper(order, true);
    }

    fn answer_shopper(&mut self, order: usize, exists: bool) {
        self.send(Service::Order, Message::Answer { order, exists });
    }

    pub(super) fn order_is_due(&mut self, order: usize, at: i64) {
        if self.rows[order].is_some_and(|row| row.due == Some(at)) {
            self.decide(order, &Input::Due);
        }
    }

    fn decide(&mut self, order: usize, input: &Input<'_>) {
        let now = self.clock(Service::Order);
        let Some(row) = &mut self.rows[order] else { return };
        if let Input::Intent(intent) = input {
            let step = row.saga.step;
            let asks_anew = matches!(step, Step::Opening | Step::Paying | Step::Capturing | Step::Closing(_));
            if intent.revision <= row.revision && !asks_anew {
                return;
            }
            row.revision = row.revision.max(intent.revision);
        }
        let Ok(outcome) = row.saga.decide(input, now) else { return };
        if outcome.saga.step != row.saga.step {
            row.attempts = 0;
            if let Some(trace) = &mut self.trace {
                trace.push(format!("          order {order}: {:?}", outcome.saga.step));
            }
        } else if outcome.command.is_some() {
            row.attempts += 1;
        }
        row.saga = outcome.saga;
        self.exception = self.exception.or(outcome.exception);
        self.plan_due(order);
        if self.misfortune(20) {
            // After the commit and before the command.
            return self.crash(Service::Order, 1_000);
        }
        self.command(order, outcome.command);
    }

    fn plan_due(&mut self, order: usize) {
        let now = self.clock(Service::Order);
        let Some(row) = &mut self.rows[order] else { return };
        row.due = None;
        if row.saga.is_at_rest() {
            return;
        }
        let pause = AGAIN_AFTER_S.saturating_mul(1 << row.attempts.min(5)).min(AGAIN_AFTER_MAX_S) * 1_000;
        let pause = match row.saga.step {
            // Longer than in the service: what is asked here is only what got lost.
            Step::Paying => row.saga.pay_by.ms_since(now).clamp(0, AGAIN_AFTER_MAX_S * 4_000),
            _ => pause,
        };
        let at = self.now + pause;
        row.due = Some(at);
        self.at(at, Event::Due { order, at });
    }

    fn command(&mut self, order: usize, command: Option<Command>) {
        let Some(command) = command else { return };
        let to = match command {
            Command::PostStock | Command::ReleaseStock => Service::Inventory,
            _ => Service::Payment,
        };
        self.send(to, Message::Command { order, command });
    }

    /// Asks until there is an answer, a second time in another window; then calls off, or pays again.
    pub(super) fn shopper_acts(&mut self, order: usize) {
        let shopper = &self.plan.shoppers[order];
        let (twice, cancels, lets_go) = (shopper.twice, shopper.cancels, shopper.lets_go);
        let Charge { stage, attempt, .. } = self.charges[order];
        let another = stage == Stage::Refused && usize::from(attempt) < shopper.cards.len();
        self.asked[order] += 1;
        match self.answered[order] {
            Some(false) => return,
            None => {
                self.send(Service::Order, Message::Place { order, key: 0 });
                if twice {
                    self.send(Service::Order, Message::Place { order, key: 1 });
                }
            }
            Some(true) => {
                if another {
                    // Who was refused takes another card. Its key is its number.
                    self.send(Service::Order, Message::PayAgain { order, attempt: attempt + 1 });
                }
                if lets_go {
                    self.send(Service::Order, Message::LetGo { order });
                }
                if cancels && self.asked[order] >= 4 {
                    self.send(Service::Order, Message::Cancel { order });
                }
            }
        }
        if self.asked[order] < 9 {
            let pause = self.rng.range(500, 90_000);
            self.after(pause, Event::Shopper { order });
        }
    }
}
