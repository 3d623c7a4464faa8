//! A payment intent and what may happen to it: pure rules, no clock, no randomness.
//!
//! ```text
//! requires_payment_method ──confirm──▶ requires_capture ──capture──▶ succeeded
//!        ▲   ▲                 │  │          │
//!        │   └── declined ─────┤  │          └──cancel──▶ canceled
//!        │                     │  └▶ processing (slow, silent)
//!        └── challenge failed ─┴───▶ requires_action
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Largest amount of one intent, in minor units; the shop's own limit.
pub const AMOUNT_MAX: i64 = 10_000_000_000_000;

/// What the card does. The names are the payment methods a shop may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Card {
    /// Authorised at once.
    CardOk,
    /// Declined at once.
    CardRefused,
    /// The shopper has to approve on the simulator's challenge page.
    CardChallenge,
    /// Authorised, but only a webhook tells so, seconds later.
    CardSlow,
    /// Authorised at once; every webhook is sent twice and out of order.
    CardDuplicate,
    /// Stays `processing` for good.
    CardSilent,
    /// Authorised; every capture is refused.
    CardCaptureFails,
    /// Authorised and captured; disputed some seconds after the capture.
    CardDispute,
    /// Authorised; money can be taken from it once only.
    CardOneCapture,
}

impl Card {
    /// Every card, in the order of the contract.
    pub const ALL: [Card; 9] = [
        Card::CardOk,
        Card::CardRefused,
        Card::CardChallenge,
        Card::CardSlow,
        Card::CardDuplicate,
        Card::CardSilent,
        Card::CardCaptureFails,
        Card::CardDispute,
        Card::CardOneCapture,
    ];

    /// The name that a shop sends as `payment_method`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Card::CardOk => "card_ok",
            Card::CardRefused => "card_refused",
            Card::CardChallenge => "card_challenge",
            Card::CardSlow => "card_slow",
            Card::CardDuplicate => "card_duplicate",
            Card::CardSilent => "card_silent",
            Card::CardCaptureFails => "card_capture_fails",
            Card::CardDispute => "card_dispute",
            Card::CardOneCapture => "card_one_capture",
        }
    }

    /// The card with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Card> {
        Card::ALL.into_iter().find(|card| card.name() == name)
    }
}

/// Where an intent stands; the names are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// New, or its last attempt failed.
    RequiresPaymentMethod,
    /// Waiting for the shopper at the challenge page.
    RequiresAction,
    /// No word yet.
    Processing,
    /// Authorised, wholly or partly uncaptured.
    RequiresCapture,
    /// Captured, nothing more to take.
    Succeeded,
    /// Given up; final.
    Canceled,
}

impl Status {
    /// The API's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::RequiresPaymentMethod => "requires_payment_method",
            Status::RequiresAction => "requires_action",
            Status::Processing => "processing",
            Status::RequiresCapture => "requires_capture",
            Status::Succeeded => "succeeded",
            Status::Canceled => "canceled",
        }
    }
}

/// Why the last attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// `card_declined` or `payment_intent_authentication_failure`.
    pub code: String,
    /// The attempt's charge.
    pub charge: String,
}

/// A payment intent as the simulator keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// `pi_…`.
    pub id: String,
    /// Minor units, > 0.
    pub amount: i64,
    /// ISO 4217, lower case as the API has it.
    pub currency: String,
    /// Seconds since 1970.
    pub created: i64,
    /// What the shop wants back: order and intent ids.
    pub metadata: BTreeMap<String, String>,
    /// Captures only when asked.
    pub manual_capture: bool,
    /// The shop wants to capture several times, if the card can do that.
    #[serde(default)]
    pub wants_parts: bool,
    /// Where it stands.
    pub status: Status,
    /// Still to be captured, minor units.
    pub capturable: i64,
    /// Captured so far, minor units.
    pub received: i64,
    /// Refunded so far, minor units.
    pub refunded: i64,
    /// The card of the last attempt.
    pub card: Option<Card>,
    /// The charge of the last attempt.
    pub charge: Option<String>,
    /// Why the last attempt failed.
    pub decline: Option<Decline>,
    /// Where the shopper goes after the challenge.
    pub return_url: Option<String>,
    /// Milliseconds since 1970 at which a slow card speaks.
    pub speaks_at_ms: Option<u64>,
    /// Milliseconds since 1970 at which a dispute is opened.
    pub disputes_at_ms: Option<u64>,
    /// A dispute was opened.
    pub disputed: bool,
    /// Seconds since 1970.
    pub canceled_at: Option<i64>,
}

/// What a change tells the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Authorised.
    Capturable,
    /// Captured in full or for good.
    Succeeded,
    /// The attempt failed.
    Failed,
    /// Given up.
    Canceled,
    /// The shopper is asked to approve.
    RequiresAction,
    /// Waiting for the bank.
    Processing,
}

impl Word {
    /// The event's type.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Word::Capturable => "payment_intent.amount_capturable_updated",
            Word::Succeeded => "payment_intent.succeeded",
            Word::Failed => "payment_intent.payment_failed",
            Word::Canceled => "payment_intent.canceled",
            Word::RequiresAction => "payment_intent.requires_action",
            Word::Processing => "payment_intent.processing",
        }
    }
}

/// What the timed cards need to know about now.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// How long slow things take, milliseconds.
    pub slow_ms: u64,
}

impl Intent {
    /// Attempts a payment with `card`; `charge` is the attempt's fresh id. A decline is an `Ok` word, not a refusal.
    ///
    /// # Errors
    /// Refused in every state that has an attempt under way or behind it.
    pub fn confirm(&mut self, card: Card, charge: String, moment: Moment) -> Result<Option<Word>, Refusal> {
        if !matches!(self.status, Status::RequiresPaymentMethod | Status::RequiresAction) {
            return Err(self.unexpected("confirm"));
        }
        self.card = Some(card);
        self.charge = Some(charge);
        self.decline = None;
        Ok(match card {
            Card::CardOk | Card::CardDuplicate | Card::CardCaptureFails | Card::CardDispute | Card::CardOneCapture => {
                Some(self.authorise(moment))
            }
            Card::CardRefused => Some(self.fail("card_declined")),
            Card::CardChallenge => {
                self.status = Status::RequiresAction;
                Some(Word::RequiresAction)
            }
            Card::CardSlow => {
                self.status = Status::Processing;
                self.speaks_at_ms = Some(moment.now_ms.saturating_add(moment.slow_ms));
                None
            }
            Card::CardSilent => {
                self.status = Status::Processing;
                None
            }
        })
    }

    /// The shopper's answer at the challenge page.
    ///
    /// # Errors
    /// Refused when no challenge is open.
    pub fn challenge(&mut self, approved: bool, moment: Moment) -> Result<Word, Refusal> {
        if self.status != Status::RequiresAction {
            return Err(self.unexpected("complete the challenge of"));
        }
        Ok(if approved { self.authorise(moment) } else { self.fail("payment_intent_authentication_failure") })
    }

    /// A slow or silent card speaks at last.
    ///
    /// # Errors
    /// Refused when it is not waiting for word.
    pub fn speak(&mut self, authorised: bool, moment: Moment) -> Result<Word, Refusal> {
        if self.status != Status::Processing {
            return Err(self.unexpected("settle"));
        }
        self.speaks_at_ms = None;
        Ok(if authorised { self.authorise(moment) } else { self.fail("card_declined") })
    }

    /// Money moves although nobody may expect it any more: the late word of a bank, even after a cancellation.
    pub fn force_capture(&mut self, moment: Moment) -> (i64, Word) {
        let taken = self.amount - self.received;
        self.speaks_at_ms = None;
        (taken, self.take(taken, true, moment))
    }

    /// More is taken than was to be paid: what no provider should do.
    pub fn overcharge(&mut self, moment: Moment) -> Word {
        self.speaks_at_ms = None;
        self.take(self.amount - self.received + 1, true, moment)
    }

    /// Another amount than the shop asked for is to be paid.
    pub fn reprice(&mut self) -> Word {
        self.amount += 1;
        self.capturable += i64::from(self.capturable > 0);
        Word::Capturable
    }

    /// Whether money can be taken from its authorisation several times.
    #[must_use]
    pub fn in_parts(&self) -> bool {
        self.wants_parts && self.card != Some(Card::CardOneCapture)
    }

    /// The bank keeps the money no longer: what was not taken is gone.
    ///
    /// # Errors
    /// Refused when nothing is authorised.
    pub fn lapse(&mut self, now_s: i64) -> Result<Word, Refusal> {
        if self.status != Status::RequiresCapture {
            return Err(self.unexpected("let lapse"));
        }
        self.capturable = 0;
        if self.received > 0 {
            self.status = Status::Succeeded;
            return Ok(Word::Succeeded);
        }
        self.status = Status::Canceled;
        self.canceled_at = Some(now_s);
        Ok(Word::Canceled)
    }

    /// Takes `amount` (all that is left by default); the rest is released when `last`. Nothing may be taken to release it.
    ///
    /// # Errors
    /// Refused when not authorised, more than authorised, in parts when the card cannot do that, or the card fails captures.
    pub fn capture(&mut self, amount: Option<i64>, last: bool, moment: Moment) -> Result<(i64, Word), Refusal> {
        if self.status != Status::RequiresCapture {
            return Err(self.unexpected("capture"));
        }
        let amount = amount.unwrap_or(self.capturable);
        if !last && !self.in_parts() {
            let detail = "this payment cannot be captured several times";
            return Err(Refusal::invalid("parameter_unknown", "final_capture", detail));
        }
        let releases = amount == 0 && last && self.received > 0;
        if amount < 1 && !releases {
            return Err(Refusal::invalid("parameter_invalid_integer", "amount_to_capture", "must be at least 1"));
        }
        if amount > self.capturable {
            let detail = format!("the remaining capturable amount is {}", self.capturable);
            return Err(Refusal::invalid("amount_too_large", "amount_to_capture", &detail));
        }
        if self.card == Some(Card::CardCaptureFails) {
            return Err(Refusal::card(
                "capture_charge_authorization_expired",
                "the bank refuses to hand over the money",
            ));
        }
        Ok((amount, self.take(amount, last || amount == self.capturable, moment)))
    }

    /// Gives the intent up.
    ///
    /// # Errors
    /// Refused while a bank is still deciding and after money was taken.
    pub fn cancel(&mut self, now_s: i64) -> Result<Word, Refusal> {
        let open =
            matches!(self.status, Status::RequiresPaymentMethod | Status::RequiresAction | Status::RequiresCapture);
        if !open || self.received > 0 {
            return Err(self.unexpected("cancel"));
        }
        self.status = Status::Canceled;
        self.capturable = 0;
        self.canceled_at = Some(now_s);
        Ok(Word::Canceled)
    }

    /// Gives back `amount` of what was taken (all of it by default).
    ///
    /// # Errors
    /// Refused when nothing was taken or more is asked for than is left.
    pub fn refund(&mut self, amount: Option<i64>) -> Result<i64, Refusal> {
        let left = self.received - self.refunded;
        if self.received == 0 {
            return Err(Refusal::invalid("payment_intent_unexpected_state", "payment_intent", "nothing was captured"));
        }
        if left == 0 {
            return Err(Refusal::invalid("charge_already_refunded", "payment_intent", "everything was refunded"));
        }
        let amount = amount.unwrap_or(left);
        if amount < 1 {
            return Err(Refusal::invalid("parameter_invalid_integer", "amount", "must be at least 1"));
        }
        if amount > left {
            let detail = format!("the unrefunded amount is {left}");
            return Err(Refusal::invalid("amount_too_large", "amount", &detail));
        }
        self.refunded += amount;
        Ok(amount)
    }

    fn authorise(&mut self, moment: Moment) -> Word {
        if self.manual_capture {
            self.status = Status::RequiresCapture;
            self.capturable = self.amount;
            Word::Capturable
        } else {
            self.take(self.amount, true, moment)
        }
    }

    fn take(&mut self, amount: i64, last: bool, moment: Moment) -> Word {
        self.received += amount;
        if self.card == Some(Card::CardDispute) && !self.disputed {
            self.disputes_at_ms = Some(moment.now_ms.saturating_add(moment.slow_ms));
        }
        if last {
            self.capturable = 0;
            self.status = Status::Succeeded;
            Word::Succeeded
        } else {
            self.capturable -= amount;
            Word::Capturable
        }
    }

    fn fail(&mut self, code: &str) -> Word {
        self.status = Status::RequiresPaymentMethod;
        self.decline = Some(Decline { code: code.to_owned(), charge: self.charge.clone().unwrap_or_default() });
        Word::Failed
    }

    fn unexpected(&self, verb: &str) -> Refusal {
        let detail = format!("cannot {verb} a payment intent with status {}", self.status.name());
        Refusal::invalid("payment_intent_unexpected_state", "intent", &detail)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOMENT: Moment = Moment { now_ms: 1_000, slow_ms: 50 };

    fn fresh(amount: i64) -> Intent {
        Intent {
            id: "pi_1".into(),
            amount,
            currency: "eur".into(),
            created: 1,
            metadata: BTreeMap::new(),
            manual_capture: true,
            wants_parts: true,
            status: Status::RequiresPaymentMethod,
            capturable: 0,
            received: 0,
            refunded: 0,
            card: None,
            charge: None,
            decline: None,
            return_url: None,
            speaks_at_ms: None,
            disputes_at_ms: None,
            disputed: false,
            canceled_at: None,
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_money_stays_within_its_bounds(
            amount in 1i64..1_000,
            steps in proptest::collection::vec((0u8..6, 0usize..9, 0i64..1_200, any::<bool>()), 0..40),
        ) {
            let mut intent = fresh(amount);
            for (verb, card, sum, flag) in steps {
                let _ = match verb {
                    0 => intent.confirm(Card::ALL[card], "ch".into(), MOMENT).map(|_| ()),
                    1 => intent.challenge(flag, MOMENT).map(|_| ()),
                    2 => intent.speak(flag, MOMENT).map(|_| ()),
                    3 => intent.capture(Some(sum), flag, MOMENT).map(|_| ()),
                    4 => intent.cancel(2).map(|_| ()),
                    _ => intent.refund(Some(sum)).map(|_| ()),
                };
                prop_assert!(intent.capturable >= 0);
                prop_assert!(intent.received + intent.capturable <= amount);
                prop_assert!((0..=intent.received).contains(&intent.refunded));
                prop_assert!(intent.status != Status::Canceled || intent.received == 0);
            }
        }
    }

    #[test]
    fn a_partial_capture_that_is_not_the_last_leaves_the_rest_authorised() {
        let mut intent = fresh(100);
        intent.confirm(Card::CardOk, "ch".into(), MOMENT).unwrap();
        assert_eq!(intent.capture(Some(30), false, MOMENT).unwrap(), (30, Word::Capturable));
        assert_eq!((intent.capturable, intent.received), (70, 30));
        assert_eq!(intent.capture(None, true, MOMENT).unwrap(), (70, Word::Succeeded));
    }

    #[test]
    fn what_is_left_can_be_released_and_a_card_may_be_captured_once_only() {
        let mut intent = fresh(100);
        intent.confirm(Card::CardOk, "ch".into(), MOMENT).unwrap();
        assert!(intent.capture(Some(0), true, MOMENT).is_err(), "nothing was taken: cancel it");
        intent.capture(Some(30), false, MOMENT).unwrap();
        assert_eq!(intent.capture(Some(0), true, MOMENT).unwrap(), (0, Word::Succeeded));
        assert_eq!((intent.capturable, intent.received), (0, 30));
        let mut once = fresh(100);
        once.confirm(Card::CardOneCapture, "ch".into(), MOMENT).unwrap();
        assert!(once.capture(Some(30), false, MOMENT).is_err());
        assert_eq!(once.capture(Some(30), true, MOMENT).unwrap(), (30, Word::Succeeded));
        let mut lapsed = fresh(100);
        lapsed.confirm(Card::CardOk, "ch".into(), MOMENT).unwrap();
        assert_eq!(lapsed.lapse(2).unwrap(), Word::Canceled);
    }

    #[test]
    fn names_of_cards_are_read_back() {
        for card in Card::ALL {
            assert_eq!(Card::parse(card.name()), Some(card));
        }
        assert_eq!(Card::parse("pm_card_visa"), None);
    }
}
