//! Quotes become orders once, whoever asks how often.

use bodega_domain::{
    Code, Currency,
    message::{
        inventory::{Hold, HoldAsk, HoldLine, HoldState},
        order::{Outcome, Place},
    },
    order::{OrderStatus, PaymentStatus},
    quote,
};
use bodega_platform::sqlx;
use bodega_test_core::{code, fields};
use bodega_tests::eventually;
use futures::stream::{self, StreamExt as _};

use crate::shop::{BREAD, LAMP, ON_HAND, Shop, WATER, a_minute_ago, history};

#[tokio::test]
async fn a_guest_buys_and_everything_adds_up() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 2), (LAMP, 1)], "k1", "card_ok").await;
    let order = shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    assert_eq!(order.payment.status, PaymentStatus::Captured);
    assert_eq!(order.payment.amounts.captured, order.totals.total);
    assert_eq!(order.totals.total.amount(), 2 * 321 + 4_999 + 490);
    assert_eq!(order.parts.iter().map(|part| part.total.amount()).sum::<i64>(), order.totals.total.amount());
    assert_eq!(order.parts.len(), 2, "one part a merchant");
    assert_eq!(shop.hold(order.id).await, HoldState::Posted);
    let bread = shop.level(BREAD).await;
    assert_eq!((bread.pending, bread.posted, bread.available), (0, 2, 2 * ON_HAND - 2));
    shop.assert_balanced().await;
    let words = history(&shop, &guest, order.id).await;
    let at = |word: &str| words.iter().position(|w| w == word).unwrap_or_else(|| panic!("{word} in {words:?}"));
    assert!(
        at("placed") < at("authorised") && at("authorised") < at("stock_posted") && at("stock_posted") < at("paid")
    );
    shop.close().await;
}

#[tokio::test]
async fn one_key_is_one_order_however_often_it_is_asked() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(WATER, 1)]).await;
    let place = shop.order(&quote, "same", "card_ok");
    let answers = futures_join(64, || shop.place(&guest, place.clone())).await;
    let ids: std::collections::BTreeSet<_> = answers.into_iter().map(|order| order.unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    let order = shop.until_status(&guest, *ids.first().unwrap(), OrderStatus::Paid).await;
    assert_eq!(shop.level(WATER).await.posted, 1);
    let other = shop.order(&quote, "same", "card_refused");
    assert_eq!(code(&shop.place(&guest, other).await), Some(Code::IdempotencyKeyReused));
    let found = shop.core.ask_as(Some(&guest.token), Outcome { key: "same".into(), deadline: None }).await.unwrap();
    assert_eq!(found.id, order.id);
    let unknown = Outcome { key: "never".into(), deadline: Some(a_minute_ago(&shop)) };
    let refused = shop.core.ask_as(Some(&guest.token), unknown).await.unwrap_err();
    assert_eq!((refused.code, refused.r#final), (Code::CheckoutNotFound, Some(true)));
    shop.close().await;
}

#[tokio::test]
async fn one_quote_with_eight_keys_is_one_order() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(WATER, 3)]).await;
    let mut n = 0;
    let answers = futures_join(8, || {
        n += 1;
        shop.place(&guest, shop.order(&quote, &format!("key-{n}"), "card_ok"))
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    let id = won[0].as_ref().unwrap().id.to_string();
    for answer in lost {
        let failure = answer.unwrap_err();
        assert_eq!((failure.code, failure.about), (Code::QuoteUsed, Some(id.clone())));
    }
    assert_eq!(shop.level(WATER).await.pending + shop.level(WATER).await.posted, 3);
    shop.close().await;
}

#[tokio::test]
async fn quotes_that_are_not_exactly_ours_are_refused_and_change_nothing() {
    let shop = Shop::open().await;
    let (guest, stranger) = (shop.guest(), shop.guest());
    let quote = shop.quote(&guest, &[(WATER, 1)]).await;
    let good = shop.order(&quote, "k", "card_ok");

    assert_eq!(code(&shop.place(&stranger, good.clone()).await), Some(Code::QuoteInvalid), "a stranger's");
    let mut tampered = good.clone();
    tampered.quote = good.quote.replacen("q1.", "q1.x", 1);
    assert_eq!(code(&shop.place(&guest, tampered).await), Some(Code::QuoteInvalid));
    let mut elsewhere = good.clone();
    elsewhere.shipping_address.country = "FR".parse().unwrap();
    elsewhere.shipping_address.postal_code = "75001".into();
    let refused = shop.place(&guest, elsewhere).await;
    assert_eq!(code(&refused), Some(Code::QuoteMismatch));
    let named: Vec<String> = fields(&refused).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(named, ["/shipping_address/country", "/shipping_address/postal_code"]);
    let mut anonymous = good.clone();
    anonymous.contact.email = "nobody".into();
    assert_eq!(fields(&shop.place(&guest, anonymous).await), [("/contact/email".to_owned(), "email".to_owned())]);
    let mut unknown = good.clone();
    unknown.payment.provider = "barter".into();
    assert_eq!(code(&shop.place(&guest, unknown).await), Some(Code::PaymentMethodUnknown));
    let nobody = shop.core.ask_as(None, good.clone()).await;
    assert_eq!(code(&nobody), Some(Code::Unauthenticated));

    let ring = &shop.core.config.keys.quote;
    let owner = bodega_domain::principal::Owner::Guest(guest.session);
    let mut old = quote::verify(ring, quote.token.as_deref().unwrap(), owner).unwrap().into_content();
    old.expires = a_minute_ago(&shop);
    let mut expired = good.clone();
    expired.quote = quote::mint(ring, &old).unwrap();
    assert_eq!(code(&shop.place(&guest, expired).await), Some(Code::QuoteExpired));
    let mut late = good.clone();
    late.deadline = a_minute_ago(&shop);
    assert_eq!(code(&shop.place(&guest, late).await), Some(Code::DeadlineExceeded));

    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND, "nothing was held");
    shop.place(&guest, good).await.expect("refusals were not remembered");
    shop.close().await;
}

#[tokio::test]
async fn sold_out_between_cart_and_checkout_names_the_lines() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    shop.count(LAMP, 1, -(ON_HAND - 1), "sold:1").await.unwrap();
    shop.count(LAMP, 2, -ON_HAND, "sold:2").await.unwrap();
    let quote = shop.quote(&guest, &[(BREAD, 1), (LAMP, 2)]).await;
    let refused = shop.place(&guest, shop.order(&quote, "k", "card_ok")).await;
    assert_eq!(code(&refused), Some(Code::OutOfStock));
    assert_eq!(fields(&refused), [(format!("/lines/{LAMP}"), "too_few".to_owned())]);
    assert_eq!(shop.level(BREAD).await.pending, 0, "no order is held by half");
    shop.count(LAMP, 1, 1, "found").await.unwrap();
    shop.place(&guest, shop.order(&quote, "k", "card_ok")).await.expect("the same key is evaluated again");
    shop.close().await;
}

#[tokio::test]
async fn fifty_buyers_for_ten_units_are_ten_orders_and_forty_clear_answers() {
    let shop = Shop::open().await;
    shop.count(LAMP, 1, -(ON_HAND - 10), "almost").await.unwrap();
    shop.count(LAMP, 2, -ON_HAND, "none").await.unwrap();
    let guests: Vec<_> = (0..50).map(|_| shop.guest()).collect();
    let mut quotes = Vec::new();
    for guest in &guests {
        quotes.push(shop.quote(guest, &[(LAMP, 1)]).await);
    }
    let mut n = 0;
    let answers = futures_join(50, || {
        let (guest, quote) = (&guests[n], &quotes[n]);
        n += 1;
        shop.place(guest, shop.order(quote, "k", "card_ok"))
    })
    .await;
    let sold = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(sold, 10);
    assert!(answers.iter().filter(|a| a.is_err()).all(|a| code(a) == Some(Code::OutOfStock)));
    let level = shop.level(LAMP).await;
    assert_eq!((level.available, level.pending + level.posted, level.short), (0, 10, 0));
    shop.close().await;
}

/// Buyers at the same moment, and as many as the bus carries at once.
const RUSH: (usize, usize) = (2_000, 256);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_buyers_for_a_hundred_units_are_a_hundred_orders() {
    let shop = Shop::open().await;
    shop.count(LAMP, 1, -(ON_HAND - 70), "most").await.unwrap();
    shop.count(LAMP, 2, -(ON_HAND - 30), "nearly all").await.unwrap();
    let (buyers, at_once) = RUSH;
    let shop_of = &shop;
    let answers: Vec<_> = stream::iter(0..buyers)
        .map(|n| async move {
            let guest = shop_of.guest();
            let quote = shop_of.quote(&guest, &[(LAMP, 1)]).await;
            let place = Place { wait_ms: 0, ..shop_of.order(&quote, &format!("rush {n}"), "card_ok") };
            (shop_of.place(&guest, place).await, guest)
        })
        .buffer_unordered(at_once)
        .collect()
        .await;
    let sold: Vec<_> = answers.iter().filter_map(|(answer, guest)| Some((answer.as_ref().ok()?, guest))).collect();
    assert_eq!(sold.len(), 100);
    let refused = answers.iter().filter(|(answer, _)| answer.is_err());
    assert!(refused.clone().all(|(answer, _)| code(answer) == Some(Code::OutOfStock)), "everybody is told why");
    assert_eq!(refused.count(), buyers - 100);
    for (order, guest) in sold {
        shop.until_status(guest, order.id, OrderStatus::Paid).await;
    }
    let level = shop.level(LAMP).await;
    assert_eq!((level.available, level.pending, level.posted, level.short), (0, 0, 100, 0));
    shop.close().await;
}

#[tokio::test]
async fn a_hold_without_an_order_is_given_back_and_its_quote_is_dead() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(WATER, 5)]).await;
    let owner = bodega_domain::principal::Owner::Guest(guest.session);
    let ring = &shop.core.config.keys.quote;
    let content = quote::verify(ring, quote.token.as_deref().unwrap(), owner).unwrap().into_content();
    let line = &content.lines[0];
    let lines = vec![HoldLine { sku_no: line.sku_no, quantity: 5, merchant: line.merchant }];
    let ask = HoldAsk { order: content.order_id, lines, ask_at: a_minute_ago(&shop) };
    shop.core.ask(Hold { asks: vec![ask] }).await.unwrap();
    eventually("the hold to be voided", || async {
        (shop.hold(content.order_id).await == HoldState::Voided).then_some(())
    })
    .await;
    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND);
    let late = shop.place(&guest, shop.order(&quote, "late", "card_ok")).await;
    assert_eq!(code(&late), Some(Code::QuoteExpired), "the tombstone stands");
    shop.close().await;
}

#[tokio::test]
async fn yen_have_no_minor_units_and_are_paid_like_anything_else() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.try_quote(&guest, &[(BREAD, 1)], Currency::JPY).await.unwrap();
    assert_eq!(quote.totals.total.to_string(), "921 JPY");
    let order = shop.place(&guest, shop.order(&quote, "k", "card_ok")).await.unwrap();
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    shop.assert_balanced().await;
    let dollars = shop.try_quote(&guest, &[(BREAD, 1)], Currency::USD).await;
    assert_eq!(fields(&dollars), [(format!("/lines/{BREAD}"), "no_price".to_owned())]);
    shop.close().await;
}

/// Runs `n` futures at once.
pub(crate) async fn futures_join<F: Future>(n: usize, mut make: impl FnMut() -> F) -> Vec<F::Output> {
    let mut futures: Vec<_> = (0..n).map(|_| Box::pin(make())).collect();
    let mut outputs: Vec<Option<F::Output>> = (0..n).map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_key_that_was_remembered_while_its_repetition_was_judged_is_answered_with_its_order() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(BREAD, 1)]).await;
    let place = shop.order(&quote, "k", "card_ok");
    let first = shop.place(&guest, place.clone()).await.unwrap();
    // The moment between looking for the key and looking for the claim, held open: the key is not there yet, and the
    // claim cannot be read before it is.
    let database = shop.core.pool("order").await;
    let mut winner = database.begin().await.unwrap();
    let gone = "with gone as (delete from checkout_key returning *) select owner, key, order_id, fingerprint from gone";
    let key: (String, String, sqlx::types::Uuid, Vec<u8>) = sqlx::query_as(gone).fetch_one(&database).await.unwrap();
    sqlx::query("lock table claim in access exclusive mode").execute(&mut *winner).await.unwrap();
    let again = shop.place(&guest, place);
    let remember = async {
        eventually("the repetition to look for the claim", || async {
            let waits =
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%from claim%'";
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&database).await.unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        sqlx::query("insert into checkout_key (owner, key, order_id, fingerprint) values ($1, $2, $3, $4)")
            .bind(&key.0)
            .bind(&key.1)
            .bind(key.2)
            .bind(&key.3)
            .execute(&mut *winner)
            .await
            .unwrap();
        winner.commit().await.unwrap();
    };
    let (again, ()) = tokio::join!(again, remember);
    assert_eq!(again.unwrap().id, first.id);
    shop.close().await;
}
