//! Clocks decide when, rows decide whether: processes whose clocks are twenty minutes apart sell nothing twice and lose
//! nothing.

use std::time::Duration;

use bodega_domain::{
    Code, Failure,
    message::{inventory::HoldState, order::Cancel},
    order::{OrderStatus, OrderView, PaymentStatus},
};
use bodega_platform::sqlx;
use bodega_test_core::Clocks;
use bodega_tests::{eventually, eventually_within};

use crate::{
    place::futures_join,
    shop::{BREAD, Guest, ON_HAND, Shop},
};

const TEN_MINUTES_MS: i64 = 600_000;
const BUYERS: usize = 24;
/// A saga that could not go on looks again after half a minute at most.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Inventory believes that the time to place an order was over before it was asked: it asks about each hold at once,
/// while the order is being committed.
#[tokio::test(flavor = "multi_thread")]
async fn inventory_ahead_and_order_behind_sell_nothing_twice_and_lose_nothing() {
    let services_ms = &[("inventory", TEN_MINUTES_MS), ("order", -TEN_MINUTES_MS)];
    sell(Clocks { asker_ms: 0, services_ms }).await;
}

/// Inventory believes that there is plenty of time, and order, with whoever asks it, that quotes are nearly too old.
#[tokio::test(flavor = "multi_thread")]
async fn inventory_behind_and_order_ahead_sell_nothing_twice_and_lose_nothing() {
    let services_ms = &[("inventory", -TEN_MINUTES_MS), ("order", TEN_MINUTES_MS)];
    sell(Clocks { asker_ms: TEN_MINUTES_MS, services_ms }).await;
}

async fn sell(clocks: Clocks) {
    let shop = Shop::open_with_clocks(clocks).await;
    let mut number = 0;
    let placed: Vec<(Guest, Result<OrderView, Failure>)> = futures_join(BUYERS, || {
        number += 1;
        let (shop, guest) = (&shop, shop.guest());
        let method = if number % 3 == 0 { "card_refused" } else { "card_ok" };
        async move {
            let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
            let answer = shop.place(&guest, shop.order(&quote, "k", method)).await;
            (guest, answer)
        }
    })
    .await;

    let (mut orders, mut paid) = (0, 0);
    for (guest, answer) in &placed {
        let order = match answer {
            Ok(order) => order,
            // Told that there is none, and there is none.
            Err(failure) => {
                assert_eq!(failure.code, Code::QuoteExpired, "{failure}");
                continue;
            }
        };
        orders += 1;
        let settled = eventually_within(SETTLED_WITHIN, "an order that is paid or cancelled", || async {
            let now = shop.get(guest, order.id).await;
            if now.payment.status == PaymentStatus::Refused {
                let cancel = Cancel { order: order.id, key: "c".into(), lines: Vec::new(), refund: None, reason: None };
                let _ = shop.core.ask_as(Some(&guest.token), cancel).await;
            }
            let hold = shop.hold(order.id).await;
            match (now.status, hold) {
                (OrderStatus::Paid, HoldState::Posted) => Some(1),
                (OrderStatus::Cancelled | OrderStatus::Expired, HoldState::Voided) => Some(0),
                _ => None,
            }
        })
        .await;
        paid += settled;
    }
    assert!(orders > 0, "some of the orders are placed whatever the clocks say");

    let kept: i64 =
        sqlx::query_scalar("select count(*) from orders").fetch_one(&shop.core.pool("order").await).await.unwrap();
    assert_eq!(kept, orders, "an order for each buyer who was told so, and none for the others");
    // What was held for nobody is given back once inventory has asked.
    sqlx::query("update hold set ask_at = now() - interval '1 hour' where state = 0 and ask_at is not null")
        .execute(&shop.core.pool("inventory").await)
        .await
        .unwrap();
    let level = eventually("no hold that nobody decides", || async {
        let level = shop.level(BREAD).await;
        (level.pending == 0).then_some(level)
    })
    .await;
    assert_eq!((level.posted, level.short, level.available), (paid, 0, 2 * ON_HAND - paid));
    shop.assert_balanced().await;
    shop.close().await;
}
