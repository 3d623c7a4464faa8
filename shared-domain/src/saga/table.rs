//! Sagas as tables: what happens to a paid order, step by step. Each step names what brings it forward and, beside it, what
//! takes it back; a step without that is a point of no return.
//!
//! A pure machine like the saga of placing: the service commits the run before it sends an action, and sends it again until
//! it is answered; every action is idempotent at its receiver, also the one that takes back what never happened.
//!
//! ```text
//! Forward ──all done──▶ Done
//!    │ refused, or silent for too long
//!    ├── everything before it can be taken back ──▶ Back ──▶ Undone: as if nothing had happened
//!    └── it cannot ──▶ Parked: a person retries or compensates
//! ```

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Minutes after which a step that can be taken back is: nobody waits for ever.
const STEP_DEADLINE_MIN: i64 = 15;
/// Minutes after which a person is told of a step that cannot, and is asked for again all the same.
const STUCK_AFTER_MIN: i64 = 360;

/// What is asked of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `inventory.v1.ship`: the goods leave the house.
    TakeStock,
    /// `inventory.v1.unship`: they have not left after all.
    PutStockBack,
    /// `inventory.v1.release`: they are not promised any more.
    ReleaseUnits,
    /// `payment.v1.refund` or `call_off`: their money goes back, or is not taken any more.
    Refund,
    /// `payment.v1.capture_parcel`: their money is taken.
    Capture,
    /// `inventory.v1.adjust`: what came back is on the shelf again.
    BookIn,
}

/// A row of a saga's table.
#[derive(Clone, Copy, Debug)]
pub struct StepRow {
    /// For logs, fail points and people.
    pub name: &'static str,
    /// What brings it forward.
    pub forward: Action,
    /// What takes it back; none for a point of no return.
    pub undo: Option<Action>,
}

/// Which saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A shipment leaves whose money was taken before.
    Ship,
    /// A shipment leaves, and its money is taken with it.
    ShipAndCapture,
    /// Some units are called off before they were shipped.
    CancelLines,
    /// The goods of a return are here.
    ReceiveReturn,
}

impl Kind {
    /// Every saga there is: the generic tests run over them.
    pub const ALL: [Kind; 4] = [Kind::Ship, Kind::ShipAndCapture, Kind::CancelLines, Kind::ReceiveReturn];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Ship => "ship",
            Kind::ShipAndCapture => "ship_and_capture",
            Kind::CancelLines => "cancel_lines",
            Kind::ReceiveReturn => "receive_return",
        }
    }

    /// Its table. Money goes back before goods are free again: whoever is refused it has lost nothing. It is taken once the
    /// goods are known to be there, and if it cannot be, they are put back.
    #[must_use]
    pub const fn steps(self) -> &'static [StepRow] {
        match self {
            Kind::Ship => {
                &[StepRow { name: "take_stock", forward: Action::TakeStock, undo: Some(Action::PutStockBack) }]
            }
            Kind::ShipAndCapture => &[
                StepRow { name: "take_stock", forward: Action::TakeStock, undo: Some(Action::PutStockBack) },
                StepRow { name: "capture", forward: Action::Capture, undo: None },
            ],
            Kind::CancelLines => &[
                StepRow { name: "refund", forward: Action::Refund, undo: None },
                StepRow { name: "release", forward: Action::ReleaseUnits, undo: None },
            ],
            Kind::ReceiveReturn => &[
                StepRow { name: "refund", forward: Action::Refund, undo: None },
                StepRow { name: "book_in", forward: Action::BookIn, undo: None },
            ],
        }
    }
}

/// Where a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// On.
    Forward,
    /// It takes back what was done.
    Back,
    /// Nowhere, until a person says so; it went on before.
    Parked,
    /// Nowhere, until a person says so; it was taking back.
    ParkedBack,
    /// It is done.
    Done,
    /// It is as if nothing had happened.
    Undone,
}

impl Way {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Way::Forward => "forward",
            Way::Back => "back",
            Way::Parked => "parked",
            Way::ParkedBack => "parked_back",
            Way::Done => "done",
            Way::Undone => "undone",
        }
    }
}

/// A run of a saga, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which saga.
    pub kind: Kind,
    /// The step in question: an index into its table.
    pub at: u16,
    /// Where it goes.
    pub way: Way,
    /// Since when it is in this step.
    pub since: Timestamp,
    /// Whether a person was told that this step takes long.
    pub told: bool,
}

/// What was heard about the action of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is done, now or before.
    Done,
    /// It was refused: surely nothing was done, and asking again will not help.
    Refused,
    /// Nothing: time has passed.
    Silence,
    /// A person wants it tried again.
    Retry,
    /// A person wants it taken back.
    Compensate,
}

/// What comes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The run afterwards.
    pub run: Run,
    /// What to ask now.
    pub action: Option<Action>,
    /// Something that a person should look at.
    pub exception: Option<&'static str>,
}

/// What was done cannot be taken back, or nothing waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this cannot be done with the saga as it is")]
pub struct Refused;

impl Run {
    /// A run that has just been committed, and its first action.
    #[must_use]
    pub const fn begin(kind: Kind, now: Timestamp) -> Self {
        Self { kind, at: 0, way: Way::Forward, since: now, told: false }
    }

    fn row(&self) -> Option<StepRow> {
        self.kind.steps().get(usize::from(self.at)).copied()
    }

    /// The step's name; empty beyond the table.
    #[must_use]
    pub fn step(&self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// What this step asks for now.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        match self.way {
            Way::Forward => self.row().map(|row| row.forward),
            Way::Back => self.row().and_then(|row| row.undo),
            Way::Parked | Way::ParkedBack | Way::Done | Way::Undone => None,
        }
    }

    /// Whether it has come to an end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.way, Way::Done | Way::Undone)
    }

    /// Whether only a person can bring it on.
    #[must_use]
    pub const fn is_parked(&self) -> bool {
        matches!(self.way, Way::Parked | Way::ParkedBack)
    }

    /// Whether all steps before this one can be taken back.
    fn may_turn(&self) -> bool {
        self.kind.steps().iter().take(usize::from(self.at)).all(|row| row.undo.is_some())
    }

    /// Takes a word in.
    ///
    /// # Errors
    /// [`Refused`] for a person's word about a run that is not parked, or that cannot be taken back.
    pub fn hear(self, word: Word, now: Timestamp) -> Result<Next, Refused> {
        let mut next = self;
        let mut exception = None;
        match (self.way, word) {
            (Way::Done | Way::Undone, Word::Retry | Word::Compensate)
            | (Way::Forward | Way::Back, Word::Retry | Word::Compensate) => return Err(Refused),
            (Way::Done | Way::Undone | Way::Parked | Way::ParkedBack, Word::Done | Word::Refused | Word::Silence) => {}
            (Way::Forward, Word::Done) => {
                next.at += 1;
                if next.row().is_none() {
                    next.way = Way::Done;
                }
            }
            // The step itself was not done: what is taken back begins before it.
            (Way::Forward, Word::Refused) if self.may_turn() => next.turn_before(),
            (Way::Forward, Word::Refused) => {
                next.way = Way::Parked;
                exception = Some("saga_parked");
            }
            (Way::Back, Word::Done) => next.turn_before(),
            (Way::Back, Word::Refused) => {
                next.way = Way::ParkedBack;
                exception = Some("saga_parked");
            }
            (Way::Forward | Way::Back, Word::Silence) => exception = next.wait(now),
            (Way::Parked, Word::Retry) => next.way = Way::Forward,
            (Way::ParkedBack, Word::Retry) => next.way = Way::Back,
            (Way::Parked, Word::Compensate) if self.may_turn() => next.turn_before(),
            (Way::Parked | Way::ParkedBack, Word::Compensate) => return Err(Refused),
        }
        if (next.at, next.way) != (self.at, self.way) {
            next.since = now;
            next.told = false;
        }
        Ok(Next { run: next, action: next.action(), exception })
    }

    /// Takes back the step before this one, or is as if nothing had happened.
    fn turn_before(&mut self) {
        match self.at.checked_sub(1) {
            Some(at) => (self.at, self.way) = (at, Way::Back),
            None => self.way = Way::Undone,
        }
    }

    /// Silence: whether the step was done nobody knows. One that can be taken back is, and its undoing is fine with a step
    /// that never was; any other is asked for again, and a person is told once.
    fn wait(&mut self, now: Timestamp) -> Option<&'static str> {
        let waited = now.ms_since(self.since);
        let undoable = self.row().is_some_and(|row| row.undo.is_some());
        if self.way == Way::Forward && undoable && self.may_turn() && waited >= STEP_DEADLINE_MIN * 60_000 {
            self.way = Way::Back;
            return None;
        }
        if !self.told && waited >= STUCK_AFTER_MIN * 60_000 {
            self.told = true;
            return Some("stuck");
        }
        None
    }
}

#[cfg(test)]
mod tests;
