//! Money that does not fit: too much, another amount, gone back elsewhere, from a provider that was silent for hours.

use bodega_domain::{
    Currency,
    message::{
        inventory::HoldState,
        order::Cancel,
        payment::{CancelIntents, Exceptions},
    },
    order::{OrderStatus, PaymentStatus},
    principal::Owner,
    quote,
};
use bodega_platform::sqlx;
use bodega_tests::eventually;
use reqwest::Method;
use serde_json::json;

use crate::shop::{BREAD, ON_HAND, Shop, WATER};

impl Shop {
    async fn until_voided(&self, order: bodega_domain::id::OrderId) {
        eventually("the hold to be voided", || async { (self.hold(order).await == HoldState::Voided).then_some(()) })
            .await;
    }

    /// What payment shows to people, by kind.
    async fn payment_exceptions(&self) -> Vec<String> {
        let page = self.core.ask(Exceptions::default()).await.unwrap();
        page.items.into_iter().map(|exception| exception.kind).collect()
    }

    /// What order shows to people, by kind.
    async fn order_exceptions(&self) -> Vec<String> {
        let pool = self.core.pool("order").await;
        sqlx::query_scalar("select kind from exception order by n").fetch_all(&pool).await.unwrap()
    }

    async fn act(&self, intent: &str, verb: &str) {
        self.control(Method::POST, &format!("intents/{intent}/{verb}"), json!({})).await;
    }
}

#[tokio::test]
async fn more_than_was_asked_for_never_pays_an_order() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 2)], "k", "card_silent").await;
    let intent = shop.intent_of(order.id).await;
    shop.act(&intent, "overcharge").await;
    let ended = shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    assert_eq!(ended.payment.status, PaymentStatus::Unknown);
    assert_eq!(ended.payment.amounts.captured.amount(), order.totals.total.amount() + 1);
    shop.until_voided(order.id).await;
    assert_eq!(shop.level(BREAD).await.available, 2 * ON_HAND);
    assert_eq!(shop.payment_exceptions().await, ["amount_mismatch"]);
    shop.close().await;
}

#[tokio::test]
async fn an_amount_that_changes_between_authorisation_and_capture_gives_the_stock_back() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.fault("capture", "hang_before", 1_500, 1).await;
    let order = shop.buy_up_to_posting(&guest, &[(BREAD, 2)]).await;
    let intent = shop.intent_of(order.id).await;
    shop.act(&intent, "reprice").await;
    let order = shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    shop.until_voided(order.id).await;
    assert_eq!(order.payment.amounts.captured.amount(), 0);
    assert_eq!(shop.level(BREAD).await.available, 2 * ON_HAND);
    assert_eq!(shop.payment_exceptions().await, ["amount_mismatch"]);
    shop.close().await;
}

#[tokio::test]
async fn an_order_whose_money_went_back_at_the_provider_can_still_be_called_off() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 2)], "k", "card_ok").await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    let intent = shop.intent_of(order.id).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/refunds", shop.simulator.url()))
        .bearer_auth("sk_test_simulator")
        .form(&[("payment_intent", intent.as_str())])
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    eventually("word of the refund", || async {
        (shop.get(&guest, order.id).await.payment.status == PaymentStatus::Refunded).then_some(())
    })
    .await;
    let cancel = Cancel { order: order.id, key: "c".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    shop.until_voided(order.id).await;
    shop.close().await;
}

#[tokio::test]
async fn a_provider_that_is_silent_for_six_hours_holds_no_stock_and_what_it_says_later_changes_nothing() {
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for _ in 0..2 {
        let guest = shop.guest();
        let order = shop.buy(&guest, &[(WATER, 3)], "k", "card_silent").await;
        orders.push((order.id, shop.intent_of(order.id).await, guest));
    }
    shop.let_time_run_out().await;
    for (order, _, guest) in &orders {
        shop.until_word(guest, *order, "payment_closing").await;
    }
    let pool = shop.core.pool("order").await;
    eventually("six hours of silence", || async {
        // Again and again: who drives the saga right now writes its own time.
        sqlx::query(
            "update saga set closing_since = now() - interval '6 hours', due = now() where step::text ~ 'closing'",
        )
        .execute(&pool)
        .await
        .unwrap();
        (shop.level(WATER).await.available == 2 * ON_HAND).then_some(())
    })
    .await;
    for (order, _, guest) in &orders {
        shop.until_status(guest, *order, OrderStatus::Expired).await;
        assert_eq!(shop.hold(*order).await, HoldState::Voided);
    }
    assert_eq!(shop.order_exceptions().await, ["unsettled", "unsettled"]);

    // One bank authorises at last, the other one has taken the money.
    shop.act(&orders[0].1, "authorise").await;
    shop.act(&orders[1].1, "capture").await;
    for (n, status) in [(0, PaymentStatus::Cancelled), (1, PaymentStatus::Refunded)] {
        let (order, _, guest) = &orders[n];
        eventually(&format!("{status:?}"), || async {
            (shop.get(guest, *order).await.payment.status == status).then_some(())
        })
        .await;
        assert_eq!(shop.get(guest, *order).await.status, OrderStatus::Expired);
    }
    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND);
    shop.close().await;
}

#[tokio::test]
async fn a_step_that_waits_for_hours_is_shown_to_somebody_once() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.fault("capture", "refuse", 0, 1_000).await;
    let order = shop.buy_up_to_posting(&guest, &[(BREAD, 1)]).await;
    let pool = shop.core.pool("order").await;
    let due = || sqlx::query("update saga set due = now()").execute(&pool);
    sqlx::query("update saga set waiting_since = waiting_since - interval '6 hours'").execute(&pool).await.unwrap();
    eventually("somebody is told", || async {
        due().await.unwrap();
        (!shop.order_exceptions().await.is_empty()).then_some(())
    })
    .await;
    for _ in 0..2 {
        due().await.unwrap();
        eventually("it is asked for further", || async {
            let waits = sqlx::query_scalar::<_, bool>("select due > now() + interval '1 second' from saga");
            waits.fetch_one(&pool).await.unwrap().then_some(())
        })
        .await;
    }
    assert_eq!(shop.order_exceptions().await, ["stuck"]);
    let url = format!("{}/control/switches", shop.simulator.url());
    let mut switches: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    switches["faults"] = json!([]);
    shop.control(Method::PUT, "switches", switches).await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_was_closed_before_it_was_opened_shows_no_foreign_currency() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.try_quote(&guest, &[(BREAD, 1)], Currency::JPY).await.unwrap();
    let place = shop.order(&quote, "k", "card_ok");
    // As after a crash between the order's commit and the payment's opening, with a cancellation in between.
    let ring = &shop.core.config.keys.quote;
    let owner = Owner::Guest(guest.session);
    let order = quote::verify(ring, quote.token.as_deref().unwrap(), owner).unwrap().into_content().order_id;
    let closed = shop.core.ask(CancelIntents { orders: vec![order] }).await.unwrap();
    assert!(closed[0].cancelled);
    shop.place(&guest, place).await.unwrap();
    let ended = shop.until_status(&guest, order, OrderStatus::Expired).await;
    let amounts = ended.payment.amounts;
    assert_eq!(ended.payment.status, PaymentStatus::Cancelled);
    for amount in [amounts.authorised, amounts.captured, amounts.refunded] {
        assert_eq!((amount.amount(), amount.currency()), (0, Currency::JPY));
    }
    shop.close().await;
}
