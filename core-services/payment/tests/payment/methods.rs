//! Each payment method of the contract, against the simulator, over the bus.

use crate::support::World;
use bodega_domain::{Code, Timestamp, message::payment::Exceptions, order::PaymentStatus};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_card_is_authorised_then_captured_and_the_books_balance() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_ok").await;
    let state = world.until_status(order, PaymentStatus::Authorised).await;
    assert_eq!((state.amounts.authorised.amount(), state.amounts.captured.amount()), (1_000, 0));
    assert!(world.balances_without_fees().await.is_empty(), "authorised money is nobody's yet");
    world.capture(order).await;
    world.until_status(order, PaymentStatus::Captured).await;
    let balances = world.balances_without_fees().await;
    assert_eq!(balances["provider_clearing"], 1_000);
    assert_eq!(balances["tax_payable"], -100);
    assert_eq!(balances["platform_fee"], -45);
    assert_eq!(balances["merchant_payable"], -855);
    world.until_heard(order).await;
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_card_is_told_and_another_one_pays() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_refused").await;
    let refused = world.until_status(order, PaymentStatus::Refused).await;
    assert_eq!((refused.attempts, refused.closing), (1, false));
    world.until_heard(order).await;
    let begun = world.again(order, "card_ok", "second").await.unwrap();
    assert_eq!((begun.status, begun.attempts), (PaymentStatus::Pending, 2));
    world.until_status(order, PaymentStatus::Authorised).await;
    let same = world.again(order, "card_ok", "second").await.unwrap();
    assert_eq!((same.attempts, same.status), (2, PaymentStatus::Authorised), "the same key is the same attempt");
    assert_eq!(world.again(order, "card_ok", "third").await.unwrap_err().code, Code::PaymentStateConflict);
    world.reference(order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_names_its_page_and_ends_with_the_shopper_s_answer() {
    let world = World::open().await;
    for (verb, status) in [("approve", PaymentStatus::Authorised), ("decline", PaymentStatus::Refused)] {
        let order = world.pay(1_000, "card_challenge").await;
        let waiting = world.until_status(order, PaymentStatus::RequiresAction).await;
        let action = waiting.next_action.unwrap();
        assert_eq!(action.r#type, "redirect");
        assert!(action.url.starts_with(&format!("{}/challenge/", world.simulator.url())), "{}", action.url);
        let reference = world.reference(order).await;
        world.control(&format!("intents/{reference}/{verb}"), json!({})).await;
        let state = world.until_status(order, status).await;
        assert_eq!(state.next_action, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_card_s_word_comes_by_webhook() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_slow").await;
    world.until_status(order, PaymentStatus::Processing).await;
    world.until_status(order, PaymentStatus::Authorised).await;
    world.until_heard(order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_webhook_is_made_good_by_asking() {
    let world = World::open().await;
    let switches = world.switches().await;
    world.switch(bodega_payment_simulator::control::Switches { drop: true, ..switches }).await;
    let order = world.pay(1_000, "card_slow").await;
    world.until_status(order, PaymentStatus::Processing).await;
    world.until_status(order, PaymentStatus::Authorised).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_in_disorder_change_nothing() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_duplicate").await;
    let url = format!("{}/control/events", world.simulator.url());
    bodega_tests::eventually("every webhook was delivered", || async {
        let events: serde_json::Value = world.client.get(&url).send().await.unwrap().json().await.unwrap();
        let events = events["events"].as_array().unwrap().clone();
        (events.len() == 2 && events.iter().all(|event| event["delivery"] == "delivered")).then_some(())
    })
    .await;
    let state = world.state(order).await;
    assert_eq!((state.status, state.amounts.captured.amount()), (PaymentStatus::Captured, 1_000));
    assert_eq!(world.balances_without_fees().await["provider_clearing"], 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_card_stays_in_processing_and_cannot_be_cancelled_until_it_speaks() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_silent").await;
    world.until_status(order, PaymentStatus::Processing).await;
    let closing = world.cancel(order).await;
    assert!(closing.closing && !closing.cancelled);
    assert_eq!(world.again(order, "card_ok", "second").await.unwrap_err().code, Code::PaymentStateConflict);
    let reference = world.reference(order).await;
    world.control(&format!("intents/{reference}/refuse"), json!({})).await;
    world.until(order, "cancelled once the provider has spoken", |state| state.cancelled).await;
    assert!(world.balances_without_fees().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_fails_is_told_and_the_rest_is_cancelled() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_capture_fails").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    world.capture(order).await;
    let failed = world.until(order, "the capture failed", |state| state.capture_failed).await;
    assert_eq!(failed.status, PaymentStatus::Authorised);
    assert!(world.capture(order).await.capture_failed, "it is not tried again");
    world.cancel(order).await;
    world.until_status(order, PaymentStatus::Cancelled).await;
    assert!(world.balances_without_fees().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_holds_the_payout_back() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_dispute").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    world.capture(order).await;
    world.until_status(order, PaymentStatus::Disputed).await;
    let balances = world.balances_without_fees().await;
    assert_eq!((balances.get("merchant_payable"), balances["merchant_held"]), (None, -855));
    assert_eq!((balances.get("provider_clearing"), balances["dispute_receivable"]), (None, 1_000));

    let open = world.core.ask(Exceptions::default()).await.unwrap().items;
    assert_eq!(open.len(), 1, "{open:?}");
    let (one, detail) = (&open[0], &open[0].detail);
    assert_eq!((one.kind.as_str(), one.suggestion.action.as_str()), ("disputed", "answer_the_bank"));
    assert_eq!((one.order, &detail["amount"], &detail["reason"]), (Some(order), &json!(1_000), &json!("fraudulent")));
    let before: Timestamp = serde_json::from_value(detail["respond_before"].clone()).unwrap();
    let days = before.ms_since(one.opened_at) / 86_400_000;
    assert!((6..=7).contains(&days), "the bank's deadline, a week here: {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_or_provider_that_nobody_offers_is_a_refused_attempt() {
    let world = World::open().await;
    let order = world.pay(1_000, "gold_coins").await;
    world.until_status(order, PaymentStatus::Refused).await;
    let ask = crate::support::ask(crate::support::order(), 500, "card_ok");
    let unknown = bodega_domain::message::payment::OpenAsk { provider: "nobody".into(), ..ask };
    let opened = world.core.ask(bodega_domain::message::payment::Open { asks: vec![unknown] }).await.unwrap();
    assert_eq!(opened[0].status, PaymentStatus::Refused);
    assert_eq!(world.again(order, "card_ok", "second").await.unwrap().attempts, 2);
    world.until_status(order, PaymentStatus::Authorised).await;
}
