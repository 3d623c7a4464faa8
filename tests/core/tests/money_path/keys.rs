//! Idempotency keys of paying again: another operation than the checkout, and only success is remembered.

use bodega_domain::{
    Code,
    message::{
        order::{Pay, PaymentChoice},
        payment::State,
    },
    order::{OrderStatus, PaymentStatus},
};
use bodega_test_core::code;

use crate::shop::{BREAD, Guest, Shop, history};

async fn pay(
    shop: &Shop,
    guest: &Guest,
    order: bodega_domain::id::OrderId,
    key: &str,
    method: &str,
) -> Result<bodega_domain::order::OrderView, bodega_domain::Failure> {
    let payment = PaymentChoice { provider: "simulator".into(), method: method.into() };
    let pay = Pay { order, key: key.into(), payment, wait_ms: 8_000, return_url: None };
    shop.core.ask_as(Some(&guest.token), pay).await
}

#[tokio::test]
async fn the_key_of_a_checkout_pays_its_order_again() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "same", "card_refused").await;
    assert_eq!(order.payment.status, PaymentStatus::Refused);
    pay(&shop, &guest, order.id, "same", "card_ok").await.unwrap();
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    let attempts = shop.core.ask(State { orders: vec![order.id] }).await.unwrap()[0].attempts;
    assert_eq!(attempts, 2);
    shop.close().await;
}

#[tokio::test]
async fn the_key_of_a_refused_attempt_may_be_used_with_another_card() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let mut place = shop.order(&quote, "k", "card_silent");
    place.wait_ms = 0;
    let order = shop.place(&guest, place).await.unwrap().id;
    bodega_tests::eventually("the payment to be open", || async {
        history(&shop, &guest, order).await.iter().any(|word| word == "payment_opened").then_some(())
    })
    .await;
    for method in ["card_ok", "card_refused", "card_ok"] {
        let refused = pay(&shop, &guest, order, "p", method).await;
        assert_eq!(code(&refused), Some(Code::PaymentStateConflict), "{method}: the first attempt is still under way");
    }
    let begun: i64 = bodega_platform::sqlx::query_scalar("select count(*) from attempt")
        .fetch_one(&shop.core.pool("order").await)
        .await
        .unwrap();
    assert_eq!(begun, 1, "what was refused counts for nothing");
    shop.close().await;
}
