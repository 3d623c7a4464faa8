//! Limits on buyers, and what a batch costs.

use bodega_domain::{
    Code,
    id::MerchantId,
    message::{
        inventory::SetPolicy,
        order::{List, Pay, PaymentChoice},
    },
    order::OrderStatus,
    principal::Owner,
    quote::{self, BudgetUse},
};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;

use crate::{
    payment::pay,
    place::futures_join,
    shop::{BREAD, LAMP, ON_HAND, Shop, WATER, history},
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

/// How many transactions wrote the rows of a table: rows of one transaction have one `xmin`.
async fn transactions(pool: &sqlx::PgPool, table: &str) -> i64 {
    let query = format!("select count(distinct xmin::text) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn many_checkouts_share_their_commits() {
    let shop = Shop::open().await;
    let guests: Vec<_> = (0..128).map(|_| shop.guest()).collect();
    let mut quotes = Vec::new();
    for guest in &guests {
        quotes.push(shop.quote(guest, &[(WATER, 1)]).await);
    }
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
    // How large batches grow depends on how fast checkouts come; on a machine that is busy elsewhere they come in dribs.
    let holds = transactions(&shop.core.pool("inventory").await, "hold").await;
    let orders = transactions(&shop.core.pool("order").await, "claim").await;
    println!("128 orders: {holds} transactions of holds, {orders} of orders");
    assert!(holds < 32 && orders < 32, "{holds} transactions of holds and {orders} of orders for 128 checkouts");
    assert_eq!(code(&shop.place(&guests[0], shop.order(&quotes[0], "other", "card_ok")).await), Some(Code::QuoteUsed));
    shop.close().await;
}

#[tokio::test]
async fn a_burst_of_one_guest_holds_no_more_than_two_batches_let_through() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let mut quotes = Vec::new();
    for _ in 0..20 {
        quotes.push(shop.quote(&guest, &[(BREAD, 1)]).await);
    }
    let mut n = 0;
    let answers = futures_join(20, || {
        n += 1;
        let mut place = shop.order(&quotes[n - 1], &format!("k{n}"), "card_silent");
        place.wait_ms = 0;
        shop.place(&guest, place)
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    assert!(answers.iter().filter(|a| a.is_err()).all(|a| code(a) == Some(Code::TooManyUnpaid)), "{answers:?}");
    // Two for each of the two writers: a batch sees what it lets through itself, and not what the other does just now.
    let pending = shop.level(BREAD).await.pending;
    assert!(pending <= 4, "{pending} units are held");
    shop.close().await;
}

#[tokio::test]
async fn a_promotion_that_is_used_up_holds_no_stock() {
    let shop = Shop::open().await;
    let ring = &shop.core.config.keys.quote;
    let mut asks = Vec::new();
    for _ in 0..20 {
        let guest = shop.guest();
        let quote = shop.quote(&guest, &[(WATER, 1)]).await;
        let owner = Owner::Guest(guest.session);
        let mut content = quote::verify(ring, quote.token.as_deref().unwrap(), owner).unwrap().into_content();
        content.budgets = vec![BudgetUse {
            promotion: "one-use".into(),
            code: None,
            amount: content.totals.total,
            uses_max: Some(1),
            uses_per_buyer_max: None,
        }];
        let mut place = shop.order(&quote, "k", "card_silent");
        (place.quote, place.wait_ms) = (quote::mint(ring, &content).unwrap(), 0);
        asks.push((guest, place));
    }
    let mut n = 0;
    let answers = futures_join(20, || {
        n += 1;
        let (guest, place) = &asks[n - 1];
        shop.place(guest, place.clone())
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let pending = shop.level(WATER).await.pending;
    assert!(pending <= 2, "{pending} units are held");
    shop.close().await;
}

#[tokio::test]
async fn the_sixth_attempt_within_an_hour_is_refused_at_the_till_and_at_the_order() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_refused").await.id;
    let pay = |key: String| {
        let payment = PaymentChoice { provider: "simulator".into(), method: "card_refused".into() };
        let pay = Pay { order, key, payment, wait_ms: 8_000, return_url: None };
        shop.core.ask_as(Some(&guest.token), pay)
    };
    for n in 0..4 {
        pay(format!("p{n}")).await.unwrap();
    }
    pay("p3".into()).await.expect("the same key is no other attempt");
    let sixth = pay("p4".into()).await.unwrap_err();
    assert_eq!((sixth.code, sixth.retry_after_s), (Code::TooManyUnpaid, Some(600)));
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let refused = shop.place(&guest, shop.order(&quote, "k2", "card_ok")).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_s), (Code::TooManyUnpaid, Some(600)), "at the till too");
    assert_eq!(shop.level(BREAD).await.pending, 1, "and nothing is held for it");
    let pool = shop.core.pool("order").await;
    sqlx::query("update attempt set at = at - interval '61 minutes'").execute(&pool).await.unwrap();
    sqlx::query("update attempt set begun_at = begun_at - interval '61 minutes'")
        .execute(&shop.core.pool("payment").await)
        .await
        .unwrap();
    shop.place(&guest, shop.order(&quote, "k2", "card_ok")).await.expect("an hour later");
    shop.close().await;
}

#[tokio::test]
async fn guests_of_one_address_share_their_attempts_and_those_who_pay_make_room() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let at = |quote, key: &str, method: &str| {
        let mut place = shop.order(quote, key, method);
        place.client_bucket = Some("office".into());
        place
    };
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let first = shop.place(&guest, at(&quote, "k", "card_ok")).await.unwrap();
    shop.until_status(&guest, first.id, OrderStatus::Paid).await;
    let pool = shop.core.pool("order").await;
    // Of a paid order: not counted.
    sqlx::query(
        "insert into attempt select order_id, 'pay/' || n, key, at from attempt, generate_series(1, 60) n
         where key = 'attempt:at:office'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let other = shop.guest();
    let quote = shop.quote(&other, &[(BREAD, 1)]).await;
    shop.place(&other, at(&quote, "k", "card_refused")).await.expect("those who paid do not count");
    sqlx::query(
        "insert into attempt select a.order_id, 'more/' || n, a.key, a.at from attempt a, generate_series(1, 60) n
         where a.key = 'attempt:at:office' and a.cause = 'checkout' and a.order_id <> $1",
    )
    .bind(sqlx::types::Uuid::from_u128(first.id.as_u128()))
    .execute(&pool)
    .await
    .unwrap();
    let third = shop.guest();
    let quote = shop.quote(&third, &[(BREAD, 1)]).await;
    let refused = shop.place(&third, at(&quote, "k", "card_ok")).await;
    assert_eq!(code(&refused), Some(Code::TooManyUnpaid));
    shop.place(&third, shop.order(&quote, "k", "card_ok")).await.expect("from elsewhere");
    shop.close().await;
}

#[tokio::test]
async fn orders_that_could_not_be_paid_hold_no_more_than_their_merchant_allows() {
    let shop = Shop::open().await;
    let (first, second, third, paid) = (shop.guest(), shop.guest(), shop.guest(), shop.guest());
    // A tenth of the thousand: room for the first one, not for the second beside it, and for the third again.
    let policy = |share| SetPolicy { merchant: MerchantId::from_u128(1), unproven_share_max: share };
    shop.core.ask(policy(Some(10))).await.unwrap();
    let bought = shop.buy(&paid, &[(WATER, 300)], "k", "card_ok").await;
    shop.until_status(&paid, bought.id, OrderStatus::Paid).await;
    let kept = shop.buy(&first, &[(WATER, 80), (LAMP, 1)], "k", "card_refused").await;
    let off = shop.buy(&second, &[(WATER, 80)], "k", "card_refused").await;
    let small = shop.buy(&third, &[(WATER, 20)], "k", "card_refused").await;
    shop.until_status(&second, off.id, OrderStatus::Expired).await;
    let words = history(&shop, &second, off.id).await;
    assert!(words.contains(&"stock_share_exceeded".to_owned()), "{words:?}");
    eventually("its stock to be free", || async { (shop.level(WATER).await.pending == 100).then_some(()) }).await;
    for (guest, order) in [(&first, &kept), (&third, &small)] {
        let now = shop.get(guest, order.id).await;
        assert_eq!(now.status, OrderStatus::AwaitingPayment, "{:?}", history(&shop, guest, order.id).await);
    }
    // Another card pays what was kept.
    let again = pay(&kept, "again", "card_ok");
    shop.core.ask_as(Some(&first.token), again).await.unwrap();
    shop.until_status(&first, kept.id, OrderStatus::Paid).await;
    // Without the share they may hold all that is left.
    shop.core.ask(policy(None)).await.unwrap();
    let all = shop.buy(&second, &[(WATER, 400)], "k2", "card_refused").await;
    shop.core.ask(policy(Some(100))).await.unwrap();
    let more = shop.buy(&shop.guest(), &[(WATER, 1)], "k", "card_ok").await;
    assert!(more.totals.total.amount() > 0);
    assert_eq!(shop.get(&second, all.id).await.status, OrderStatus::AwaitingPayment);
    shop.close().await;
}
