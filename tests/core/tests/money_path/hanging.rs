//! A service that hangs delays what asks it, and nothing else; what is known at once is told at once.

use std::time::Duration;

use bodega_domain::{
    order::{OrderStatus, PaymentStatus},
    principal::Owner,
    quote,
};
use bodega_platform::sqlx;
use bodega_tests::eventually;

use crate::{
    crash::{Process, STALL_MS, open_apart, until_answering},
    shop::{BREAD, Shop, WATER, history},
};

/// Much more than an answer takes, much less than what hangs.
const PROMPT: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_answered_while_its_payment_cannot_be_opened() {
    let (shop, configuration) = open_apart().await;
    let process = Process::start(&configuration, &format!("payment.after_open=delay:{STALL_MS}"));
    until_answering(&shop).await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(WATER, 1)]).await;
    let mut place = shop.order(&quote, "k", "card_ok");
    place.wait_ms = 0;
    let answer = tokio::time::timeout(PROMPT, shop.place(&guest, place)).await;
    let order = answer.expect("an answer in time").unwrap();
    assert_eq!(order.status, OrderStatus::AwaitingPayment);
    process.kill();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_are_driven_while_the_payment_of_another_cannot_be_closed() {
    let (shop, configuration) = open_apart().await;
    let process = Process::start(&configuration, &format!("order.before_close=delay:{STALL_MS}"));
    until_answering(&shop).await;
    let mut orders = Vec::new();
    for _ in 0..2 {
        let guest = shop.guest();
        let order = shop.buy(&guest, &[(WATER, 1)], "k", "card_refused").await.id;
        eventually("its payment to be open", || async {
            history(&shop, &guest, order).await.iter().any(|word| word == "payment_opened").then_some(())
        })
        .await;
        orders.push(sqlx::types::Uuid::from_u128(order.as_u128()));
    }
    let pool = shop.core.pool("order").await;
    let expire = "update saga set pay_by = now() - interval '1 minute', due = now() where order_id = $1";
    sqlx::query(expire).bind(orders[0]).execute(&pool).await.unwrap();
    eventually("the closing to hang", || async { process.is_stalled().then_some(()) }).await;
    let due = "update saga set due = now() - interval '1 second' where order_id = $1";
    sqlx::query(due).bind(orders[1]).execute(&pool).await.unwrap();
    eventually("the other to be driven", || async {
        let driven = sqlx::query_scalar::<_, bool>("select due > now() from saga where order_id = $1");
        driven.bind(orders[1]).fetch_one(&pool).await.unwrap().then_some(())
    })
    .await;
    process.kill();
    shop.close().await;
}

#[tokio::test]
async fn a_gift_is_paid_as_soon_as_it_is_opened() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let ring = &shop.core.config.keys.quote;
    let owner = Owner::Guest(guest.session);
    let mut content = quote::verify(ring, quote.token.as_deref().unwrap(), owner).unwrap().into_content();
    let zero = bodega_domain::Money::zero(content.currency);
    for line in &mut content.lines {
        (line.discount, line.tax, line.total) = (line.subtotal, zero, zero);
    }
    (content.totals.tax, content.totals.total) = (zero, zero);
    let mut place = shop.order(&quote, "k", "card_ok");
    // Less than the time after which the saga would ask by itself.
    (place.quote, place.wait_ms) = (quote::mint(ring, &content).unwrap(), 3_000);
    let order = shop.place(&guest, place).await.unwrap();
    assert_eq!(order.payment.status, PaymentStatus::Captured);
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    shop.close().await;
}
