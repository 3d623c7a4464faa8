//! What providers do, and what becomes of the order, the stock and the books.

use bodega_domain::{
    Code,
    message::{
        inventory::HoldState,
        order::{Cancel, Pay, PaymentChoice},
    },
    order::{OrderStatus, PaymentStatus},
};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;

use crate::shop::{BREAD, Guest, ON_HAND, Shop, WATER};

pub(crate) fn pay(order: &bodega_domain::order::OrderView, key: &str, method: &str) -> Pay {
    Pay {
        order: order.id,
        key: key.into(),
        payment: PaymentChoice { provider: "simulator".into(), method: method.into() },
        wait_ms: 8_000,
        return_url: None,
    }
}

async fn cancel(shop: &Shop, guest: &Guest, order: bodega_domain::id::OrderId) {
    let cancel = Cancel { order, key: format!("cancel-{order}"), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
}

#[tokio::test]
async fn a_refused_card_leaves_the_order_to_be_paid_with_another() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_refused").await;
    assert_eq!((order.status, order.payment.status), (OrderStatus::AwaitingPayment, PaymentStatus::Refused));
    assert_eq!(shop.hold(order.id).await, HoldState::Pending);
    let again = shop.core.ask_as(Some(&guest.token), pay(&order, "again", "card_ok")).await.unwrap();
    assert_eq!(again.id, order.id);
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    assert_eq!(shop.hold(order.id).await, HoldState::Posted);
    shop.assert_balanced().await;
    let late = shop.core.ask_as(Some(&guest.token), pay(&order, "third", "card_ok")).await;
    assert_eq!(code(&late), Some(Code::OrderStateConflict));
    let stranger = shop.core.ask_as(Some(&shop.guest().token), pay(&order, "x", "card_ok")).await;
    assert_eq!(code(&stranger), Some(Code::OrderNotFound));
    shop.close().await;
}

#[tokio::test]
async fn word_that_comes_late_twice_or_out_of_order_pays_once() {
    let shop = Shop::open().await;
    for (n, method) in ["card_slow", "card_duplicate"].into_iter().enumerate() {
        let guest = shop.guest();
        let order = shop.buy(&guest, &[(WATER, 2)], "k", method).await;
        let paid = shop.until_status(&guest, order.id, OrderStatus::Paid).await;
        assert_eq!(paid.payment.amounts.captured, paid.totals.total, "{method}");
        assert_eq!(shop.level(WATER).await.posted, 2 * (i64::try_from(n).unwrap() + 1));
        shop.assert_balanced().await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_capture_that_fails_gives_the_stock_back_and_cancels() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 3)], "k", "card_capture_fails").await;
    let order = shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    assert_eq!(order.payment.amounts.captured.amount(), 0);
    eventually("the stock to come back", || async { (shop.level(BREAD).await.available == 2 * ON_HAND).then_some(()) })
        .await;
    assert_eq!(shop.hold(order.id).await, HoldState::Voided);
    shop.assert_balanced().await;
    shop.close().await;
}

#[tokio::test]
async fn a_challenge_tells_the_shopper_where_to_go() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_challenge").await;
    assert_eq!(order.payment.status, PaymentStatus::RequiresAction);
    let action = order.payment.next_action.expect("somewhere to go");
    assert_eq!(action.r#type, "redirect");
    assert!(action.url.starts_with(&shop.simulator.url()), "{}", action.url);
    shop.close().await;
}

#[tokio::test]
async fn an_unpaid_order_that_is_called_off_gives_its_stock_back() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_refused").await;
    cancel(&shop, &guest, order.id).await;
    cancel(&shop, &guest, order.id).await;
    shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    eventually("the hold to be voided", || async { (shop.hold(order.id).await == HoldState::Voided).then_some(()) })
        .await;
    assert_eq!(shop.level(BREAD).await.available, 2 * ON_HAND);
    shop.close().await;
}

#[tokio::test]
async fn a_paid_order_that_is_called_off_is_refunded_and_restocked() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 2)], "k", "card_ok").await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    cancel(&shop, &guest, order.id).await;
    let order = shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    eventually("the refund", || async {
        let amounts = shop.get(&guest, order.id).await.payment.amounts;
        (amounts.refunded == amounts.captured).then_some(())
    })
    .await;
    eventually("the stock", || async { (shop.level(BREAD).await.available == 2 * ON_HAND).then_some(()) }).await;
    shop.assert_balanced().await;
    shop.close().await;
}

#[tokio::test]
async fn an_order_nobody_pays_expires_only_after_the_provider_has_confirmed() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(WATER, 4)], "k", "card_refused").await;
    let pool = shop.core.pool("order").await;
    sqlx::query("update saga set pay_by = now() - interval '1 minute', due = now() - interval '1 minute'")
        .execute(&pool)
        .await
        .unwrap();
    let order = shop.until_status(&guest, order.id, OrderStatus::Expired).await;
    eventually("the stock", || async { (shop.level(WATER).await.available == 2 * ON_HAND).then_some(()) }).await;
    let words = crate::shop::history(&shop, &guest, order.id).await;
    let at = |word: &str| words.iter().position(|w| w == word).unwrap_or_else(|| panic!("{word} in {words:?}"));
    assert!(at("payment_closing") < at("stock_releasing"), "{words:?}");
    let late = shop.core.ask_as(Some(&guest.token), pay(&order, "late", "card_ok")).await;
    assert_eq!(code(&late), Some(Code::OrderStateConflict));
    shop.close().await;
}
