//! Answers that say less than they seem to: lost, forgotten, refused after the deed, taken on and not done.

use crate::support::{World, ask, eur, guest, order};
use bodega_domain::{
    Code,
    id::OrderId,
    message::payment::{Attempt, Open, OpenAsk, Refund},
    order::PaymentStatus,
};
use bodega_payment_simulator::control::Switches;
use bodega_platform::sqlx;
use serde_json::json;

fn refund(order: OrderId, amount: Option<i64>, key: &str) -> Refund {
    Refund { order, amount: amount.map(eur), merchant: None, key: key.to_owned(), reason: "return".to_owned() }
}

/// A world in which only answers tell anything.
async fn without_webhooks() -> World {
    let world = World::open().await;
    world.switch(Switches { drop: true, ..world.switches().await }).await;
    world
}

async fn fault(world: &World, operation: &str, mode: &str, status: u16, count: u32) {
    world.control("faults", json!({"operation": operation, "mode": mode, "status": status, "count": count})).await;
}

/// Makes the unanswered refund so old that the provider has forgotten its key.
async fn age(world: &World) {
    let pool = world.pool().await;
    bodega_tests::eventually("an unanswered refund", || async {
        let aged = sqlx::query(
            "update job set created_at = created_at - interval '21 hours' where kind = 'refund' and tries > 0",
        );
        (aged.execute(&pool).await.unwrap().rows_affected() > 0).then_some(())
    })
    .await;
}

async fn until_refunded(world: &World, order: OrderId, amount: i64) {
    world.until(order, "money given back", |state| state.amounts.refunded.amount() == amount).await;
    world.until_idle().await;
    let reference = world.reference(order).await;
    let url = format!("{}/v1/refunds?payment_intent={reference}", world.simulator.url());
    let list: serde_json::Value =
        world.client.get(url).bearer_auth(crate::support::KEY).send().await.unwrap().json().await.unwrap();
    let given: i64 = list["data"].as_array().unwrap().iter().map(|refund| refund["amount"].as_i64().unwrap()).sum();
    assert_eq!(given, amount, "what the provider gave back");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_provider_forgot_the_key_a_refund_is_looked_for_before_it_is_asked_for_again() {
    let world = without_webhooks().await;
    let order = world.paid(1_000, "card_ok").await;
    // Done, and the answer lost; whoever asks once more is not let in, and only the list can tell.
    fault(&world, "refund", "drop_response", 500, 1).await;
    fault(&world, "refund", "refuse", 503, 1_000).await;
    world.core.ask(refund(order, Some(400), "lost")).await.unwrap();
    age(&world).await;
    until_refunded(&world, order, 400).await;
    // Never done: it is, once.
    world.core.ask(refund(order, Some(100), "never arrived")).await.unwrap();
    age(&world).await;
    world.switch(Switches { faults: Vec::new(), ..world.switches().await }).await;
    until_refunded(&world, order, 500).await;
    assert!(world.exceptions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_done_and_is_then_refused_was_done() {
    let world = without_webhooks().await;
    let order = world.paid(1_000, "card_ok").await;
    fault(&world, "refund", "drop_response", 500, 1).await;
    fault(&world, "refund", "refuse", 400, 1).await;
    world.core.ask(refund(order, Some(400), "key")).await.unwrap();
    until_refunded(&world, order, 400).await;
    assert!(world.exceptions().await.is_empty(), "{:?}", world.exceptions().await);
    assert_eq!(world.core.ask(refund(order, None, "the rest")).await.unwrap().amount, eur(600));
    until_refunded(&world, order, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_left_is_nothing_when_it_went_back_at_the_provider_s_own_pages() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_ok").await;
    let reference = world.reference(order).await;
    let url = format!("{}/v1/refunds", world.simulator.url());
    let form = [("payment_intent", reference.as_str())];
    assert!(
        world.client.post(url).bearer_auth(crate::support::KEY).form(&form).send().await.unwrap().status().is_success()
    );
    world.until_status(order, PaymentStatus::Refunded).await;
    for key in ["cancel", "cancel", "again"] {
        assert_eq!(world.core.ask(refund(order, None, key)).await.unwrap().amount, eur(0));
    }
    let more = world.core.ask(refund(order, Some(1), "one cent")).await;
    assert_eq!(more.unwrap_err().code, Code::AmountExceeded);
    until_refunded(&world, order, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_is_only_taken_on_is_asked_about_until_it_is_done() {
    let world = without_webhooks().await;
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    fault(&world, "capture", "postpone", 200, 1).await;
    world.capture(order).await;
    let pool = world.pool().await;
    bodega_tests::eventually("the first answer", || async {
        let tries = sqlx::query_scalar::<_, i32>("select tries from job where kind = 'capture'");
        tries.fetch_optional(&pool).await.unwrap().filter(|tries| *tries > 0)
    })
    .await;
    // Its key gets the same answer for ever; the money comes by itself.
    let reference = world.reference(order).await;
    world.control(&format!("intents/{reference}/capture"), json!({})).await;
    world.until_status(order, PaymentStatus::Captured).await;
    world.until_idle().await;
    assert_eq!(world.balances_without_fees().await["provider_clearing"], 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_is_only_taken_on_is_asked_for_again() {
    let world = without_webhooks().await;
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    fault(&world, "cancel", "postpone", 200, 1).await;
    assert!(!world.cancel(order).await.cancelled);
    world.until_status(order, PaymentStatus::Cancelled).await;
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_refused_and_never_reaches_a_table() {
    let world = World::open().await;
    let paid = world.paid(1_000, "card_ok").await;
    let pointer = |failure: bodega_domain::Failure| {
        assert_eq!(failure.code, Code::ValidationFailed, "{failure}");
        failure.fields[0].pointer.clone()
    };
    for odd in ["\u{7f}", "a\u{1b}[2J", "line\nline"] {
        let reason = Refund { reason: odd.to_owned(), ..refund(paid, None, "key") };
        assert_eq!(pointer(world.core.ask(reason).await.unwrap_err()), "/reason");
        assert_eq!(pointer(world.core.ask(refund(paid, None, odd)).await.unwrap_err()), "/key");
        let fine = ask(order(), 1_000, "card_ok");
        for (wrong, at) in [
            (OpenAsk { method: odd.to_owned(), ..fine.clone() }, "/method"),
            (OpenAsk { attempt_key: odd.to_owned(), ..fine.clone() }, "/attempt_key"),
            (OpenAsk { return_url: Some(odd.to_owned()), ..fine.clone() }, "/return_url"),
        ] {
            assert_eq!(pointer(world.core.ask(Open { asks: vec![wrong] }).await.unwrap_err()), at);
        }
        let again = Attempt {
            order: paid,
            owner: guest(),
            provider: "simulator".to_owned(),
            method: "card_ok".to_owned(),
            attempt_key: "again".to_owned(),
            return_url: Some(odd.to_owned()),
        };
        assert_eq!(pointer(world.core.ask(again).await.unwrap_err()), "/return_url");
    }
}
