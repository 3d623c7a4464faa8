//! The saga of an order: from its commit to paid, cancelled or expired.
//!
//! A pure machine: `(saga, input) → (saga, commands)`. The service commits the saga before it sends a command, and
//! sends it again until it is answered; every command is idempotent at its receiver. Money is taken only for stock
//! that is posted: authorise → post → capture.
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
    /// Paid, stock posted.
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
    /// Since when it has been closing: the provider's silence counts from here.
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
    /// `payment.v1.refund`, all of it.
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
            Input::Hold(state) => exception = next.on_hold(*state, now),
            Input::RefundBegun => {
                if let Step::Refunding(end) = self.step {
                    next.step = Step::Releasing(end);
                }
            }
            Input::Cancel => next.on_cancel(now)?,
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
            next.waiting_since = next.step.is_never_given_up().then_some(now);
        }
        let command = if entered || matches!(input, Input::Due) { next.command() } else { None };
        let command = command.filter(|c| !(entered && *c == Command::AskIntent));
        Ok(Outcome { saga: next, command, exception })
    }

    fn close(&mut self, end: End, now: Timestamp) {
        self.step = Step::Closing(end);
        self.closing_since = Some(now);
    }

    fn on_due(&mut self, now: Timestamp) -> Option<&'static str> {
        match self.step {
            // Opening is never given up by time alone: the intent may exist, and closing asks for it first.
            Step::Opening | Step::Paying if now >= self.pay_by => self.close(End::Expired, now),
            Step::Closing(end) => {
                let since = self.closing_since.unwrap_or(self.placed_at);
                if now.ms_since(since) >= PROVIDER_SILENCE_HOURS * 3_600_000 {
                    self.step = Step::Releasing(end);
                    return Some("unsettled");
                }
            }
            _ if self.step.is_never_given_up() => {
                // Asking for ever is right, as long as somebody hears of it.
                let stuck = |since: Timestamp| now.ms_since(since) >= STUCK_AFTER_HOURS * 3_600_000;
                if self.waiting_since.is_some_and(stuck) {
                    self.waiting_since = None;
                    return Some("stuck");
                }
            }
            _ => {}
        }
        None
    }

    fn on_intent(&mut self, intent: &IntentState, now: Timestamp) -> Option<&'static str> {
        let whole = intent.amount.amount();
        // What does not match is never paid, however much it is.
        let authorised = intent.amounts.authorised.amount() >= whole && !intent.cancelled && !intent.mismatch;
        let taken = intent.amounts.captured.amount() >= whole;
        let captured = taken && !intent.mismatch;
        // Money that does not match stays with the payment service, for a person; the order does not wait for it.
        let over = intent.cancelled || (taken && intent.mismatch);
        match self.step {
            Step::Opening | Step::Paying => {
                if authorised {
                    self.step = Step::Posting;
                } else if over {
                    // Closed here too, so that the payment service knows money that still comes for late.
                    self.close(if intent.mismatch { End::Cancelled } else { End::Expired }, now);
                } else {
                    self.step = Step::Paying;
                    self.pay_by = self.pay_by.max(self.deadline_by(intent));
                }
            }
            Step::Capturing => {
                if captured {
                    self.step = Step::Settled;
                } else if intent.capture_failed || intent.mismatch || over {
                    self.close(End::Cancelled, now);
                }
            }
            Step::Closing(end) => {
                if captured {
                    self.step = Step::Refunding(end);
                } else if over {
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

    fn on_hold(&mut self, state: HoldState, now: Timestamp) -> Option<&'static str> {
        match (self.step, state) {
            (Step::Posting, HoldState::Posted) => self.step = Step::Capturing,
            (Step::Posting, HoldState::Voided | HoldState::None) => {
                // Cannot happen while only the order decides; if it does, no money is taken.
                self.close(End::Cancelled, now);
                return Some("hold_lost");
            }
            (Step::Releasing(end), HoldState::Voided | HoldState::None) => self.step = Step::Ended(end),
            _ => {}
        }
        None
    }

    fn on_cancel(&mut self, now: Timestamp) -> Result<(), Refused> {
        match self.step {
            Step::Opening | Step::Paying => {
                self.close(End::Cancelled, now);
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        id::{IntentId, OrderId},
        money::{Currency, Money},
        order::PaymentAmounts,
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix_ms(0).plus_min(minutes)
    }

    fn eur(amount: i64) -> Money {
        Money::new(amount, Currency::EUR).unwrap()
    }

    fn intent(authorised: i64, captured: i64) -> IntentState {
        IntentState {
            order: OrderId::from_u128(1),
            intent: IntentId::from_u128(1),
            revision: 1,
            status: PaymentStatus::Pending,
            amount: eur(100),
            amounts: PaymentAmounts { authorised: eur(authorised), captured: eur(captured), refunded: eur(0) },
            next_action: None,
            attempts: 1,
            attempted_at: Some(at(0)),
            closing: false,
            cancelled: false,
            capture_failed: false,
            mismatch: false,
        }
    }

    fn run(saga: Saga, input: &Input<'_>, minutes: i64) -> Outcome {
        saga.decide(input, at(minutes)).unwrap()
    }

    #[test]
    fn money_is_taken_only_for_posted_stock() {
        let placed = run(Saga::placed(at(0)), &Input::Due, 0);
        assert_eq!(placed.command, Some(Command::OpenIntent));
        let posting = run(placed.saga, &Input::Intent(&intent(100, 0)), 1);
        assert_eq!((posting.saga.step, posting.command), (Step::Posting, Some(Command::PostStock)));
        let capturing = run(posting.saga, &Input::Hold(HoldState::Posted), 1);
        assert_eq!((capturing.saga.step, capturing.command), (Step::Capturing, Some(Command::Capture)));
        let paid = run(capturing.saga, &Input::Intent(&intent(100, 100)), 1);
        assert_eq!((paid.saga.step, paid.command), (Step::Settled, None));
        assert_eq!(paid.saga.status(), OrderStatus::Paid);
    }

    #[test]
    fn a_partial_authorisation_is_not_enough() {
        let saga = run(Saga::placed(at(0)), &Input::Intent(&intent(99, 0)), 1).saga;
        assert_eq!(saga.step, Step::Paying);
    }

    #[test]
    fn an_expiring_order_closes_the_payment_before_it_gives_the_stock_back() {
        let paying = run(Saga::placed(at(0)), &Input::Intent(&intent(0, 0)), 0).saga;
        assert_eq!(run(paying, &Input::Due, 14).saga.step, Step::Paying);
        let closing = run(paying, &Input::Due, 15);
        assert_eq!(closing.command, Some(Command::CloseIntent));
        let confirmed = IntentState { cancelled: true, ..intent(0, 0) };
        let releasing = run(closing.saga, &Input::Intent(&confirmed), 16);
        assert_eq!(releasing.command, Some(Command::ReleaseStock));
        let ended = run(releasing.saga, &Input::Hold(HoldState::Voided), 16).saga;
        assert_eq!(ended.status(), OrderStatus::Expired);
    }

    #[test]
    fn money_that_comes_while_it_expires_still_buys() {
        let closing = run(run(Saga::placed(at(0)), &Input::Due, 5).saga, &Input::Intent(&intent(100, 0)), 6);
        assert_eq!(closing.command, Some(Command::PostStock));
    }

    #[test]
    fn asking_to_pay_again_holds_no_stock_any_longer_an_attempt_does() {
        let paying = run(Saga::placed(at(0)), &Input::Intent(&intent(0, 0)), 0).saga;
        assert_eq!(run(paying, &Input::PayAgain, 14).saga.pay_by, at(15));
        assert_eq!(paying.decide(&Input::PayAgain, at(15)), Err(Refused::State));
        let tried = IntentState { attempts: 2, attempted_at: Some(at(14)), ..intent(0, 0) };
        assert_eq!(run(paying, &Input::Intent(&tried), 14).saga.pay_by, at(29));
    }

    #[test]
    fn a_failed_capture_gives_the_stock_back() {
        let saga = Saga { step: Step::Capturing, ..Saga::placed(at(0)) };
        let failed = IntentState { capture_failed: true, ..intent(100, 0) };
        let closing = run(saga, &Input::Intent(&failed), 1);
        assert_eq!(closing.saga.step, Step::Closing(End::Cancelled));
        // Still authorised and not yet confirmed: it does not go back to posting.
        assert_eq!(run(closing.saga, &Input::Intent(&failed), 2).saga.step, Step::Closing(End::Cancelled));
        let confirmed = IntentState { cancelled: true, ..failed };
        assert_eq!(run(closing.saga, &Input::Intent(&confirmed), 2).command, Some(Command::ReleaseStock));
    }

    #[test]
    fn money_that_does_not_match_never_pays_and_the_stock_comes_back() {
        let wrong = |authorised, captured| IntentState { mismatch: true, ..intent(authorised, captured) };
        let paying = run(Saga::placed(at(0)), &Input::Intent(&wrong(100, 0)), 1).saga;
        assert_eq!(paying.step, Step::Paying, "authorised is not enough");
        let capturing = Saga { step: Step::Capturing, ..Saga::placed(at(0)) };
        let closing = run(capturing, &Input::Intent(&wrong(100, 0)), 1);
        assert_eq!((closing.saga.step, closing.command), (Step::Closing(End::Cancelled), Some(Command::CloseIntent)));
        assert_eq!(run(closing.saga, &Input::Intent(&wrong(100, 0)), 2).saga.step, Step::Closing(End::Cancelled));
        for over in [wrong(101, 101), wrong(100, 100), IntentState { cancelled: true, ..wrong(0, 0) }] {
            for saga in [paying, capturing] {
                let closing = run(saga, &Input::Intent(&over), 2);
                assert_eq!(closing.saga.step, Step::Closing(End::Cancelled), "{saga:?} {over:?}");
            }
            let releasing = run(closing.saga, &Input::Intent(&over), 2);
            assert_eq!(releasing.saga.step, Step::Releasing(End::Cancelled), "{over:?}");
            assert_eq!(releasing.command, Some(Command::ReleaseStock));
        }
    }

    #[test]
    fn a_payment_that_was_given_up_elsewhere_is_closed_here_too() {
        let given_up = IntentState { cancelled: true, ..intent(0, 0) };
        for (step, end) in [(Step::Paying, End::Expired), (Step::Capturing, End::Cancelled)] {
            let closing = run(Saga { step, ..Saga::placed(at(0)) }, &Input::Intent(&given_up), 1);
            assert_eq!((closing.saga.step, closing.command), (Step::Closing(end), Some(Command::CloseIntent)));
        }
    }

    #[test]
    fn a_paid_order_that_is_called_off_is_refunded_first() {
        let paid = Saga { step: Step::Settled, ..Saga::placed(at(0)) };
        let refunding = run(paid, &Input::Cancel, 1);
        assert_eq!(refunding.command, Some(Command::Refund));
        let releasing = run(refunding.saga, &Input::RefundBegun, 1);
        assert_eq!(releasing.command, Some(Command::ReleaseStock));
        assert_eq!(releasing.saga.status(), OrderStatus::Cancelled);
    }

    #[test]
    fn a_silent_provider_does_not_hold_the_stock_for_ever() {
        let closing = run(Saga::placed(at(0)), &Input::Due, 5).saga;
        assert_eq!(run(closing, &Input::Due, 5 + 6 * 60 - 1).saga.step, Step::Closing(End::Expired));
        let given_up = run(closing, &Input::Due, 5 + 6 * 60);
        assert_eq!(given_up.saga.step, Step::Releasing(End::Expired));
        assert_eq!(given_up.exception, Some("unsettled"));
    }

    #[test]
    fn a_step_that_waits_for_hours_is_told_once_and_asked_for_further() {
        let asked = |step, minutes| run(Saga { step, ..Saga::placed(at(0)) }, &Input::Due, minutes);
        assert_eq!(asked(Step::Capturing, 6 * 60).exception, None, "nobody knows since when");
        let authorised = intent(100, 0);
        let posting = run(asked(Step::Opening, 0).saga, &Input::Intent(&authorised), 10).saga;
        assert_eq!(run(posting, &Input::Due, 10 + 6 * 60 - 1).exception, None);
        let stuck = run(posting, &Input::Due, 10 + 6 * 60);
        assert_eq!((stuck.exception, stuck.command), (Some("stuck"), Some(Command::PostStock)));
        let further = run(stuck.saga, &Input::Due, 10 + 12 * 60);
        assert_eq!((further.exception, further.command), (None, Some(Command::PostStock)));
        // The next step has hours of its own.
        let capturing = run(further.saga, &Input::Hold(HoldState::Posted), 20 * 60).saga;
        assert_eq!(run(capturing, &Input::Due, 25 * 60).exception, None);
        assert_eq!(run(capturing, &Input::Due, 26 * 60).exception, Some("stuck"));
    }

    #[test]
    fn a_challenge_gives_the_shopper_half_an_hour() {
        let challenge = IntentState { status: PaymentStatus::RequiresAction, ..intent(0, 0) };
        let paying = run(Saga::placed(at(0)), &Input::Intent(&challenge), 0).saga;
        assert_eq!(paying.pay_by, at(30));
    }

    fn any_input() -> impl Strategy<Value = (u8, bool, i64, i64)> {
        (0_u8..8, any::<bool>(), prop_oneof![Just(0_i64), Just(99), Just(100)], 0_i64..120)
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
                ..intent(amount, if flag { amount } else { 0 })
            };
            let input = match kind {
                0 | 1 => Input::Due,
                2 | 3 => Input::Intent(&state),
                4 => Input::Hold(if flag { HoldState::Posted } else { HoldState::Voided }),
                5 => Input::RefundBegun,
                6 => Input::Cancel,
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
        refuses: std::collections::HashSet<Command>,
    }

    impl Cooperative {
        fn answer(&mut self, saga: Saga, command: Command, minutes: i64) -> Saga {
            if self.refuses.remove(&command) {
                return saga;
            }
            let open = !self.intent.cancelled && self.intent.amounts.captured.amount() == 0;
            match command {
                Command::Capture if open && self.capture_fails => self.intent.capture_failed = true,
                Command::Capture if open && !self.intent.mismatch => self.intent.amounts.captured = eur(100),
                Command::CloseIntent => self.intent.cancelled |= open,
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
}
