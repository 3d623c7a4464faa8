//! Money, early, late, twice and too much.

use std::sync::atomic::Ordering::SeqCst;

use crate::support::{SECRET, World, ask, eur, guest, order};
use bodega_domain::{
    Code, Failure,
    id::OrderId,
    message::payment::{Open, Refund, RefundAnswer, TransfersOf, Webhook},
    order::PaymentStatus,
    token::base64url,
};
use bodega_payment_simulator::{control::Switches, webhook};
use bodega_platform::sqlx;
use serde_json::json;

fn refund(order: OrderId, amount: Option<i64>, key: &str) -> Refund {
    Refund { order, amount: amount.map(eur), merchant: None, key: key.to_owned(), reason: "return".to_owned() }
}

fn code(answer: &Result<RefundAnswer, Failure>) -> Option<Code> {
    answer.as_ref().err().map(|failure| failure.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_again_is_the_same_intent() {
    let world = World::open().await;
    let (order, other) = (order(), order());
    let asks = vec![ask(order, 1_000, "card_ok"), ask(other, 2_000, "card_ok"), ask(order, 1_000, "card_ok")];
    let (first, second) =
        tokio::join!(world.core.ask(Open { asks: asks.clone() }), world.core.ask(Open { asks: asks.clone() }));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first[0].intent, first[2].intent);
    assert_eq!((first[0].intent, first[1].intent), (second[0].intent, second[1].intent));
    world.until_status(order, PaymentStatus::Authorised).await;
    world.reference(order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_do_not_add_up_are_refused() {
    let world = World::open().await;
    let mut wrong = ask(order(), 1_000, "card_ok");
    wrong.amount = eur(999);
    let failure = world.core.ask(Open { asks: vec![wrong] }).await.unwrap_err();
    assert_eq!((failure.code, failure.fields[0].pointer.as_str()), (Code::ValidationFailed, "/shares"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_costs_nothing_is_paid_without_asking_anybody() {
    let world = World::open().await;
    let order = order();
    let opened = world.core.ask(Open { asks: vec![ask(order, 0, "card_ok")] }).await.unwrap();
    assert_eq!((opened[0].status, opened[0].attempts), (PaymentStatus::Captured, 0));
    assert_eq!(world.capture(order).await.status, PaymentStatus::Captured);
    assert_eq!(world.core.ask(refund(order, None, "cancelled")).await.unwrap().amount, eur(0));
    assert_eq!(world.cancel(order).await.status, PaymentStatus::Captured);
    assert!(world.provider_intents(order).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn capturing_twice_takes_the_money_once() {
    let world = World::open().await;
    let early = world.pay(1_000, "card_challenge").await;
    world.until_status(early, PaymentStatus::RequiresAction).await;
    assert_eq!(world.capture(early).await.amounts.captured.amount(), 0, "not before it is authorised");
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    tokio::join!(world.capture(order), world.capture(order), world.capture(order));
    world.until_status(order, PaymentStatus::Captured).await;
    world.capture(order).await;
    world.until_idle().await;
    assert_eq!(world.balances_without_fees().await["provider_clearing"], 1_000);
    let transfers = world.core.ask(TransfersOf { order }).await.unwrap();
    assert_eq!(transfers.len(), 5, "two merchants, two fees, one tax: {transfers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_taken_is_never_given_back_however_many_ask_at_once() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_ok").await;
    let asked = (0..16).map(|n| {
        let ask = refund(order, Some(300), &format!("key {n}"));
        let core = &world.core;
        async move { core.ask(ask).await }
    });
    let answers = futures::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert!(answers.iter().filter(|answer| answer.is_err()).all(|answer| code(answer) == Some(Code::AmountExceeded)));
    world.until(order, "900 are given back", |state| state.amounts.refunded.amount() == 900).await;
    world.until_status(order, PaymentStatus::PartiallyRefunded).await;
    let last = world.core.ask(refund(order, None, "the rest")).await.unwrap();
    assert_eq!(last.amount.amount(), 100);
    world.until_status(order, PaymentStatus::Refunded).await;
    assert!(world.balances_without_fees().await.is_empty(), "everything is where it came from");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refund_key_is_one_refund() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_ok").await;
    let first = world.core.ask(refund(order, Some(400), "key")).await.unwrap();
    let again = world.core.ask(refund(order, Some(400), "key")).await.unwrap();
    assert_eq!((first.refund, first.amount), (again.refund, again.amount));
    let other = world.core.ask(refund(order, Some(401), "key")).await;
    assert_eq!(code(&other), Some(Code::IdempotencyKeyReused));
    let dollars = Refund {
        amount: Some(bodega_domain::Money::new(1, bodega_domain::Currency::USD).unwrap()),
        ..refund(order, None, "dollars")
    };
    assert_eq!(code(&world.core.ask(dollars).await), Some(Code::ValidationFailed));
    let rest = world.core.ask(refund(order, None, "rest")).await.unwrap();
    let nothing_left = world.core.ask(refund(order, None, "again")).await.unwrap();
    assert_eq!(rest.refund, nothing_left.refund, "all that is left is on its way already");
    world.until_status(order, PaymentStatus::Refunded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_the_provider_refuses_gives_its_claim_back_and_is_shown() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_ok").await;
    let fault = json!({"operation": "refund", "mode": "refuse", "status": 400});
    world.control("faults", fault).await;
    world.core.ask(refund(order, Some(400), "key")).await.unwrap();
    bodega_tests::eventually("the exception", || async {
        world.exceptions().await.contains(&"refund_failed".to_owned()).then_some(())
    })
    .await;
    let again = world.core.ask(refund(order, None, "everything")).await.unwrap();
    assert_eq!(again.amount.amount(), 1_000);
    world.until_status(order, PaymentStatus::Refunded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_comes_after_a_cancellation_goes_back_by_itself_once() {
    let world = World::open().await;
    let order = crate::late::late(&world).await;
    let state = world.until_status(order, PaymentStatus::Refunded).await;
    assert_eq!((state.amounts.captured.amount(), state.amounts.refunded.amount()), (1_000, 1_000));
    let transfers = world.core.ask(TransfersOf { order }).await.unwrap();
    let moves: Vec<_> = transfers.iter().map(|t| (t.debit.as_str(), t.credit.as_str(), t.reason.as_str())).collect();
    assert_eq!(
        moves,
        [
            ("provider_clearing", "customer_unapplied", "late_payment"),
            ("customer_unapplied", "provider_clearing", "refund")
        ]
    );
    assert!(world.balances_without_fees().await.is_empty());
    world.until_heard(order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_waits_as_unapplied_while_the_provider_cannot_take_it_back() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_silent").await;
    world.until_status(order, PaymentStatus::Processing).await;
    world.cancel(order).await;
    let reference = world.reference(order).await;
    let fault = json!({"operation": "refund", "mode": "refuse", "status": 503, "count": 2});
    world.control("faults", fault).await;
    world.control(&format!("intents/{reference}/capture"), json!({})).await;
    bodega_tests::eventually("unapplied money", || async {
        (world.balances_without_fees().await.get("customer_unapplied") == Some(&-1_000)).then_some(())
    })
    .await;
    world.until_status(order, PaymentStatus::Refunded).await;
    assert!(world.balances_without_fees().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_intent_that_never_reached_the_provider_is_cancelled_at_once() {
    let world = World::open().await;
    let order = world.pay(1_000, "gold_coins").await;
    world.until_status(order, PaymentStatus::Refused).await;
    let state = world.cancel(order).await;
    assert!(state.cancelled && state.closing);
    assert_eq!(state.status, PaymentStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_closed_before_it_was_opened_is_never_opened() {
    let world = World::open().await;
    let order = order();
    let closed = world.cancel(order).await;
    assert!(closed.cancelled && closed.closing);
    let opened = world.core.ask(Open { asks: vec![ask(order, 1_000, "card_ok")] }).await.unwrap();
    assert_eq!((opened[0].intent, opened[0].status), (closed.intent, PaymentStatus::Cancelled));
    world.until_idle().await;
    assert!(world.provider_intents(order).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_an_intent_keeps_no_other_from_its_capture() {
    let world = World::open().await;
    let paid = world.pay(1_000, "card_ok").await;
    world.until_status(paid, PaymentStatus::Authorised).await;
    let asked = bodega_domain::message::payment::Capture { orders: vec![order(), paid] };
    let states = world.core.ask(asked).await.unwrap();
    assert_eq!(states.iter().map(|state| state.order).collect::<Vec<_>>(), [paid]);
    world.until_status(paid, PaymentStatus::Captured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_reinstates_what_was_being_closed_when_it_comes_first() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    // The provider does not answer the cancellation for a while.
    world.control("faults", json!({"operation": "cancel", "mode": "refuse", "status": 503})).await;
    assert!(world.cancel(order).await.closing);
    let state = world.capture(order).await;
    assert!(!state.closing);
    world.until_status(order, PaymentStatus::Captured).await;
    world.until_idle().await;
    assert_eq!(world.balances_without_fees().await["provider_clearing"], 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_asked_for_until_it_is_known() {
    let world = World::open().await;
    world.switch(Switches { drop: true, ..world.switches().await }).await;
    for operation in ["create", "capture", "refund"] {
        world.control("faults", json!({"operation": operation, "mode": "drop_response"})).await;
    }
    let order = world.paid(1_000, "card_ok").await;
    world.core.ask(refund(order, None, "all")).await.unwrap();
    world.until_status(order, PaymentStatus::Refunded).await;
    world.until_idle().await;
    world.reference(order).await;
    assert!(world.balances_without_fees().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_leaves_the_outcome_unknown_and_then_tells() {
    let world = World::open_with(|_| {}, 200).await;
    world.switch(Switches { drop: true, ..world.switches().await }).await;
    // It hangs several times, so that whoever looks has time to see that nothing is known.
    world.control("faults", json!({"operation": "create", "mode": "hang_after", "hang_ms": 1_000, "count": 3})).await;
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Unknown).await;
    assert_eq!(world.again(order, "card_ok", "other").await.unwrap_err().code, Code::PaymentStateConflict);
    world.until_status(order, PaymentStatus::Authorised).await;
    world.reference(order).await;
}

/// Makes the unanswered attempt so old that the provider has forgotten its key.
async fn age(world: &World) {
    let pool = world.pool().await;
    bodega_tests::eventually("an unanswered attempt", || async {
        let aged = sqlx::query(
            "update job set created_at = created_at - interval '21 hours' where kind = 'pay' and tries > 0",
        )
        .execute(&pool)
        .await
        .unwrap();
        (aged.rows_affected() > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_provider_forgot_the_key_it_is_asked_what_it_has_and_never_to_pay_again() {
    let world = World::open().await;
    world.switch(Switches { drop: true, ..world.switches().await }).await;
    for (mode, status) in [("drop_response", PaymentStatus::Authorised), ("refuse", PaymentStatus::Refused)] {
        // Whoever would ask to pay again would be refused; only a search can tell.
        world.control("faults", json!({"operation": "create", "mode": mode, "status": 503})).await;
        world.control("faults", json!({"operation": "create", "mode": "refuse", "status": 503, "count": 1_000})).await;
        let order = world.pay(1_000, "card_ok").await;
        age(&world).await;
        world.until_status(order, status).await;
        let made = usize::from(status == PaymentStatus::Authorised);
        assert_eq!(world.provider_intents(order).await.len(), made);
        world.switch(Switches { faults: Vec::new(), ..world.switches().await }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_begins_five_attempts_an_hour() {
    let world = World::open().await;
    let buyer = guest();
    let mut orders = Vec::new();
    for _ in 0..5 {
        let ask = bodega_domain::message::payment::OpenAsk { owner: buyer, ..ask(order(), 1_000, "card_refused") };
        orders.push(ask.order);
        assert_eq!(world.core.ask(Open { asks: vec![ask] }).await.unwrap()[0].attempts, 1);
    }
    let sixth = bodega_domain::message::payment::OpenAsk { owner: buyer, ..ask(order(), 1_000, "card_ok") };
    let opened = world.core.ask(Open { asks: vec![sixth] }).await.unwrap();
    assert_eq!((opened[0].attempts, opened[0].status), (0, PaymentStatus::Pending));
    world.until_status(orders[0], PaymentStatus::Refused).await;
    let again = bodega_domain::message::payment::Attempt {
        order: orders[0],
        owner: buyer,
        provider: "simulator".to_owned(),
        method: "card_ok".to_owned(),
        attempt_key: "again".to_owned(),
        return_url: None,
    };
    let failure = world.core.ask(again.clone()).await.unwrap_err();
    assert_eq!(failure.code, Code::TooManyUnpaid);
    assert!(failure.retry_after_s.is_some());
    let pool = world.pool().await;
    sqlx::query("update attempt set begun_at = begun_at - interval '61 minutes'").execute(&pool).await.unwrap();
    world.core.ask(again).await.unwrap();
    world.until_status(orders[0], PaymentStatus::Authorised).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_amount_or_currency_at_the_provider_is_never_paid() {
    let world = World::open().await;
    let order = world.pay(1_000, "card_silent").await;
    let processing = world.until_status(order, PaymentStatus::Processing).await;
    let reference = world.reference(order).await;
    let body = json!({"id": "evt_forged_amount", "object": "event", "type": "payment_intent.succeeded", "data": {"object": {
        "object": "payment_intent", "id": reference, "status": "succeeded", "amount": 10, "amount_received": 10,
        "currency": "eur", "metadata": {"intent_id": processing.intent.to_string()}}}});
    hook(&world, body.to_string().as_bytes(), SECRET).await.unwrap();
    let state = world.until_status(order, PaymentStatus::Unknown).await;
    assert_eq!(state.amounts.captured.amount(), 0);
    assert_eq!(world.exceptions().await, ["amount_mismatch"]);
}

async fn hook(world: &World, body: &[u8], secret: &str) -> Result<(), Failure> {
    let seconds = world.core.clock.now().unix_ms() / 1_000;
    let headers = vec![("stripe-signature".to_owned(), webhook::signature(secret, seconds, body))];
    let ask = Webhook { provider: "simulator".to_owned(), headers, body: base64url(body) };
    world.core.ask(ask).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_kept_once_and_only_with_a_valid_signature() {
    let world = World::open().await;
    let body = br#"{"id":"evt_1","object":"event","type":"balance.available","data":{"object":{"object":"balance"}}}"#;
    for secret in ["whsec_old", SECRET] {
        hook(&world, body, secret).await.unwrap();
    }
    let refused = hook(&world, body, "whsec_other").await.unwrap_err();
    assert_eq!(refused.code, Code::WebhookSignatureInvalid);
    let unsigned = Webhook { provider: "simulator".to_owned(), headers: vec![], body: base64url(body) };
    assert_eq!(world.core.ask(unsigned).await.unwrap_err().code, Code::WebhookSignatureInvalid);
    // Signed, and no event: kept under what it is, each once, and not asked for again.
    let nameless = br#"{"id":"evt\u0000","object":"event"}"#;
    for unreadable in [b"{}".as_slice(), b"{}", b"\xff", nameless] {
        hook(&world, unreadable, SECRET).await.unwrap();
    }
    let pool = world.pool().await;
    let mut kept: Vec<(String, Vec<u8>)> =
        sqlx::query_as("select event, body from webhook_raw order by event").fetch_all(&pool).await.unwrap();
    assert_eq!(kept.remove(0), ("evt_1".to_owned(), body.to_vec()));
    assert!(kept.len() == 3 && kept.iter().all(|(event, _)| event.starts_with("unread:")), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_comes_before_the_payment_s_id_is_known_is_taken_in_later() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_ok").await;
    let (pool, reference) = (world.pool().await, world.reference(order).await);
    // As if the answer that names it had been lost, and the provider were asked again only later.
    sqlx::query("update intent set provider_ref = null").execute(&pool).await.unwrap();
    let dispute = |id: &str, of: &str| {
        json!({"id": id, "object": "event", "type": "charge.dispute.created", "data": {"object": {
            "object": "dispute", "id": "dp_1", "payment_intent": of, "amount": 1_000, "currency": "eur"}}})
    };
    for (event, of) in [("evt_ours", reference.as_str()), ("evt_others", "pi_of_another_shop")] {
        hook(&world, dispute(event, of).to_string().as_bytes(), SECRET).await.unwrap();
    }
    let waiting = "select event from webhook_raw where waits_for is not null order by event";
    let waits: Vec<String> = sqlx::query_scalar(waiting).fetch_all(&pool).await.unwrap();
    assert_eq!(waits, ["evt_others", "evt_ours"]);
    assert_eq!(world.state(order).await.status, PaymentStatus::Captured);
    sqlx::query("update intent set provider_ref = $1").bind(&reference).execute(&pool).await.unwrap();
    world.until_status(order, PaymentStatus::Disputed).await;
    bodega_tests::eventually("the webhook to wait no more", || async {
        let waits: Vec<String> = sqlx::query_scalar(waiting).fetch_all(&pool).await.unwrap();
        (waits == ["evt_others"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_service_that_was_away_hears_everything_later() {
    let world = World::open().await;
    world.ears.deaf.store(true, SeqCst);
    let order = world.paid(1_000, "card_ok").await;
    assert!(world.ears.heard.lock().unwrap().is_empty());
    world.ears.deaf.store(false, SeqCst);
    let heard = world.until_heard(order).await;
    assert_eq!(heard.status, PaymentStatus::Captured);
    let pool = world.pool().await;
    bodega_tests::eventually("the acknowledgement is noted", || async {
        let untold: i64 = sqlx::query_scalar("select count(*) from intent where told_revision < revision")
            .fetch_one(&pool)
            .await
            .unwrap();
        (untold == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_cannot_be_changed_even_by_its_own_service() {
    let world = World::open().await;
    world.paid(1_000, "card_ok").await;
    let pool = world.pool().await;
    for statement in ["update transfer set amount = 1", "delete from transfer", "truncate transfer"] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await;
        assert!(refused.is_err(), "{statement}");
    }
    // Given back to itself, the privilege still meets the trigger.
    sqlx::query("grant update, delete, truncate on transfer to current_user").execute(&pool).await.unwrap();
    for statement in ["update transfer set amount = 1", "delete from transfer", "truncate transfer"] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{statement}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_beyond_what_is_there_are_refused_by_the_database_itself() {
    let world = World::open().await;
    world.paid(1_000, "card_ok").await;
    let pool = world.pool().await;
    for (change, constraint) in [
        ("captured = authorised + 1", "intent_captured_within_authorised"),
        ("refunded = captured + 1", "intent_refunded_was_claimed"),
        ("capture_claimed = authorised + 1", "intent_capture_claim_within_authorised"),
        ("refund_claimed = captured + 1", "intent_refund_claim_within_captured"),
    ] {
        let statement = format!("update intent set {change}");
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().constraint(), Some(constraint));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settlement_report_books_fees_and_finds_what_no_webhook_told() {
    let world = World::open().await;
    let order = world.paid(1_000, "card_ok").await;
    // A refund that somebody made at the provider's own pages while its webhooks were lost.
    world.switch(Switches { drop: true, ..world.switches().await }).await;
    let reference = world.reference(order).await;
    let url = format!("{}/v1/refunds", world.simulator.url());
    let form = [("payment_intent", reference.as_str()), ("amount", "250")];
    assert!(
        world.client.post(url).bearer_auth(crate::support::KEY).form(&form).send().await.unwrap().status().is_success()
    );
    let mut world = world;
    // The report is taken in at each start.
    world.core.stop().await;
    world.core.start().await;
    let state = world.until_status(order, PaymentStatus::PartiallyRefunded).await;
    assert_eq!(state.amounts.refunded.amount(), 250);
    let balances = world.balances().await;
    assert_eq!((balances["provider_fees"], balances["provider_clearing"]), (40, 1_000 - 250 - 40));
}
