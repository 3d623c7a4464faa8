//! Random histories of an intent, and the decisions that matter most.

use bodega_domain::{
    id::MerchantId,
    ledger::{self, Held, MerchantShare},
    payment::{AttemptView, Observation},
};
use proptest::prelude::*;

use super::*;

const WHOLE: i64 = 100;
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn eur(amount: i64) -> Money {
    Money::new(amount, bodega_domain::Currency::EUR).unwrap()
}

fn fresh() -> Intent {
    Intent {
        id: IntentId::from_u128(1),
        order: OrderId::from_u128(2),
        buyer: "ses_1".to_owned(),
        provider: "simulator".to_owned(),
        reference: None,
        amount: eur(WHOLE),
        facts: Facts::default(),
        capture_claimed: 0,
        refund_claimed: 0,
        booked: Booked::default(),
        closing: false,
        capture_failed: false,
        late_returned: false,
        late_held_until: None,
        parcels: Parcels::default(),
        attempts: 1,
        last_attempt: Some(AttemptId::from_u128(3)),
        last_attempted_at: Some(NOW),
        last_reference: None,
        last_unknown: false,
        status: PaymentStatus::Pending,
        revision: 1,
    }
}

/// How much of its money would go back by itself.
fn returned(intent: &Intent) -> i64 {
    match intent.late_money(NOW) {
        Late::Fresh(amount) | Late::Due(amount) => amount.amount(),
        Late::None | Late::Waiting | Late::Over => 0,
    }
}

fn seen(capturable: i64, captured: i64, refunded: i64, cancelled: bool) -> Seen {
    Seen {
        reference: "pi_1".to_owned(),
        intent: None,
        observation: Observation {
            in_parts: false,
            capture_before: None,
            amount: WHOLE,
            currency: Some(bodega_domain::Currency::EUR),
            capturable,
            captured,
            refunded,
            cancelled,
            disputed: 0,
            attempt: Some(("ch_1".to_owned(), AttemptView::Open)),
        },
    }
}

fn attempt_ask(n: u128) -> AttemptAsk {
    AttemptAsk {
        id: AttemptId::from_u128(n),
        buyer: "ses_1".to_owned(),
        provider: "simulator".to_owned(),
        method: "card_ok".to_owned(),
        key: n.to_string(),
        return_url: None,
    }
}

fn refund_ask(amount: Option<i64>) -> RefundAsk {
    RefundAsk {
        id: RefundId::from_u128(9),
        amount: amount.map(eur),
        merchant: None,
        key: "k".to_owned(),
        reason: "r".to_owned(),
    }
}

/// One step of a history. What it does depends on what the intent allows.
#[derive(Clone, Debug)]
enum Step {
    Learn { capturable: i64, captured: i64, refunded: i64, cancelled: bool, capture_refused: bool },
    Answered(bool),
    RefundAnswered(i64, bool),
    Capture,
    Close,
    Attempt(u128),
    Refund(Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..=WHOLE, 0..=WHOLE, 0..=WHOLE, any::<bool>(), any::<bool>()).prop_map(
            |(capturable, captured, refunded, cancelled, capture_refused)| Step::Learn {
                capturable,
                captured,
                refunded,
                cancelled,
                capture_refused
            }
        ),
        any::<bool>().prop_map(Step::Answered),
        (1..=WHOLE, any::<bool>()).prop_map(|(amount, failed)| Step::RefundAnswered(amount, failed)),
        Just(Step::Capture),
        Just(Step::Close),
        (10_u128..20).prop_map(Step::Attempt),
        proptest::option::of(1..=WHOLE).prop_map(Step::Refund),
    ]
}

fn take(intent: &mut Intent, step: &Step, changes: &mut Changes) {
    let before = intent.clone();
    let learn = |intent: &mut Intent, lesson: Lesson, changes: &mut Changes| intent.learn(&lesson, NOW, changes);
    match step {
        Step::Learn { capturable, captured, refunded, cancelled, capture_refused } => {
            let seen = Some(seen(*capturable, *captured, *refunded, *cancelled));
            learn(intent, Lesson { seen, capture_refused: *capture_refused, ..Lesson::default() }, changes);
        }
        Step::Answered(known) => {
            let word = if *known { AttemptWord::Answered("ch_1".to_owned()) } else { AttemptWord::Unknown };
            let attempt = intent.last_attempt.map(|attempt| (attempt, word));
            learn(intent, Lesson { attempt, ..Lesson::default() }, changes);
        }
        Step::RefundAnswered(amount, failed) => {
            // The provider answers what was claimed, never more.
            let amount = (*amount).min(intent.refund_claimed - intent.facts.refunded);
            let failed = failed.then(|| "no".to_owned());
            let refund = Some(RefundWord { refund: RefundId::from_u128(9), amount, failed });
            learn(intent, Lesson { refund, ..Lesson::default() }, changes);
        }
        Step::Capture => intent.capture(None, NOW, changes),
        Step::Close => intent.close(NOW, changes),
        Step::Attempt(n) => drop(intent.attempt(&attempt_ask(*n), NOW, changes)),
        Step::Refund(amount) => drop(intent.refund(&refund_ask(*amount), None, NOW, changes)),
    }
    intent.settle(&before, changes);
}

proptest! {
    #[test]
    fn no_history_breaks_what_the_database_checks(steps in proptest::collection::vec(step(), 0..30)) {
        let shares = [MerchantShare { merchant: MerchantId::from_u128(1), payable: 80, tax: 15, fee: 5 }];
        let (mut intent, mut transfers) = (fresh(), Vec::new());
        for step in &steps {
            let before = intent.clone();
            take(&mut intent, step, &mut Changes::default());
            let held: Held = ledger::held(&transfers);
            let currency = intent.amount.currency();
            let (new, booked) = ledger::book(&shares, currency, intent.booked, intent.known(), held, &ledger::Giving::default());
            intent.booked = booked;
            transfers.extend(new);
            let Intent { facts, booked, .. } = &intent;
            prop_assert!(facts.captured <= facts.authorised && facts.refunded <= facts.captured);
            prop_assert!(intent.capture_claimed <= facts.authorised);
            prop_assert!(intent.refund_claimed <= facts.captured);
            prop_assert!(facts.refunded <= intent.refund_claimed);
            prop_assert!(booked.captured <= facts.captured && booked.applied <= booked.captured);
            prop_assert!(booked.refunded <= facts.refunded && booked.unapplied() >= 0);
            prop_assert!(intent.revision >= before.revision);
            // That the order has asked for its money is no news by itself.
            let told = |intent: &Intent| IntentState { claimed: false, ..intent.state() };
            prop_assert_eq!(intent.revision > before.revision, told(&intent) != told(&before));
            prop_assert!(returned(&intent) <= facts.captured - intent.refund_claimed);
            prop_assert_eq!(ledger::balances(&transfers).values().sum::<i64>(), 0);
        }
    }

    #[test]
    fn words_of_the_provider_mean_the_same_in_any_order(
        (words, shuffled) in proptest::collection::vec((0..=WHOLE, 0..=WHOLE, 0..=WHOLE, any::<bool>()), 0..8)
            .prop_flat_map(|words| (Just(words.clone()), Just(words).prop_shuffle())),
    ) {
        let after = |words: &[(i64, i64, i64, bool)]| {
            let mut intent = fresh();
            for (capturable, captured, refunded, cancelled) in words {
                let seen = Some(seen(*capturable, *captured, *refunded, *cancelled));
                intent.learn(&Lesson { seen, ..Lesson::default() }, NOW, &mut Changes::default());
            }
            (intent.facts, intent.reference)
        };
        prop_assert_eq!(after(&words), after(&shuffled));
    }
}

fn authorised() -> Intent {
    let mut intent = fresh();
    let lesson = Lesson { seen: Some(seen(WHOLE, 0, 0, false)), ..Lesson::default() };
    intent.learn(&lesson, NOW, &mut Changes::default());
    intent
}

#[test]
fn a_capture_is_claimed_once_and_calls_once() {
    let (mut intent, mut changes) = (authorised(), Changes::default());
    intent.capture(None, NOW, &mut changes);
    intent.capture(None, NOW, &mut changes);
    assert_eq!((intent.capture_claimed, changes.jobs_new.len()), (WHOLE, 1));
}

#[test]
fn what_is_not_authorised_is_not_claimed() {
    let (mut intent, mut changes) = (fresh(), Changes::default());
    intent.capture(None, NOW, &mut changes);
    assert_eq!((intent.capture_claimed, changes.jobs_new.len()), (0, 0));
}

#[test]
fn a_late_capture_after_closing_is_late_money_once() {
    let mut intent = fresh();
    intent.close(NOW, &mut Changes::default());
    let lesson = Lesson { seen: Some(seen(0, WHOLE, 0, false)), ..Lesson::default() };
    intent.learn(&lesson, NOW, &mut Changes::default());
    assert_eq!(intent.late_money(NOW), Late::Fresh(eur(WHOLE)));
    intent.refund(&refund_ask(Some(WHOLE)), None, NOW, &mut Changes::default()).unwrap();
    assert_eq!(intent.late_money(NOW), Late::None);
}

#[test]
fn late_money_that_waits_goes_back_when_its_time_is_over_and_not_before() {
    let mut intent = fresh();
    intent.close(NOW, &mut Changes::default());
    let lesson = Lesson { seen: Some(seen(0, WHOLE, 0, false)), ..Lesson::default() };
    intent.learn(&lesson, NOW, &mut Changes::default());
    intent.late_held_until = Some(NOW.plus_min(10));
    assert_eq!(intent.late_money(NOW.plus_min(9)), Late::Waiting);
    assert_eq!(intent.late_money(NOW.plus_min(10)), Late::Due(eur(WHOLE)));
    let mut refunded = intent.clone();
    refunded.refund(&refund_ask(Some(WHOLE)), None, NOW, &mut Changes::default()).unwrap();
    assert_eq!(refunded.late_money(NOW), Late::Over, "somebody gave it back before");
    let mut other = intent.clone();
    other.take_over(OrderId::from_u128(9), "ses_9".to_owned());
    assert_eq!((other.late_money(NOW.plus_min(10)), other.order), (Late::None, OrderId::from_u128(9)));
    assert!(other.revision > intent.revision && !other.state().closing && other.state().held_until.is_none());
}

#[test]
fn late_money_pays_another_order_of_the_same_amount_when_all_of_it_is_there() {
    let mut intent = fresh();
    intent.close(NOW, &mut Changes::default());
    let lesson = |captured| Lesson { seen: Some(seen(0, captured, 0, false)), ..Lesson::default() };
    intent.learn(&lesson(WHOLE - 1), NOW, &mut Changes::default());
    assert!(!intent.could_pay(eur(WHOLE)), "a part of it");
    intent.learn(&lesson(WHOLE), NOW, &mut Changes::default());
    assert!(intent.could_pay(eur(WHOLE)) && !intent.could_pay(eur(WHOLE - 1)));
    let mut back = intent.clone();
    back.refund(&refund_ask(Some(1)), None, NOW, &mut Changes::default()).unwrap();
    assert!(!back.could_pay(eur(WHOLE)), "some of it is on its way back");
    assert!(!Intent { closing: false, ..intent }.could_pay(eur(WHOLE)), "it pays an order already");
}

#[test]
fn a_second_intent_at_the_provider_teaches_nothing_and_is_shown_to_a_person() {
    let (mut intent, mut changes) = (authorised(), Changes::default());
    let other = Seen { reference: "pi_2".to_owned(), ..seen(0, WHOLE, 0, false) };
    intent.learn(&Lesson { seen: Some(other), ..Lesson::default() }, NOW, &mut changes);
    assert_eq!((intent.facts.captured, changes.exceptions[0].kind), (0, "second_intent"));
}

#[test]
fn closing_waits_for_an_attempt_under_way_and_for_nothing_else() {
    let (mut waiting, mut changes) = (fresh(), Changes::default());
    waiting.close(NOW, &mut changes);
    assert!(!waiting.facts.cancelled && changes.jobs_new[0].awaits_answer);
    let mut never_arrived = fresh();
    never_arrived.last_reference = Some("pat_1".to_owned());
    never_arrived.close(NOW, &mut Changes::default());
    assert!(never_arrived.facts.cancelled);
}
