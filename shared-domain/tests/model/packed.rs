//! States small enough to be kept by the hundred thousand: what the machines tell apart, as numbers and flags.

use bodega_domain::{
    message::{inventory::HoldState, payment::IntentState},
    payment::Fact,
    saga::{Command, End, Step},
};

use super::{TOTAL, order_id};
use crate::world::{eur, payment::Intent, provider::REFERENCES};

/// Steps by their number; none is an order that does not exist.
pub(crate) const STEPS: [Option<Step>; 14] = [
    None,
    Some(Step::Opening),
    Some(Step::Paying),
    Some(Step::Posting),
    Some(Step::Capturing),
    Some(Step::Settled),
    Some(Step::Closing(End::Expired)),
    Some(Step::Closing(End::Cancelled)),
    Some(Step::Refunding(End::Expired)),
    Some(Step::Refunding(End::Cancelled)),
    Some(Step::Releasing(End::Expired)),
    Some(Step::Releasing(End::Cancelled)),
    Some(Step::Ended(End::Expired)),
    Some(Step::Ended(End::Cancelled)),
];

/// States of a hold by their number.
pub(crate) const HOLDS: [HoldState; 4] = [HoldState::None, HoldState::Pending, HoldState::Posted, HoldState::Voided];

/// Commands by their number.
pub(crate) const COMMANDS: [Command; 7] = [
    Command::OpenIntent,
    Command::AskIntent,
    Command::PostStock,
    Command::Capture,
    Command::CloseIntent,
    Command::Refund,
    Command::ReleaseStock,
];

pub(crate) fn step_index(step: Step) -> u8 {
    let index = STEPS.iter().position(|known| *known == Some(step)).unwrap();
    u8::try_from(index).unwrap()
}

pub(crate) fn hold_index(state: HoldState) -> u8 {
    let index = HOLDS.iter().position(|known| *known == state).unwrap();
    u8::try_from(index).unwrap()
}

/// An intent: all that it does next depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackedIntent {
    /// It was closed before it was opened.
    pub(crate) buried: bool,
    pub(crate) authorised: bool,
    pub(crate) captured: bool,
    pub(crate) refunded: bool,
    pub(crate) cancelled: bool,
    /// Which attempts were refused.
    pub(crate) refused: [bool; 2],
    pub(crate) referenced: bool,
    pub(crate) capture_claimed: bool,
    pub(crate) refund_claimed: bool,
    pub(crate) closing: bool,
    pub(crate) capture_failed: bool,
    pub(crate) late_returned: bool,
    pub(crate) attempts: u8,
    pub(crate) answered: bool,
    pub(crate) jobs: [bool; 4],
}

impl PackedIntent {
    pub(crate) fn pack(intent: &Intent) -> Self {
        let refused = |attempt: usize| intent.facts.refused.contains(REFERENCES[attempt]);
        Self {
            buried: intent.amount != TOTAL,
            authorised: intent.facts.authorised > 0,
            captured: intent.facts.captured > 0,
            refunded: intent.facts.refunded > 0,
            cancelled: intent.facts.cancelled,
            refused: [refused(1), refused(2)],
            referenced: intent.referenced,
            capture_claimed: intent.capture_claimed > 0,
            refund_claimed: intent.refund_claimed > 0,
            closing: intent.closing,
            capture_failed: intent.capture_failed,
            late_returned: intent.late_returned,
            attempts: intent.attempts,
            answered: intent.answered,
            jobs: intent.jobs,
        }
    }

    pub(crate) fn unpack(self, index: usize) -> Intent {
        let when = |there: bool| if there { TOTAL } else { 0 };
        let mut intent = Intent::never_opened(order_id(index));
        intent.amount = if self.buried { intent.amount } else { TOTAL };
        intent.facts.authorised = when(self.authorised);
        intent.facts.captured = when(self.captured);
        intent.facts.refunded = when(self.refunded);
        intent.facts.cancelled = self.cancelled;
        for (refused, reference) in self.refused.iter().zip(&REFERENCES[1..]) {
            if *refused {
                intent.facts.learn(&Fact::Refused((*reference).to_owned()));
            }
        }
        intent.referenced = self.referenced;
        intent.capture_claimed = when(self.capture_claimed);
        intent.refund_claimed = when(self.refund_claimed);
        intent.closing = self.closing;
        intent.capture_failed = self.capture_failed;
        intent.late_returned = self.late_returned;
        intent.attempts = self.attempts;
        intent.answered = self.answered;
        intent.jobs = self.jobs;
        intent
    }

    /// Its state as a bit of all states that a saga tells apart.
    pub(crate) fn word(self) -> u64 {
        let flags =
            [self.authorised, self.captured, self.cancelled, self.capture_failed, self.closing, self.capture_claimed];
        let bits = [1, 2, 4, 8, 16, 32];
        let number: u16 = flags.iter().zip(bits).filter(|(flag, _)| **flag).map(|(_, bit)| bit).sum();
        1 << number
    }
}

/// What payment says with the word of this number.
pub(crate) fn word(number: u16, index: usize) -> IntentState {
    let when = |bit: u16| if number & bit != 0 { eur(TOTAL) } else { eur(0) };
    let mut intent = Intent::never_opened(order_id(index));
    intent.amount = TOTAL;
    let mut state = intent.state();
    state.amounts.authorised = when(1);
    state.amounts.captured = when(2);
    state.cancelled = number & 4 != 0;
    state.capture_failed = number & 8 != 0;
    state.closing = number & 16 != 0;
    state.claimed = number & 32 != 0;
    state
}
