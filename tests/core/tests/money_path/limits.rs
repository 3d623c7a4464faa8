//! Limits on buyers, and what a batch costs.

use bodega_domain::{Code, message::order::List, order::OrderStatus};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;

use crate::{
    place::futures_join,
    shop::{BREAD, ON_HAND, Shop, WATER},
};

#[tokio::test]
async fn a_buyer_has_at_most_two_unpaid_orders_and_paying_makes_room() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    for n in 0..2 {
        shop.buy(&guest, &[(BREAD, 1)], &format!("k{n}"), "card_refused").await;
    }
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let third = shop.order(&quote, "k3", "card_ok");
    let refused = shop.place(&guest, third.clone()).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_s.is_some()), (Code::TooManyUnpaid, true));
    assert_eq!(shop.level(BREAD).await.pending, 2, "who has too many holds no more");
    let list = List::default();
    let open = shop.core.ask_as(Some(&guest.token), list).await.unwrap();
    assert_eq!(open.items.len(), 2);
    let first = open.items[0].id;
    let pay = bodega_domain::message::order::Pay {
        order: first,
        key: "pay".into(),
        payment: third.payment.clone(),
        wait_ms: 8_000,
        return_url: None,
    };
    shop.core.ask_as(Some(&guest.token), pay).await.unwrap();
    shop.until_status(&guest, first, OrderStatus::Paid).await;
    shop.place(&guest, shop.order(&quote, "k3", "card_ok")).await.expect("there is room again");
    shop.close().await;
}

/// Commits and statements of a role, from the server's own statistics.
async fn commits(pool: &sqlx::PgPool) -> i64 {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
    sqlx::query_scalar("select xact_commit from pg_stat_database where datname = current_database()")
        .fetch_one(&mut *connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn many_checkouts_share_their_commits() {
    let shop = Shop::open().await;
    let guests: Vec<_> = (0..128).map(|_| shop.guest()).collect();
    let mut quotes = Vec::new();
    for guest in &guests {
        quotes.push(shop.quote(guest, &[(WATER, 1)]).await);
    }
    let pool = shop.core.pool("order").await;
    let before = commits(&pool).await;
    let mut n = 0;
    let answers = futures_join(128, || {
        let (guest, quote) = (&guests[n], &quotes[n]);
        n += 1;
        let mut place = shop.order(quote, "k", "card_silent");
        place.wait_ms = 0;
        shop.place(guest, place)
    })
    .await;
    assert!(answers.iter().all(Result::is_ok), "{:?}", answers.iter().find(|a| a.is_err()));
    let pending = shop.level(WATER).await.pending;
    assert_eq!(pending, 128);
    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND - 128);
    // What runs beside it commits too, so this is an upper bound; one at a time would be at least three an order.
    let spent = eventually("statistics", || async { Some(commits(&pool).await - before).filter(|n| *n > 0) }).await;
    assert!(spent < 128 * 2, "{spent} commits for 128 orders");
    assert_eq!(code(&shop.place(&guests[0], shop.order(&quotes[0], "other", "card_ok")).await), Some(Code::QuoteUsed));
    shop.close().await;
}
