//! Words that meet: a cancellation and a capture, a deadline and a payment, money and an order that is over.

use bodega_domain::{
    Code, Failure,
    id::OrderId,
    message::{inventory::HoldState, order::Cancel, payment::TransfersOf},
    order::{OrderStatus, OrderView},
};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;
use serde_json::json;

use crate::{
    place::futures_join,
    shop::{BREAD, Guest, ON_HAND, Shop, WATER, history},
};

impl Shop {
    /// Orders the provider to misbehave.
    pub(crate) async fn control(&self, method: reqwest::Method, path: &str, body: serde_json::Value) {
        let url = format!("{}/control/{path}", self.simulator.url());
        let answer = reqwest::Client::new().request(method, url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    pub(crate) async fn fault(&self, operation: &str, mode: &str, hang_ms: u64, count: u32) {
        let fault = json!({"operation": operation, "mode": mode, "hang_ms": hang_ms, "count": count});
        self.control(reqwest::Method::POST, "faults", fault).await;
    }

    /// The provider's name of an order's intent.
    pub(crate) async fn intent_of(&self, order: OrderId) -> String {
        let pool = self.core.pool("payment").await;
        let id = sqlx::types::Uuid::from_u128(order.as_u128());
        eventually("the provider's word", || async {
            sqlx::query_scalar::<_, Option<String>>("select provider_ref from intent where order_id = $1")
                .bind(id)
                .fetch_optional(&pool)
                .await
                .unwrap()
                .flatten()
        })
        .await
    }

    pub(crate) async fn until_word(&self, guest: &Guest, order: OrderId, word: &str) {
        eventually(&format!("{word} in the history"), || async {
            history(self, guest, order).await.iter().any(|w| w == word).then_some(())
        })
        .await;
    }

    /// Buys and waits until the stock is posted: what comes next is taking the money.
    pub(crate) async fn buy_up_to_posting(&self, guest: &Guest, lines: &[(&str, u32)]) -> OrderView {
        let quote = self.quote(guest, lines).await;
        let mut place = self.order(&quote, "k", "card_ok");
        place.wait_ms = 0;
        let order = self.place(guest, place).await.unwrap();
        self.until_word(guest, order.id, "stock_posted").await;
        order
    }

    /// The time to pay is over, for all orders.
    pub(crate) async fn let_time_run_out(&self) {
        let pool = self.core.pool("order").await;
        sqlx::query("update saga set pay_by = now() - interval '1 minute', due = now() where step::text ~ 'paying'")
            .execute(&pool)
            .await
            .unwrap();
    }

    async fn call_off(&self, guest: &Guest, order: OrderId, key: &str) -> Result<OrderView, Failure> {
        let cancel = Cancel { order, key: key.into(), lines: Vec::new(), refund: None, reason: None };
        self.core.ask_as(Some(&guest.token), cancel).await
    }
}

#[tokio::test]
async fn who_calls_an_order_off_while_its_money_moves_is_told_to_come_back() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.fault("capture", "hang_before", 1_500, 1).await;
    let order = shop.buy_up_to_posting(&guest, &[(BREAD, 2)]).await;
    let refused = shop.call_off(&guest, order.id, "c").await;
    assert_eq!(code(&refused), Some(Code::OrderStateConflict), "{refused:?}");
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    // The same key: what was refused was not remembered.
    shop.call_off(&guest, order.id, "c").await.unwrap();
    let order = shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    eventually("refund and stock", || async {
        let amounts = shop.get(&guest, order.id).await.payment.amounts;
        (amounts.refunded == order.totals.total && shop.level(BREAD).await.available == 2 * ON_HAND).then_some(())
    })
    .await;
    shop.assert_balanced().await;
    shop.close().await;
}

#[tokio::test]
async fn eight_who_call_the_same_paid_order_off_get_their_money_back_once() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 2)], "k", "card_ok").await;
    let order = shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    let mut n = 0;
    let answers = futures_join(8, || {
        n += 1;
        let (shop, guest, key) = (&shop, &guest, format!("c{}", n / 2));
        async move { shop.call_off(guest, order.id, &key).await }
    })
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    eventually("the refund", || async {
        let amounts = shop.get(&guest, order.id).await.payment.amounts;
        (amounts.refunded == amounts.captured).then_some(())
    })
    .await;
    let transfers = shop.core.ask(TransfersOf { order: order.id }).await.unwrap();
    let given_back: i64 = transfers.iter().filter(|t| t.credit == "provider_clearing").map(|t| t.amount.amount()).sum();
    assert_eq!(given_back, order.totals.total.amount(), "{transfers:?}");
    assert_eq!(shop.level(BREAD).await.available, 2 * ON_HAND);
    shop.assert_balanced().await;
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_meets_the_deadline_buys_or_is_given_back_and_never_half() {
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for n in 0..8 {
        let guest = shop.guest();
        let quote = shop.quote(&guest, &[(WATER, 1)]).await;
        // A slow card speaks after 300 ms, about when the deadline is over.
        let mut place = shop.order(&quote, "k", if n % 2 == 0 { "card_slow" } else { "card_challenge" });
        place.wait_ms = 0;
        orders.push((shop.place(&guest, place).await.unwrap(), guest));
    }
    for (order, guest) in &orders {
        eventually("its first word", || async { (history(&shop, guest, order.id).await.len() > 1).then_some(()) })
            .await;
    }
    shop.let_time_run_out().await;
    let mut posted = 0;
    for (order, guest) in &orders {
        let hold = eventually("paid or expired", || async {
            let (now, hold) = (shop.get(guest, order.id).await, shop.hold(order.id).await);
            match (now.status, hold) {
                // Authorised while it expired, and then cancelled at the provider before it could be taken: cancelled.
                (OrderStatus::Paid, HoldState::Posted)
                | (OrderStatus::Expired | OrderStatus::Cancelled, HoldState::Voided) => {
                    let amounts = now.payment.amounts;
                    let settled = match now.status {
                        OrderStatus::Paid => amounts.captured == order.totals.total,
                        _ => amounts.captured == amounts.refunded,
                    };
                    settled.then_some(hold)
                }
                _ => None,
            }
        })
        .await;
        posted += i64::from(hold == HoldState::Posted);
    }
    let level = shop.level(WATER).await;
    assert_eq!((level.pending, level.posted), (0, posted));
    shop.assert_balanced().await;
    shop.close().await;
}

#[tokio::test]
async fn money_that_comes_after_the_end_goes_back_and_the_order_stays_expired() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(WATER, 3)], "k", "card_refused").await;
    let intent = shop.intent_of(order.id).await;
    shop.let_time_run_out().await;
    shop.until_status(&guest, order.id, OrderStatus::Expired).await;
    eventually("the hold to be voided", || async { (shop.hold(order.id).await == HoldState::Voided).then_some(()) })
        .await;
    shop.control(reqwest::Method::POST, &format!("intents/{intent}/capture"), json!({})).await;
    let order = eventually("the money to come and go", || async {
        let order = shop.get(&guest, order.id).await;
        let amounts = order.payment.amounts;
        (amounts.captured == order.totals.total && amounts.refunded == amounts.captured).then_some(order)
    })
    .await;
    assert_eq!(order.status, OrderStatus::Expired);
    let words = history(&shop, &guest, order.id).await;
    for word in ["late_payment", "refunded"] {
        assert_eq!(words.iter().filter(|w| *w == word).count(), 1, "{word} in {words:?}");
    }
    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND);
    let transfers = shop.core.ask(TransfersOf { order: order.id }).await.unwrap();
    assert!(transfers.iter().any(|transfer| transfer.reason == "late_payment"), "{transfers:?}");
    assert!(
        transfers.iter().all(|transfer| transfer.merchant.is_none()),
        "no merchant is owed anything: {transfers:?}"
    );
    shop.assert_balanced().await;
    shop.close().await;
}

#[tokio::test]
async fn money_that_comes_while_a_payment_closes_goes_back_and_the_order_was_never_paid() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(WATER, 3)], "k", "card_refused").await;
    let intent = shop.intent_of(order.id).await;
    // The provider refuses to cancel until the money has come.
    shop.fault("cancel", "refuse", 0, 100).await;
    shop.let_time_run_out().await;
    shop.until_word(&guest, order.id, "payment_closing").await;
    shop.control(reqwest::Method::POST, &format!("intents/{intent}/capture"), json!({})).await;
    shop.until_status(&guest, order.id, OrderStatus::Expired).await;
    eventually("the money to go back", || async {
        let amounts = shop.get(&guest, order.id).await.payment.amounts;
        (amounts.refunded.amount() > 0 && amounts.refunded == amounts.captured).then_some(())
    })
    .await;
    shop.until_word(&guest, order.id, "ended").await;
    let pool = shop.core.pool("order").await;
    let told_paid: i64 = sqlx::query_scalar("select count(*) from outbox where payload::text like '%\"paid\"%'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(told_paid, 0, "nobody is told that it was paid");
    let unpaid: i64 =
        sqlx::query_scalar("select coalesce(sum(used), 0)::bigint from quota").fetch_one(&pool).await.unwrap();
    assert_eq!(unpaid, 0, "its quotas came back");
    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND);
    shop.assert_balanced().await;
    shop.close().await;
}
