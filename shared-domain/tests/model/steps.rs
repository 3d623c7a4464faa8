//! What may happen next. Every rule is the domain's; what stands here is who calls it with what.

use bodega_domain::{
    Timestamp,
    message::inventory::{HoldState, HoldVerdict},
    saga::{Command, Input, Saga, Step},
    stock::HoldChange,
};

use super::{
    Claim, Fault, One, Rules, Shop, TOTAL, hold_ask, order_id,
    packed::{self, COMMANDS, HOLDS, PackedIntent},
};
use crate::world::{
    payment::{Intent, Job, Lesson},
    provider::Stage,
};

/// When somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Early,
    /// The payment's deadline is over.
    Late,
    /// The provider has been silent for longer than anybody waits for it.
    AfterSilence,
}

impl When {
    fn now(self) -> Timestamp {
        let placed = Timestamp::from_unix_ms(0);
        match self {
            When::Early => placed,
            When::Late => placed.plus_min(10),
            When::AfterSilence => placed.plus_min(7 * 60),
        }
    }
}

/// What happens to one order id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// The shopper asks for the order, for the first time or again with the same key.
    Place,
    /// Its deadline is over, or the order service has crashed: nobody waits for the hold any more.
    ForgetAsking,
    HoldArrives,
    VerdictArrives(usize),
    CommandArrives(usize),
    WordArrives(u16),
    HoldWordArrives(usize),
    RefundIsBegun,
    Due(When),
    Cancel,
    PayAgain,
    LetGo,
    InventoryAsks,
    AbandonArrives,
    ExistsArrives,
    AbandonedArrives,
    /// Payment asks the provider; the answer is written.
    Call(usize),
    /// Payment asks the provider; the answer is lost.
    CallWithoutAnswer(usize),
    Webhook,
    CardSays(Stage),
    CardWillNotPay,
    /// The provider takes the money unasked.
    TakenUnasked,
}

impl Label {
    /// Everything that may happen to an order at any time.
    pub(crate) fn all() -> Vec<Label> {
        let mut all = vec![Label::Place, Label::ForgetAsking, Label::HoldArrives, Label::RefundIsBegun];
        all.extend((0..3).map(Label::VerdictArrives));
        all.extend((0..COMMANDS.len()).map(Label::CommandArrives));
        all.extend((0..64).map(Label::WordArrives));
        all.extend((0..HOLDS.len()).map(Label::HoldWordArrives));
        all.extend([When::Early, When::Late, When::AfterSilence].map(Label::Due));
        all.extend([Label::Cancel, Label::PayAgain, Label::LetGo, Label::InventoryAsks]);
        all.extend([Label::AbandonArrives, Label::ExistsArrives, Label::AbandonedArrives]);
        all.extend((0..Job::ALL.len()).flat_map(|job| [Label::Call(job), Label::CallWithoutAnswer(job)]));
        all.extend([Label::Webhook, Label::CardSays(Stage::Authorised), Label::CardSays(Stage::Refused)]);
        all.extend([Label::CardWillNotPay, Label::TakenUnasked]);
        all
    }
}

impl Label {
    /// What rows bring about by themselves, in a round: who is due asks and hears the answer.
    pub(crate) fn by_rows() -> Vec<Label> {
        let mut round = vec![Label::Due(When::Late)];
        round.extend((0..COMMANDS.len()).map(Label::CommandArrives));
        round.extend((0..Job::ALL.len()).map(Label::Call));
        round.extend((0..64).map(Label::WordArrives));
        round.extend((0..HOLDS.len()).map(Label::HoldWordArrives));
        round.extend([Label::RefundIsBegun, Label::InventoryAsks, Label::AbandonArrives]);
        round.extend([Label::ExistsArrives, Label::AbandonedArrives, Label::Webhook]);
        round
    }
}

impl One {
    /// Whether this can happen now at all.
    fn can(&self, label: Label, rules: &Rules) -> bool {
        let called = |job: usize| self.intent.is_some_and(|intent| intent.jobs[job]);
        match label {
            Label::Place => self.claim == Claim::None && !self.asking,
            Label::ForgetAsking => self.asking,
            Label::HoldArrives => self.sent.hold_ask,
            Label::VerdictArrives(verdict) => self.asking && self.sent.verdicts[verdict],
            Label::CommandArrives(number) => self.sent.commands[number],
            Label::WordArrives(number) => self.sent.words & (1 << number) != 0,
            Label::HoldWordArrives(state) => self.sent.holds[state],
            Label::RefundIsBegun => self.sent.refund_begun,
            Label::Due(When::AfterSilence) if !rules.silence => false,
            Label::Due(_) => self.step != 0 && rules.fault != Fault::NeverDue,
            Label::PayAgain => self.intent.is_some_and(|intent| intent.attempts < rules.attempts),
            Label::Cancel | Label::LetGo => self.step != 0,
            Label::InventoryAsks => self.ask && self.hold() == HoldState::Pending,
            Label::AbandonArrives => self.sent.abandon,
            Label::ExistsArrives => self.sent.answers[0],
            Label::AbandonedArrives => self.sent.answers[1],
            Label::Call(job) | Label::CallWithoutAnswer(job) => called(job),
            Label::Webhook => self.intent.is_some(),
            Label::CardSays(_) | Label::CardWillNotPay => self.charge.stage == Stage::Processing,
            Label::TakenUnasked => rules.takes_unasked,
        }
    }
}

impl Shop {
    /// The state after `label` has happened to the order at `index`; none when nothing comes of it.
    pub(crate) fn after(&self, index: usize, label: Label, rules: &Rules) -> Option<Self> {
        if !self.orders[index].can(label, rules) {
            return None;
        }
        let mut next = *self;
        match label {
            Label::HoldArrives => next.hold(index, rules),
            Label::AbandonedArrives => next.change(index, HoldChange::Void, false),
            Label::InventoryAsks if rules.fault == Fault::HoldVoidedByTime => {
                next.change(index, HoldChange::Void, false);
            }
            Label::CommandArrives(number) => match COMMANDS[number] {
                Command::PostStock => next.change(index, HoldChange::Post, true),
                Command::ReleaseStock => next.change(index, HoldChange::Release, true),
                command => next.orders[index].payment(index, command),
            },
            label => next.orders[index].own(index, label, rules),
        }
        (next != *self).then_some(next)
    }

    fn hold(&mut self, index: usize, rules: &Rules) {
        let mut inventory = self.inventory();
        if rules.fault == Fault::HoldForgotten {
            inventory.holds.remove(&order_id(index));
        }
        let before = inventory.lines.len();
        let verdict = match inventory.hold(&hold_ask(index)) {
            HoldVerdict::Held => 0,
            HoldVerdict::Short(_) => 1,
            HoldVerdict::Voided | HoldVerdict::Failed => 2,
        };
        if inventory.lines.len() > before {
            self.keep(&inventory);
            self.orders[index].ask = true;
        }
        self.orders[index].sent.verdicts[verdict] = true;
    }

    fn change(&mut self, index: usize, change: HoldChange, answers: bool) {
        let mut inventory = self.inventory();
        let state = inventory.change(change, order_id(index));
        self.keep(&inventory);
        if answers {
            self.orders[index].sent.holds[usize::from(packed::hold_index(state))] = true;
        }
    }
}

impl One {
    /// What touches nothing but this order.
    fn own(&mut self, index: usize, label: Label, rules: &Rules) {
        match label {
            Label::Place => {
                self.asking = true;
                self.sent.hold_ask = true;
            }
            Label::ForgetAsking => self.asking = false,
            Label::VerdictArrives(verdict) => {
                self.asking = false;
                if verdict == 0 && self.claim == Claim::None {
                    // The commit: the order exists, and its payment is asked for at once.
                    self.claim = Claim::Placed;
                    let placed = Saga::placed(When::Early.now());
                    self.step = packed::step_index(placed.step);
                    self.send(placed.command());
                }
            }
            Label::WordArrives(number) => {
                self.decide(&Input::Intent(&packed::word(number, index)), When::Early, rules);
            }
            Label::HoldWordArrives(state) => self.decide(&Input::Hold(HOLDS[state]), When::Early, rules),
            Label::RefundIsBegun => self.decide(&Input::RefundBegun, When::Early, rules),
            Label::Due(when) => self.decide(&Input::Due, when, rules),
            Label::Cancel => self.decide(&Input::Cancel, When::Early, rules),
            Label::LetGo => self.decide(&Input::LetGo, When::Early, rules),
            Label::PayAgain => self.pay_again(index),
            Label::InventoryAsks => self.sent.abandon = true,
            Label::AbandonArrives => {
                let free = self.claim == Claim::None;
                if free && rules.fault != Fault::AbandonWithoutTombstone {
                    self.claim = Claim::Abandoned;
                }
                self.sent.answers[usize::from(free || self.claim == Claim::Abandoned)] = true;
            }
            Label::ExistsArrives => self.ask = false,
            Label::Call(job) => self.call(index, Job::ALL[job], true),
            Label::CallWithoutAnswer(job) => self.call(index, Job::ALL[job], false),
            Label::Webhook => self.write(index, |intent, charge| intent.learn(&Lesson::of(charge, intent.amount))),
            Label::CardSays(word) => {
                self.charge.speak(word);
            }
            Label::CardWillNotPay => self.charge.refuses_capture = self.charge.speak(Stage::Authorised),
            Label::TakenUnasked => {
                if matches!(self.charge.stage, Stage::Authorised | Stage::Cancelled) {
                    self.charge.take();
                }
            }
            Label::HoldArrives | Label::CommandArrives(_) | Label::AbandonedArrives => {}
        }
    }

    fn send(&mut self, command: Option<Command>) {
        for (sent, known) in self.sent.commands.iter_mut().zip(COMMANDS) {
            *sent |= command == Some(known);
        }
    }

    fn decide(&mut self, input: &Input<'_>, when: When, rules: &Rules) {
        let Some(saga) = self.saga() else { return };
        let Ok(outcome) = saga.decide(input, when.now()) else { return };
        self.step = packed::step_index(outcome.saga.step);
        self.heard_closing = outcome.saga.closing_since.is_some() && matches!(outcome.saga.step, Step::Closing(_));
        self.send(outcome.command);
        self.unsettled |= outcome.exception == Some("unsettled");
        if rules.fault == Fault::CaptureBeforePosting && outcome.saga.step == Step::Posting {
            self.send(Some(Command::Capture));
        }
        if rules.fault == Fault::RefundOnlyAsked && matches!(outcome.saga.step, Step::Refunding(_)) {
            self.sent.refund_begun = true;
        }
    }

    /// One transaction of payment about an intent that there is. What it is then, the order is told.
    fn write<T: Default>(&mut self, index: usize, change: impl FnOnce(&mut Intent, &mut super::Charge) -> T) -> T {
        let Some(mut intent) = self.intent.map(|intent| intent.unpack(index)) else { return T::default() };
        let mut answer = T::default();
        let charge = &mut self.charge;
        intent.write(|intent| answer = change(intent, charge));
        self.store(&intent);
        answer
    }

    fn store(&mut self, intent: &Intent) {
        let packed = PackedIntent::pack(intent);
        self.intent = Some(packed);
        self.sent.words |= packed.word();
    }

    fn payment(&mut self, index: usize, command: Command) {
        match command {
            Command::OpenIntent if self.intent.is_none() => {
                self.store(&Intent::open(order_id(index), TOTAL, When::Early.now()));
            }
            Command::CloseIntent => {
                if self.intent.is_none() {
                    self.store(&Intent::never_opened(order_id(index)));
                }
                self.write(index, |intent, _| intent.close());
            }
            Command::Capture => self.write(index, |intent, _| intent.capture()),
            Command::Refund => self.sent.refund_begun |= self.write(index, |intent, _| intent.refund()),
            _ => {}
        }
    }

    fn pay_again(&mut self, index: usize) {
        let may = self.saga().is_some_and(|saga| saga.decide(&Input::PayAgain, When::Early.now()).is_ok());
        if may {
            self.write(index, |intent, _| intent.attempt(When::Early.now()));
        }
    }

    fn call(&mut self, index: usize, job: Job, answered: bool) {
        self.write(index, |intent, charge| {
            let lesson = intent.call(job, charge);
            if answered {
                intent.learn(&lesson);
            }
        });
    }
}
