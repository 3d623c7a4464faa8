//! The saga of an order: from its commit to paid, cancelled or expired.
//!
//! A pure machine: `(saga, input) → (saga, commands)`. The service commits the saga before it sends a command, and
//! sends it again until it is answered; every command is idempotent at its receiver. Money is taken only for stock
//! that is posted: authorise → post → capture. Where merchants want theirs taken only when the goods leave, it is settled
//! with that part still authorised, and a saga of the parcel takes it (`table.rs`).
//!
//! ```text
//!  Opening ─▶ Paying ─authorised─▶ Posting ─▶ Capturing ─captured─▶ Settled
//!                │ deadline, cancel    │ hold gone    │ capture refused   │ cancel before shipment
//!                ▼                     ▼              ▼                   ▼
//!             Closing ──confirmed──▶ Releasing ◀── Closing            Refunding
//!                                      │                                 │
//!                                      ▼                                 ▼
//!                             Ended (cancelled, expired) ◀────────── Releasing
//! ```

pub mod table;

use serde::{Deserialize, Serialize};

use crate::{
    limits::{
        PAYMENT_DEADLINE_ATTEMPTED_MIN, PAYMENT_DEADLINE_CHALLENGE_MIN, PAYMENT_DEADLINE_NO_ATTEMPT_MIN,
        PROVIDER_SILENCE_HOURS,
    },
    message::{inventory::HoldState, payment::IntentState},
    order::{OrderStatus, PaymentStatus},
    time::Timestamp,
};

/// Hours that a step without a deadline may wait for another service before somebody is told.
const STUCK_AFTER_HOURS: i64 = 6;

/// How an order ends when it is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Never paid in time.
    Expired,
    /// Called off, or its capture failed.
    Cancelled,
}

impl End {
    /// The status that it gives the order.
    #[must_use]
    pub const fn status(self) -> OrderStatus {
        match self {
            End::Expired => OrderStatus::Expired,
            End::Cancelled => OrderStatus::Cancelled,
        }
    }
}

/// Where the saga is: what has to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The intent has to be opened.
    Opening,
    /// The shopper has to pay.
    Paying,
    /// The stock has to be posted.
    Posting,
    /// The money has to be taken.
    Capturing,
    /// Paid, or authorised where it is taken at shipment; stock posted.
    Settled,
    /// The provider has to confirm that nothing can be authorised any more.
    Closing(End),
    /// The captured money has to be given back.
    Refunding(End),
    /// The stock has to be given back.
    Releasing(End),
    /// Nothing is left to do.
    Ended(End),
}

impl Step {
    /// Asked for until it is done: stock and money are on their way, and only the others can say where.
    const fn is_never_given_up(self) -> bool {
        matches!(self, Step::Posting | Step::Capturing | Step::Refunding(_) | Step::Releasing(_))
    }
}

/// A saga as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saga {
    /// Where it is.
    pub step: Step,
    /// When the order was placed.
    pub placed_at: Timestamp,
    /// Until when the shopper may pay; only [`Step::Paying`] looks at it.
    pub pay_by: Timestamp,
    /// Since when the payment service is known to be closing the payment: the provider's silence counts from here.
    pub closing_since: Option<Timestamp>,
    /// Since when a step that is never given up waits; empty once somebody was told.
    pub waiting_since: Option<Timestamp>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Time passes: the command of this step is due again, or a deadline is over.
    Due,
    /// The intent is like this now.
    Intent(&'a IntentState),
    /// The hold is like this now.
    Hold(HoldState),
    /// The full refund has been begun at the payment service, which sees it through.
    RefundBegun,
    /// The shopper, a merchant or an admin calls the order off.
    Cancel,
    /// The shopper tries to pay again.
    PayAgain,
    /// Its stock is wanted back: its first attempt to pay has ended, and orders like it hold too much.
    LetGo,
}

/// What has to be asked of others, after the saga is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `payment.v1.open`.
    OpenIntent,
    /// `payment.v1.state`: nothing has been heard.
    AskIntent,
    /// `inventory.v1.post`.
    PostStock,
    /// `payment.v1.capture`.
    Capture,
    /// `payment.v1.cancel`.
    CloseIntent,
    /// `payment.v1.call_off`, all of it.
    Refund,
    /// `inventory.v1.unpost`: gives a pending or posted hold back.
    ReleaseStock,
}

/// Why an input was refused; the saga stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is too late to pay or to call it off.
    #[error("the order's state does not allow this")]
    State,
}

/// What comes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The saga afterwards.
    pub saga: Saga,
    /// What to ask now.
    pub command: Option<Command>,
    /// Something that somebody should look at.
    pub exception: Option<&'static str>,
}

impl Saga {
    /// The saga of an order that has just been committed.
    #[must_use]
    pub const fn placed(at: Timestamp) -> Self {
        let pay_by = at.plus_min(PAYMENT_DEADLINE_NO_ATTEMPT_MIN);
        Self { step: Step::Opening, placed_at: at, pay_by, closing_since: None, waiting_since: None }
    }

    /// The order's status at this step.
    #[must_use]
    pub const fn status(&self) -> OrderStatus {
        match self.step {
            Step::Opening | Step::Paying | Step::Posting | Step::Capturing => OrderStatus::AwaitingPayment,
            Step::Closing(_) => OrderStatus::AwaitingPayment,
            Step::Settled => OrderStatus::Paid,
            // A paid order that is being called off stays paid until its money is on the way back.
            Step::Refunding(_) => OrderStatus::Paid,
            Step::Releasing(end) | Step::Ended(end) => end.status(),
        }
    }

    /// What this step asks for.
    #[must_use]
    pub const fn command(&self) -> Option<Command> {
        match self.step {
            Step::Opening => Some(Command::OpenIntent),
            Step::Paying => Some(Command::AskIntent),
            Step::Posting => Some(Command::PostStock),
            Step::Capturing => Some(Command::Capture),
            Step::Closing(_) => Some(Command::CloseIntent),
            Step::Refunding(_) => Some(Command::Refund),
            Step::Releasing(_) => Some(Command::ReleaseStock),
            Step::Settled | Step::Ended(_) => None,
        }
    }

    /// Whether nothing has to happen any more.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        matches!(self.step, Step::Settled | Step::Ended(_))
    }

    /// Decides an input.
    ///
    /// # Errors
    /// [`Refused`] for a cancel or a payment that comes too late.
    pub fn decide(self, input: &Input<'_>, now: Timestamp) -> Result<Outcome, Refused> {
        let mut next = self;
        let mut exception = None;
        match input {
            Input::Due => exception = next.on_due(now),
            Input::Intent(intent) => exception = next.on_intent(intent, now),
            Input::Hold(state) => exception = next.on_hold(*state),
            Input::RefundBegun => {
                if let Step::Refunding(end) = self.step {
                    next.step = Step::Releasing(end);
                }
            }
            Input::Cancel => next.on_cancel()?,
            // Who has paid meanwhile, or is past paying, is not concerned any more.
            Input::LetGo if self.step == Step::Paying => next.close(End::Expired),
            Input::LetGo => {}
            Input::PayAgain => {
                if !matches!(self.step, Step::Paying) || now >= self.pay_by {
                    return Err(Refused::State);
                }
                // More time comes with the attempt itself (`on_intent`): asking alone holds no stock any longer.
            }
        }
        // A step that was just entered asks at once; one that stays asks again only when it is due.
        let entered = next.step != self.step;
        if entered {
            let waits = next.step.is_never_given_up() || matches!(next.step, Step::Closing(_));
            next.waiting_since = waits.then_some(now);
        }
        let command = if entered || matches!(input, Input::Due) { next.command() } else { None };
        let command = command.filter(|c| !(entered && *c == Command::AskIntent));
        Ok(Outcome { saga: next, command, exception })
    }

    fn close(&mut self, end: End) {
        self.step = Step::Closing(end);
        self.closing_since = None;
    }

    fn on_due(&mut self, now: Timestamp) -> Option<&'static str> {
        match self.step {
            // Opening is never given up by time alone: the intent may exist, and closing asks for it first.
            Step::Opening | Step::Paying if now >= self.pay_by => self.close(End::Expired),
            Step::Closing(end) => {
                let silent = |since: Timestamp| now.ms_since(since) >= PROVIDER_SILENCE_HOURS * 3_600_000;
                // Before anybody was asked there is no silence: the payment is open, and may still be paid.
                let Some(since) = self.closing_since else { return self.stuck(now) };
                if silent(since) {
                    self.step = Step::Releasing(end);
                    return Some("unsettled");
                }
            }
            _ if self.step.is_never_given_up() => return self.stuck(now),
            _ => {}
        }
        None
    }

    /// Asking for ever is right, as long as somebody hears of it.
    fn stuck(&mut self, now: Timestamp) -> Option<&'static str> {
        let stuck = |since: Timestamp| now.ms_since(since) >= STUCK_AFTER_HOURS * 3_600_000;
        if self.waiting_since.is_some_and(stuck) {
            self.waiting_since = None;
            return Some("stuck");
        }
        None
    }

    fn on_intent(&mut self, intent: &IntentState, now: Timestamp) -> Option<&'static str> {
        let whole = intent.amount.amount();
        // What does not match is never paid, however much it is.
        let taken = intent.amounts.captured.amount() >= intent.due();
        let captured = taken && !intent.mismatch;
        // What is taken already needs no authorisation any more, whatever was called off since.
        let authorised =
            captured || (intent.amounts.authorised.amount() >= whole && !intent.cancelled && !intent.mismatch);
        // Money that does not match stays with the payment service, for a person; the order does not wait for it.
        let over = intent.cancelled || (taken && intent.mismatch);
        match self.step {
            Step::Opening | Step::Paying => {
                if authorised {
                    self.step = Step::Posting;
                } else if over {
                    // Closed here too, so that the payment service knows money that still comes for late.
                    self.close(if intent.mismatch { End::Cancelled } else { End::Expired });
                } else {
                    self.step = Step::Paying;
                    self.pay_by = self.pay_by.max(self.deadline_by(intent));
                }
            }
            Step::Capturing => {
                // Money that was taken unasked is the order's once it has asked for it, and not when it is on its way back.
                if captured && intent.claimed && !intent.capture_failed {
                    self.step = Step::Settled;
                } else if intent.capture_failed || intent.mismatch || (over && !captured) {
                    self.close(End::Cancelled);
                }
            }
            Step::Closing(end) => {
                if intent.closing && self.closing_since.is_none() {
                    self.closing_since = Some(now);
                }
                let waits = end == End::Expired && intent.held_until.is_some();
                if captured && waits {
                    // By the merchant's wish late money waits for an order: this one has its hold still.
                    self.step = Step::Posting;
                    self.closing_since = None;
                } else if captured {
                    self.step = Step::Refunding(end);
                } else if over && intent.closing {
                    // Only once the payment service closes it too does it know money that still comes for late.
                    self.step = Step::Releasing(end);
                } else if authorised && end == End::Expired && !intent.capture_failed {
                    // The money came while the order was expiring: the hold is still there, so it goes on.
                    self.step = Step::Posting;
                    self.closing_since = None;
                }
            }
            // Money that comes after the end is the payment service's business: it is given back there.
            Step::Posting | Step::Settled | Step::Refunding(_) | Step::Releasing(_) | Step::Ended(_) => {}
        }
        None
    }

    fn deadline_by(&self, intent: &IntentState) -> Timestamp {
        let minutes = match intent.status {
            PaymentStatus::RequiresAction => PAYMENT_DEADLINE_CHALLENGE_MIN,
            _ if intent.attempts > 0 => PAYMENT_DEADLINE_ATTEMPTED_MIN,
            _ => PAYMENT_DEADLINE_NO_ATTEMPT_MIN,
        };
        intent.attempted_at.unwrap_or(self.placed_at).plus_min(minutes)
    }

    fn on_hold(&mut self, state: HoldState) -> Option<&'static str> {
        match (self.step, state) {
            (Step::Posting, HoldState::Posted) => self.step = Step::Capturing,
            (Step::Posting, HoldState::Voided | HoldState::None) => {
                // Cannot happen while only the order decides; if it does, no money is taken.
                self.close(End::Cancelled);
                return Some("hold_lost");
            }
            (Step::Releasing(end), HoldState::Voided | HoldState::None) => self.step = Step::Ended(end),
            _ => {}
        }
        None
    }

    fn on_cancel(&mut self) -> Result<(), Refused> {
        match self.step {
            Step::Opening | Step::Paying => {
                self.close(End::Cancelled);
                Ok(())
            }
            Step::Settled => {
                self.step = Step::Refunding(End::Cancelled);
                Ok(())
            }
            Step::Closing(_) => {
                self.step = Step::Closing(End::Cancelled);
                Ok(())
            }
            // Already on its way there.
            Step::Refunding(_) | Step::Releasing(End::Cancelled) | Step::Ended(End::Cancelled) => Ok(()),
            // Stock and money are moving right now: in a moment it is paid and can be called off then.
            Step::Posting | Step::Capturing | Step::Releasing(End::Expired) | Step::Ended(End::Expired) => {
                Err(Refused::State)
            }
        }
    }
}

#[cfg(test)]
mod tests;
