//! Inventory, payment and the provider.

use bodega_domain::{
    message::{inventory::HoldState, order::AbandonVerdict},
    order::PaymentStatus,
    saga::Command,
    stock::HoldChange,
};

use super::{Event, Message, Service, World, order_id, plan::Card};
use crate::world::{
    payment::{Intent, Job, Lesson},
    provider::Stage,
};

/// Milliseconds after which inventory asks again about a hold.
const ASK_AGAIN_MS: i64 = 30_000;
/// Milliseconds until something is tried again, doubled at each time.
const AGAIN_MS: i64 = 1_000;
/// Milliseconds between two tries, at most.
const AGAIN_MAX_MS: i64 = 5 * 60_000;

impl World {
    pub(super) fn inventory_hears(&mut self, message: Message) {
        match message {
            Message::Hold { order, key, ask } => {
                let verdict = self.inventory.hold(&ask);
                if let Some(ask_at) = self.inventory.ask_at.get(&order_id(order)) {
                    let wait = ask_at.ms_since(self.clock(Service::Inventory)).max(0);
                    self.after(wait, Event::Ask { order });
                }
                self.answer(Service::Order, Message::Verdict { order, key, verdict });
            }
            Message::Command { order, command } => {
                let change = if command == Command::PostStock { HoldChange::Post } else { HoldChange::Release };
                let state = self.inventory.change(change, order_id(order));
                self.answer(Service::Order, Message::HoldIs { order, state });
            }
            Message::Abandoned { order, verdict: AbandonVerdict::Exists } => {
                self.inventory.ask_at.remove(&order_id(order));
            }
            Message::Abandoned { order, verdict: AbandonVerdict::Abandoned } => {
                self.inventory.change(HoldChange::Void, order_id(order));
            }
            _ => {}
        }
    }

    pub(super) fn inventory_asks(&mut self, order: usize) {
        let id = order_id(order);
        if self.inventory.ask_at.contains_key(&id) && self.inventory.state(id) == HoldState::Pending {
            if self.holds_end_by_time {
                self.inventory.change(HoldChange::Void, id);
                return;
            }
            self.send(Service::Order, Message::Abandon { order });
            self.after(ASK_AGAIN_MS, Event::Ask { order });
        }
    }

    pub(super) fn payment_hears(&mut self, message: Message) {
        let now = self.clock(Service::Payment);
        match message {
            Message::Command { order, command } => {
                let total = self.plan.shoppers[order].total;
                let slot = &mut self.intents[order];
                match command {
                    Command::OpenIntent if slot.is_none() => {
                        *slot = Some(Intent::open(order_id(order), total, now));
                        self.attempt_keys.insert((order, 1));
                    }
                    Command::CloseIntent if slot.is_none() => *slot = Some(Intent::never_opened(order_id(order))),
                    _ => {}
                }
                let mut begun = false;
                self.write(order, |intent| match command {
                    Command::Capture => intent.capture(),
                    Command::CloseIntent => intent.close(),
                    Command::Refund => begun = intent.refund(),
                    _ => {}
                });
                if begun {
                    self.answer(Service::Order, Message::RefundBegun { order });
                } else if command != Command::Refund {
                    self.answer_state(order);
                }
            }
            Message::Attempt { order, attempt } => {
                // The same key twice is one attempt.
                if !self.attempt_keys.contains(&(order, attempt)) {
                    let mut begun = false;
                    self.write(order, |intent| begun = intent.attempt(now));
                    if begun {
                        self.attempt_keys.insert((order, attempt));
                    }
                }
                self.answer_state(order);
            }
            Message::Webhook { order, seen } => {
                self.write(order, |intent| intent.learn(&Lesson::of(&seen, intent.amount)));
            }
            Message::Heard { order, revision } => self.told[order] = self.told[order].max(revision),
            _ => {}
        }
    }

    fn answer_state(&mut self, order: usize) {
        if let Some(intent) = &self.intents[order] {
            let state = Box::new(intent.state());
            self.answer(Service::Order, Message::Intent { order, state });
        }
    }

    /// One transaction about an intent; what has to be called and told leaves afterwards.
    fn write(&mut self, order: usize, change: impl FnOnce(&mut Intent)) {
        let Some(intent) = &mut self.intents[order] else { return };
        intent.write(change);
        let (wanted, revision) = (intent.jobs, intent.revision);
        let open = matches!(intent.status(), PaymentStatus::Processing | PaymentStatus::RequiresAction);
        for job in Job::ALL {
            if wanted[job as usize] && !self.planned[order][job as usize] {
                self.planned[order][job as usize] = true;
                self.after(1, Event::Job { order, job, tries: 0 });
            }
        }
        if open && !self.polling[order] {
            self.polling[order] = true;
            self.after(AGAIN_MS, Event::Poll { order, pause: AGAIN_MS });
        }
        if revision > self.told[order] && !self.telling[order] {
            self.telling[order] = true;
            self.after(1, Event::Tell { order, pause: AGAIN_MS });
        }
    }

    pub(super) fn payment_calls(&mut self, order: usize, job: Job, tries: u32) {
        self.planned[order][job as usize] = false;
        let Some(intent) = self.intents[order].clone().filter(|intent| intent.wants(job)) else { return };
        let unreachable = self.misfortune(self.plan.unanswered);
        if !unreachable {
            let before = self.charges[order];
            let lesson = intent.call(job, &mut self.charges[order]);
            self.provider_did(order, before.stage);
            // Done there, and nobody here knows: the answer is lost, or the process with it.
            if !self.misfortune(self.plan.unanswered) {
                self.write(order, |intent| intent.learn(&lesson));
            } else if self.misfortune(300) {
                self.crash(Service::Payment, 2_000);
            }
        }
        let again = self.intents[order].as_ref().is_some_and(|intent| intent.wants(job));
        if again && !self.planned[order][job as usize] {
            self.planned[order][job as usize] = true;
            let pause = AGAIN_MS.saturating_mul(1 << tries.min(10)).min(AGAIN_MAX_MS);
            self.after(pause, Event::Job { order, job, tries: tries + 1 });
        }
    }

    pub(super) fn payment_polls(&mut self, order: usize, pause: i64) {
        self.polling[order] = false;
        let seen = self.charges[order];
        if !self.misfortune(self.plan.unanswered) {
            self.write(order, |intent| intent.learn(&Lesson::of(&seen, intent.amount)));
        }
        let status = self.intents[order].as_ref().map(Intent::status);
        if matches!(status, Some(PaymentStatus::Processing | PaymentStatus::RequiresAction)) {
            self.polling[order] = true;
            let pause = (pause * 2).min(AGAIN_MAX_MS);
            // The one that `write` has planned is this one.
            self.queue.retain(|_, event| !matches!(event, Event::Poll { order: of, .. } if *of == order));
            self.after(pause, Event::Poll { order, pause });
        }
    }

    pub(super) fn payment_tells(&mut self, order: usize, pause: i64) {
        let Some(intent) = self.intents[order].as_ref().filter(|intent| intent.revision > self.told[order]) else {
            self.telling[order] = false;
            return;
        };
        let state = Box::new(intent.state());
        self.send(Service::Order, Message::Changed { order, state });
        self.after(pause, Event::Tell { order, pause: (pause * 2).min(AGAIN_MAX_MS) });
    }

    /// What follows at the provider from a call: a card is asked, and the shop is told twice.
    fn provider_did(&mut self, order: usize, before: Stage) {
        let charge = self.charges[order];
        if charge.stage == before {
            return;
        }
        if charge.stage == Stage::Processing {
            let cards = &self.plan.shoppers[order].cards;
            let card = cards[usize::from(charge.attempt) - 1];
            let (word, pays) = match card {
                Card::Refused => (Stage::Refused, false),
                Card::CaptureFails => (Stage::Authorised, false),
                Card::Pays | Card::Slow | Card::Silent => (Stage::Authorised, true),
            };
            let wait = if card == Card::Slow { self.rng.range(30_000, 25 * 60_000) } else { self.rng.range(50, 3_000) };
            if card != Card::Silent {
                self.after(wait, Event::Card { order, attempt: charge.attempt, word, pays });
            }
        }
        for _ in 0..2 {
            self.send(Service::Payment, Message::Webhook { order, seen: charge });
        }
    }

    pub(super) fn card_speaks(&mut self, order: usize, attempt: u8, word: Stage, pays: bool) {
        let charge = &mut self.charges[order];
        let before = charge.stage;
        if charge.attempt == attempt && charge.speak(word) {
            charge.refuses_capture = !pays;
        }
        self.provider_did(order, before);
    }
}
