//! Whatever happens in whatever order: no money without stock, ends are final, and everything comes to rest.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn any_input() -> impl Strategy<Value = (u8, bool, i64, i64)> {
    (0_u8..9, any::<bool>(), prop_oneof![Just(0_i64), Just(99), Just(100)], 0_i64..120)
}

/// Where some inputs lead, and how late it is then.
fn walk(inputs: Vec<(u8, bool, i64, i64)>) -> (Saga, i64) {
    let (mut saga, mut minutes) = (Saga::placed(at(0)), 0);
    for (kind, flag, amount, later) in inputs {
        minutes += later;
        let state = IntentState {
            cancelled: flag && amount == 0,
            mismatch: flag && amount == 99,
            capture_failed: flag && amount == 100,
            held_until: (flag && amount == 100).then_some(at(10_000)),
            at_shipment: Vec::new(),
            capture_before: None,
            ..intent(amount, if flag { amount } else { 0 })
        };
        let input = match kind {
            0 | 1 => Input::Due,
            2 | 3 => Input::Intent(&state),
            4 => Input::Hold(if flag { HoldState::Posted } else { HoldState::Voided }),
            5 => Input::RefundBegun,
            6 => Input::Cancel,
            7 => Input::LetGo,
            _ => Input::PayAgain,
        };
        saga = saga.decide(&input, at(minutes)).map_or(saga, |outcome| outcome.saga);
    }
    (saga, minutes)
}

/// A provider and an inventory that do what they are asked, each at the second time of asking.
struct Cooperative {
    intent: IntentState,
    capture_fails: bool,
    hold: HoldState,
    refuses: HashSet<Command>,
}

impl Cooperative {
    fn answer(&mut self, saga: Saga, command: Command, minutes: i64) -> Saga {
        if self.refuses.remove(&command) {
            return saga;
        }
        let open = !self.intent.cancelled && self.intent.amounts.captured.amount() == 0;
        match command {
            Command::Capture if open && self.capture_fails => self.intent.capture_failed = true,
            Command::Capture if (open || self.intent.amounts.captured.amount() > 0) && !self.intent.mismatch => {
                self.intent.amounts.captured = eur(100);
                self.intent.claimed = true;
            }
            Command::CloseIntent => {
                self.intent.cancelled |= open;
                self.intent.closing = true;
            }
            Command::PostStock if self.hold == HoldState::Pending => self.hold = HoldState::Posted,
            Command::ReleaseStock => self.hold = HoldState::Voided,
            _ => {}
        }
        let input = match command {
            Command::PostStock | Command::ReleaseStock => Input::Hold(self.hold),
            Command::Refund => Input::RefundBegun,
            _ => Input::Intent(&self.intent),
        };
        run(saga, &input, minutes).saga
    }
}

/// Seven commands, each refused once, on the longest way from placed to called off.
const ASKED_MAX: usize = 20;

proptest! {
    /// From wherever an order may be, whatever was paid and whatever is held: who is asked and does it, at the second
    /// time at the latest, brings it to rest.
    #[test]
    fn who_cooperates_brings_every_order_to_rest(
        inputs in proptest::collection::vec(any_input(), 0..40),
        (authorised, captured, cancelled, mismatch, capture_fails) in any::<(bool, bool, bool, bool, bool)>(),
        held in 0_usize..3,
    ) {
        let (mut saga, mut minutes) = walk(inputs);
        let amount = |there: bool| i64::from(there) * 100;
        let mut others = Cooperative {
            intent: IntentState { cancelled, mismatch, ..intent(amount(authorised || captured), amount(captured)) },
            capture_fails,
            hold: [HoldState::Pending, HoldState::Posted, HoldState::Voided][held],
            refuses: [
                Command::OpenIntent, Command::AskIntent, Command::PostStock, Command::Capture, Command::CloseIntent,
                Command::Refund, Command::ReleaseStock,
            ].into(),
        };
        let mut asked = 0;
        while !saga.is_at_rest() {
            prop_assert!(asked < ASKED_MAX, "{saga:?} is not at rest");
            asked += 1;
            minutes += 31;
            let due = run(saga, &Input::Due, minutes);
            saga = due.saga;
            if let Some(command) = due.command {
                saga = others.answer(saga, command, minutes);
            }
        }
    }

    /// Whatever happens in whatever order: captured money without posted stock is never asked for, an end is final,
    /// and an order that is at rest stays paid or ended.
    #[test]
    fn capture_follows_posting_and_ends_are_final(inputs in proptest::collection::vec(any_input(), 0..40)) {
        let mut saga = Saga::placed(at(0));
        let (mut posted, mut minutes) = (false, 0);
        for (kind, flag, amount, later) in inputs {
            minutes += later;
            let mut state = intent(amount, 0);
            state.cancelled = flag;
            state.capture_failed = flag && amount == 99;
            let hold = if flag { HoldState::Posted } else { HoldState::Voided };
            let input = match kind {
                0 | 1 => Input::Due,
                2 | 3 => Input::Intent(&state),
                4 => Input::Hold(hold),
                5 => Input::RefundBegun,
                6 => Input::Cancel,
                _ => Input::PayAgain,
            };
            let before = saga;
            let Ok(outcome) = saga.decide(&input, at(minutes)) else { continue };
            saga = outcome.saga;
            posted |= before.step == Step::Posting && kind == 4 && flag;
            prop_assert!(outcome.command != Some(Command::Capture) || posted, "captured without posted stock");
            if let Step::Ended(end) = before.step {
                prop_assert_eq!(saga.step, Step::Ended(end));
                prop_assert_eq!(outcome.command, None);
            }
            if before.step == Step::Settled {
                prop_assert!(matches!(saga.step, Step::Settled | Step::Refunding(End::Cancelled)));
            }
        }
    }
}
