//! Orders one by one: what each word of the others leads to.

mod properties;

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
        claimed: captured > 0,
        cancelled: false,
        capture_failed: false,
        mismatch: false,
        held_until: None,
        at_shipment: Vec::new(),
        capture_before: None,
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
fn money_that_is_taken_at_shipment_settles_the_order_once_all_that_is_due_before_is_taken() {
    let capturing = Saga { step: Step::Capturing, ..Saga::placed(at(0)) };
    let waiting = |waiting, captured| {
        let merchant = crate::id::MerchantId::from_u128(1);
        let part = crate::order::AtShipment { merchant, waiting: eur(waiting), forgone: eur(0) };
        IntentState { at_shipment: vec![part], claimed: true, ..intent(100, captured) }
    };
    assert_eq!(run(capturing, &Input::Intent(&waiting(100, 0)), 1).saga.step, Step::Settled);
    assert_eq!(run(capturing, &Input::Intent(&waiting(60, 0)), 1).saga.step, Step::Capturing);
    assert_eq!(run(capturing, &Input::Intent(&waiting(60, 40)), 1).saga.step, Step::Settled);
    // Without a word that it was asked for, an authorisation is no payment.
    assert_eq!(run(capturing, &Input::Intent(&intent(100, 0)), 1).saga.step, Step::Capturing);
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
    let confirmed = IntentState { closing: true, cancelled: true, ..intent(0, 0) };
    let releasing = run(closing.saga, &Input::Intent(&confirmed), 16);
    assert_eq!(releasing.command, Some(Command::ReleaseStock));
    let ended = run(releasing.saga, &Input::Hold(HoldState::Voided), 16).saga;
    assert_eq!(ended.status(), OrderStatus::Expired);
}

#[test]
fn an_order_lets_go_only_while_it_may_be_paid_and_money_on_its_way_still_buys() {
    let paying = run(Saga::placed(at(0)), &Input::Intent(&intent(0, 0)), 0).saga;
    let closing = run(paying, &Input::LetGo, 1);
    assert_eq!((closing.saga.step, closing.command), (Step::Closing(End::Expired), Some(Command::CloseIntent)));
    assert_eq!(run(closing.saga, &Input::Intent(&intent(100, 0)), 1).command, Some(Command::PostStock));
    let posting = run(paying, &Input::Intent(&intent(100, 0)), 1).saga;
    for busy in [Saga::placed(at(0)), posting, closing.saga] {
        let same = run(busy, &Input::LetGo, 2);
        assert_eq!((same.saga, same.command), (busy, None));
    }
}

#[test]
fn money_that_was_taken_before_anybody_paid_buys_whatever_was_called_off() {
    let taken = IntentState { cancelled: true, ..intent(100, 100) };
    let posting = run(Saga::placed(at(0)), &Input::Intent(&taken), 0);
    assert_eq!(posting.command, Some(Command::PostStock));
    let wrong = IntentState { mismatch: true, ..taken };
    assert_eq!(run(Saga::placed(at(0)), &Input::Intent(&wrong), 0).saga.step, Step::Closing(End::Cancelled));
}

#[test]
fn money_that_may_wait_buys_while_the_order_expires_and_goes_back_once_it_was_called_off() {
    let held = IntentState { closing: true, held_until: Some(at(60)), ..intent(100, 100) };
    let expiring = run(Saga::placed(at(0)), &Input::Due, 5).saga;
    assert_eq!(run(expiring, &Input::Intent(&held), 6).command, Some(Command::PostStock));
    let called_off = run(Saga::placed(at(0)), &Input::Cancel, 1).saga;
    assert_eq!(run(called_off, &Input::Intent(&held), 6).command, Some(Command::Refund));
    let at_once = IntentState { held_until: None, ..held };
    assert_eq!(run(expiring, &Input::Intent(&at_once), 6).command, Some(Command::Refund));
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
    let confirmed = IntentState { closing: true, cancelled: true, ..failed };
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
        let closed = IntentState { closing: true, ..over.clone() };
        let releasing = run(closing.saga, &Input::Intent(&closed), 2);
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
fn money_that_was_taken_unasked_is_paid_once_it_was_asked_for_and_not_when_it_goes_back() {
    let capturing = Saga { step: Step::Capturing, ..Saga::placed(at(0)) };
    let unasked = IntentState { claimed: false, ..intent(100, 100) };
    assert_eq!(run(capturing, &Input::Intent(&unasked), 1).saga.step, Step::Capturing);
    assert_eq!(run(capturing, &Input::Intent(&intent(100, 100)), 1).saga.step, Step::Settled);
    let goes_back = IntentState { capture_failed: true, ..unasked };
    assert_eq!(run(capturing, &Input::Intent(&goes_back), 1).saga.step, Step::Closing(End::Cancelled));
}

#[test]
fn a_silent_provider_does_not_hold_the_stock_for_ever() {
    let unheard = run(Saga::placed(at(0)), &Input::Due, 5).saga;
    let waiting = run(unheard, &Input::Due, 5 + 6 * 60);
    assert_eq!((waiting.saga.step, waiting.command), (Step::Closing(End::Expired), Some(Command::CloseIntent)));
    assert_eq!(waiting.exception, Some("stuck"), "nobody was asked yet, and somebody hears of it");
    let closing = run(unheard, &Input::Intent(&IntentState { closing: true, ..intent(0, 0) }), 5).saga;
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
