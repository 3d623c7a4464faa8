//! A guest's secret link: what it opens, how it is undone, how an order is called off through it, and how an account
//! takes the order over.

use bodega_domain::{
    Code, Failure,
    id::{MerchantId, OrderId},
    limits::{LINK_WRONG_EMAILS_MAX, ORDER_LINK_DAYS},
    message::{
        identity::Register,
        order::{Adopt, CancelByLink, Get, History, List, OpenLink, RenewLink},
    },
    order::{OrderStatus, OrderView},
    token::Role,
};
use bodega_platform::sqlx;
use bodega_test_core::{code, fields};

use crate::{
    saga::account,
    shop::{BREAD, Guest, LAMP, Shop, history},
};

/// The secret of the link that this guest's order has now.
async fn secret(shop: &Shop, guest: &Guest, order: OrderId) -> String {
    let link = shop.get(guest, order).await.link.expect("a guest's order has a link");
    link.rsplit('/').next().unwrap().to_owned()
}

async fn open(shop: &Shop, order: OrderId, secret: &str) -> Result<OrderView, Failure> {
    shop.core.ask_as(None, OpenLink { order, secret: secret.to_owned() }).await
}

fn cancel(order: OrderId, secret: &str, email: &str, key: &str) -> CancelByLink {
    CancelByLink { order, secret: secret.into(), email: email.into(), key: key.into(), reason: None }
}

#[tokio::test]
async fn a_link_opens_its_own_order_for_ninety_days() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_ok").await;
    let other = shop.buy(&guest, &[(BREAD, 1)], "k2", "card_ok").await;
    let secret = secret(&shop, &guest, order.id).await;
    let seen = open(&shop, order.id, &secret).await.unwrap();
    assert_eq!((seen.id, seen.link), (order.id, None), "a link makes no further links");
    for (of, wrong) in [(other.id, &*secret), (order.id, ""), (order.id, &secret[1..])] {
        assert_eq!(code(&open(&shop, of, wrong).await), Some(Code::OrderNotFound));
    }
    let database = shop.core.pool("order").await;
    let age = "update orders set placed_at = placed_at - make_interval(days => $1)";
    let days = i32::try_from(ORDER_LINK_DAYS).unwrap();
    sqlx::query(age).bind(days - 1).execute(&database).await.unwrap();
    open(&shop, order.id, &secret).await.unwrap();
    sqlx::query(age).bind(1).execute(&database).await.unwrap();
    assert_eq!(code(&open(&shop, order.id, &secret).await), Some(Code::OrderNotFound));
    shop.close().await;
}

#[tokio::test]
async fn a_link_that_leaked_is_undone_by_the_next() {
    let shop = Shop::open().await;
    let (guest, stranger) = (shop.guest(), shop.guest());
    let order = shop.buy(&guest, &[(BREAD, 1), (LAMP, 1)], "k", "card_ok").await;
    let renew = RenewLink { order: order.id };
    let merchant = account(&shop, vec![Role::Merchant(MerchantId::from_u128(2))], 2);
    let admin = account(&shop, vec![Role::Admin], 3);
    let mut known = vec![secret(&shop, &guest, order.id).await];
    assert_eq!(code(&shop.core.ask_as(None, renew).await), Some(Code::Unauthenticated));
    for token in [&stranger.token, &merchant] {
        assert_eq!(code(&shop.core.ask_as(Some(token), renew).await), Some(Code::OrderNotFound));
    }
    open(&shop, order.id, &known[0]).await.unwrap();
    for token in [&guest.token, &admin] {
        let answer = shop.core.ask_as(Some(token), renew).await.unwrap();
        let next = secret(&shop, &guest, order.id).await;
        let told = answer.link.map(|link| link.rsplit('/').next().unwrap().to_owned());
        assert_eq!(told, (*token == guest.token).then(|| next.clone()), "an admin has no use for it");
        assert!(!known.contains(&next));
        known.push(next);
    }
    let newest = known.pop().unwrap();
    for old in &known {
        assert_eq!(code(&open(&shop, order.id, old).await), Some(Code::OrderNotFound));
        let off = cancel(order.id, old, "ada@example.org", "off");
        assert_eq!(code(&shop.core.ask_as(None, off).await), Some(Code::OrderNotFound));
    }
    open(&shop, order.id, &newest).await.unwrap();
    let renewed = history(&shop, &guest, order.id).await.iter().filter(|what| *what == "link_renewed").count();
    assert_eq!(renewed, 2);
    shop.close().await;
}

#[tokio::test]
async fn who_has_the_link_and_the_e_mail_may_call_the_order_off() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1), (LAMP, 1)], "k", "card_ok").await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    let secret = secret(&shop, &guest, order.id).await;
    let refused = shop.core.ask_as(None, cancel(order.id, "not this one", "ada@example.org", "off")).await;
    assert_eq!(code(&refused), Some(Code::OrderNotFound));
    let refused = shop.core.ask_as(None, cancel(order.id, &secret, "eve@example.org", "off")).await;
    assert_eq!(fields(&refused), [("/email".to_owned(), "wrong".to_owned())]);
    assert_eq!(shop.get(&guest, order.id).await.status, OrderStatus::Paid);
    for _ in 0..2 {
        let off = cancel(order.id, &secret, " Ada@Example.ORG ", "off");
        let gone = shop.core.ask_as(None, off).await.unwrap();
        assert_eq!((gone.id, gone.link), (order.id, None));
    }
    shop.until_status(&guest, order.id, OrderStatus::Cancelled).await;
    let asked = History { order: order.id };
    let entries = shop.core.ask_as(Some(&guest.token), asked).await.unwrap();
    let through_it = format!("link:{}", order.id);
    assert_eq!(entries.iter().filter(|entry| entry.who == through_it).count(), 1, "once: {entries:?}");
    let merchant = account(&shop, vec![Role::Merchant(MerchantId::from_u128(2))], 2);
    let part = shop.core.ask_as(Some(&merchant), asked).await.unwrap();
    assert!(part.iter().all(|entry| entry.who == "buyer" || entry.who.starts_with("service:")), "{part:?}");
    shop.close().await;
}

#[tokio::test]
async fn nobody_tries_all_e_mails_through_a_link() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_ok").await;
    let secret = secret(&shop, &guest, order.id).await;
    let tries = usize::try_from(LINK_WRONG_EMAILS_MAX).unwrap();
    let guesses: Vec<String> = (0..tries + 3).map(|n| format!("eve{n}@example.org")).collect();
    // All at once: none is looked at before it is counted.
    let answers = futures::future::join_all(
        guesses.iter().map(|guess| shop.core.ask_as(None, cancel(order.id, &secret, guess, "off"))),
    )
    .await;
    let looked_at = answers.iter().filter(|answer| code(answer) == Some(Code::ValidationFailed)).count();
    let refused = answers.iter().filter(|answer| code(answer) == Some(Code::TooManyRequests)).count();
    assert_eq!((looked_at, refused), (tries, 3));
    let right = || shop.core.ask_as(None, cancel(order.id, &secret, "ada@example.org", "off"));
    assert_eq!(code(&right().await), Some(Code::TooManyRequests), "also the right one has to wait now");
    let database = shop.core.pool("order").await;
    sqlx::query("update link_guess set since = since - interval '61 minutes'").execute(&database).await.unwrap();
    right().await.unwrap();
    shop.close().await;
}

#[tokio::test]
async fn an_account_takes_over_what_its_browser_has_ordered_with_its_e_mail() {
    let shop = Shop::open_with_accounts().await;
    let (guest, other) = (shop.guest(), shop.guest());
    let mine = shop.buy(&guest, &[(BREAD, 1)], "k", "card_ok").await;
    let quote = shop.quote(&guest, &[(BREAD, 2)]).await;
    let mut for_a_friend = shop.order(&quote, "k2", "card_ok");
    for_a_friend.contact.email = "grace@example.org".into();
    let friends = shop.place(&guest, for_a_friend).await.unwrap();
    let elsewhere = shop.buy(&other, &[(BREAD, 1)], "k", "card_ok").await;
    let register = |email: &str| {
        let (email, password, name) = (email.into(), "long enough for all".into(), "Ada".into());
        shop.core.ask_as(None, Register { email, password, name })
    };
    let ada = register("Ada@example.org").await.unwrap();
    let adopt = |token: &str, guest: &str| {
        let (token, guest) = (token.to_owned(), guest.to_owned());
        let core = &shop.core;
        async move { core.ask_as(Some(&token), Adopt { guest }).await }
    };
    assert_eq!(code(&adopt(&guest.token, &guest.token).await), Some(Code::Unauthenticated), "a guest adopts nothing");
    for wrong in ["", "g1.x.y", &ada.token] {
        assert_eq!(code(&adopt(&ada.token, wrong).await), Some(Code::BadRequest));
    }
    assert_eq!(adopt(&ada.token, &guest.token).await.unwrap().orders, [mine.id]);
    assert_eq!(adopt(&ada.token, &guest.token).await.unwrap().orders, [], "once");
    let ask = |token: &str, order| {
        let (token, core) = (token.to_owned(), &shop.core);
        async move { core.ask_as(Some(&token), Get { order }).await }
    };
    let seen = ask(&ada.token, mine.id).await.unwrap();
    assert_eq!(seen.link, None, "an account needs no link");
    assert_eq!(code(&ask(&guest.token, mine.id).await), Some(Code::OrderNotFound));
    for (order, of) in [(friends.id, &guest), (elsewhere.id, &other)] {
        assert_eq!(code(&ask(&ada.token, order).await), Some(Code::OrderNotFound));
        ask(&of.token, order).await.unwrap();
    }
    let listed = shop.core.ask_as(Some(&ada.token), List::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|order| order.id).collect::<Vec<_>>(), [mine.id]);
    let entries = shop.core.ask_as(Some(&ada.token), History { order: mine.id }).await.unwrap();
    let adopted = entries.iter().find(|entry| entry.what == "adopted").unwrap();
    assert_eq!((&adopted.who, &adopted.data["from"]), (&ada.account.id.to_string(), &guest.session.to_string().into()));
    shop.close().await;
}
