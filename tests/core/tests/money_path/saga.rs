//! Every step of an order, asked twice and undone: one effect each, and nothing left behind.

use bodega_domain::{
    Code, Money,
    id::{MerchantId, OrderId},
    message::{
        inventory::{HoldState, Level, Post, Unpost, Void},
        order::{Abandon, AbandonVerdict, Cancel, Get, History, HistoryEntry, List},
        payment::{CancelIntents, Capture, IntentState, Open, OpenAsk, Refund, State, TransfersOf},
    },
    order::{OrderStatus, OrderView},
    principal::Owner,
    quote::{self, BudgetUse},
    token::{AccountClaims, Role, mint_account},
};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;

use crate::{
    place::futures_join,
    shop::{BREAD, Guest, LAMP, ON_HAND, Shop, WATER},
};

/// All that an order has moved.
#[derive(Debug, PartialEq)]
struct Moved {
    level: Level,
    hold: HoldState,
    intent: IntentState,
    transfers: usize,
    intents: i64,
}

async fn moved(shop: &Shop, order: OrderId) -> Moved {
    let pool = shop.core.pool("payment").await;
    Moved {
        level: shop.level(BREAD).await,
        hold: shop.hold(order).await,
        intent: shop.core.ask(State { orders: vec![order] }).await.unwrap().remove(0),
        transfers: shop.core.ask(TransfersOf { order }).await.unwrap().len(),
        intents: sqlx::query_scalar("select count(*) from intent").fetch_one(&pool).await.unwrap(),
    }
}

async fn open_ask(shop: &Shop, order: OrderId) -> OpenAsk {
    let pool = shop.core.pool("order").await;
    let json: sqlx::types::Json<OpenAsk> = sqlx::query_scalar("select open from saga where order_id = $1")
        .bind(sqlx::types::Uuid::from_u128(order.as_u128()))
        .fetch_one(&pool)
        .await
        .unwrap();
    json.0
}

async fn call_off(shop: &Shop, guest: &Guest, order: OrderId, key: &str) {
    let cancel = Cancel { order, key: key.into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
}

/// Nothing held, nothing kept, nothing counted.
async fn clean(shop: &Shop, guest: &Guest, order: OrderId, what: &str) {
    eventually(&format!("{what}: a clean slate"), || async {
        let now = shop.get(guest, order).await;
        let (level, amounts) = (shop.level(BREAD).await, now.payment.amounts);
        let ended = matches!(now.status, OrderStatus::Cancelled | OrderStatus::Expired);
        let empty = (level.pending, level.posted, level.short, level.available) == (0, 0, 0, 2 * ON_HAND);
        (ended && empty && amounts.captured == amounts.refunded).then_some(())
    })
    .await;
    assert_eq!(shop.hold(order).await, HoldState::Voided, "{what}");
    let pool = shop.core.pool("order").await;
    let used: i64 =
        sqlx::query_scalar("select coalesce(sum(used), 0)::bigint from quota").fetch_one(&pool).await.unwrap();
    assert_eq!(used, 0, "{what}: quotas");
    shop.assert_balanced().await;
}

#[tokio::test]
async fn each_command_of_a_saga_sent_twice_has_one_effect() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 2)], "k", "card_ok").await.id;
    shop.until_status(&guest, order, OrderStatus::Paid).await;
    let paid = moved(&shop, order).await;
    assert_eq!((paid.level.posted, paid.hold, paid.intents), (2, HoldState::Posted, 1));
    let opening = open_ask(&shop, order).await;
    shop.core.ask(Open { asks: vec![opening.clone(), opening] }).await.unwrap();
    shop.core.ask(Post { orders: vec![order, order] }).await.unwrap();
    shop.core.ask(Capture { orders: vec![order, order] }).await.unwrap();
    let verdict = shop.core.ask(Abandon { orders: vec![order] }).await.unwrap();
    assert_eq!(verdict, [AbandonVerdict::Exists]);
    shop.core.ask(Void { orders: vec![order] }).await.unwrap();
    assert_eq!(moved(&shop, order).await, paid);

    call_off(&shop, &guest, order, "c").await;
    clean(&shop, &guest, order, "called off").await;
    let ended = moved(&shop, order).await;
    let refund =
        Refund { order, amount: None, merchant: None, key: format!("cancel:{order}"), reason: "cancelled".into() };
    for _ in 0..2 {
        shop.core.ask(refund.clone()).await.unwrap();
        shop.core.ask(Unpost { orders: vec![order] }).await.unwrap();
        shop.core.ask(Post { orders: vec![order] }).await.unwrap();
    }
    assert_eq!(moved(&shop, order).await, ended);
    shop.close().await;
}

#[tokio::test]
async fn whatever_fails_nothing_is_left_behind_and_undoing_it_again_changes_nothing() {
    let shop = Shop::open().await;
    for (what, method) in [
        ("refused", "card_refused"),
        ("waiting for the shopper", "card_challenge"),
        ("not captured", "card_capture_fails"),
        ("paid", "card_ok"),
    ] {
        let guest = shop.guest();
        let order = shop.buy(&guest, &[(BREAD, 2)], "k", method).await.id;
        match what {
            "not captured" => drop(shop.until_status(&guest, order, OrderStatus::Cancelled).await),
            "paid" => {
                shop.until_status(&guest, order, OrderStatus::Paid).await;
                call_off(&shop, &guest, order, "c").await;
            }
            _ => call_off(&shop, &guest, order, "c").await,
        }
        clean(&shop, &guest, order, what).await;
        let transfers = shop.core.ask(TransfersOf { order }).await.unwrap().len();
        for key in ["c", "again"] {
            call_off(&shop, &guest, order, key).await;
            shop.core.ask(Unpost { orders: vec![order] }).await.unwrap();
            shop.core.ask(Void { orders: vec![order] }).await.unwrap();
            shop.core.ask(CancelIntents { orders: vec![order] }).await.unwrap();
        }
        clean(&shop, &guest, order, what).await;
        assert_eq!(shop.core.ask(TransfersOf { order }).await.unwrap().len(), transfers, "{what}");
    }
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_is_free_is_paid_and_can_be_called_off() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(BREAD, 2)]).await;
    let ring = &shop.core.config.keys.quote;
    let mut content =
        quote::verify(ring, quote.token.as_deref().unwrap(), Owner::Guest(guest.session)).unwrap().into_content();
    let zero = bodega_domain::Money::zero(content.currency);
    for line in &mut content.lines {
        (line.discount, line.tax, line.total) = (line.subtotal, zero, zero);
    }
    (content.totals.tax, content.totals.total) = (zero, zero);
    let mut place = shop.order(&quote, "k", "card_ok");
    place.quote = quote::mint(ring, &content).unwrap();
    let order = shop.place(&guest, place).await.unwrap().id;
    shop.until_status(&guest, order, OrderStatus::Paid).await;
    assert_eq!(shop.hold(order).await, HoldState::Posted);
    call_off(&shop, &guest, order, "c").await;
    clean(&shop, &guest, order, "a gift").await;
    shop.close().await;
}

#[tokio::test]
async fn a_promotion_is_used_as_often_as_it_may_be_and_a_use_that_was_not_paid_comes_back() {
    let shop = Shop::open().await;
    let ring = &shop.core.config.keys.quote;
    let mut asks = Vec::new();
    for _ in 0..12 {
        let guest = shop.guest();
        let quote = shop.quote(&guest, &[(WATER, 1)]).await;
        let owner = Owner::Guest(guest.session);
        let mut content = quote::verify(ring, quote.token.as_deref().unwrap(), owner).unwrap().into_content();
        content.budgets = vec![BudgetUse {
            promotion: "three-uses".into(),
            code: None,
            amount: content.totals.total,
            uses_max: Some(3),
            uses_per_buyer_max: Some(1),
        }];
        let mut place = shop.order(&quote, "k", "card_refused");
        place.quote = quote::mint(ring, &content).unwrap();
        asks.push((guest, place));
    }
    let mut n = 0;
    let answers = futures_join(12, || {
        n += 1;
        let (guest, place) = &asks[n - 1];
        shop.place(guest, place.clone())
    })
    .await;
    let placed: Vec<usize> = (0..12).filter(|n| answers[*n].is_ok()).collect();
    assert_eq!(placed.len(), 3);
    assert!(answers.iter().filter(|a| a.is_err()).all(|a| code(a) == Some(Code::CodeNotApplicable)), "{answers:?}");
    let used = || async {
        let pool = shop.core.pool("order").await;
        let used = sqlx::query_scalar::<_, i32>("select used from quota where key = 'promotion:three-uses'");
        used.fetch_one(&pool).await.unwrap()
    };
    assert_eq!(used().await, 3);
    let first = answers[placed[0]].as_ref().unwrap().id;
    for key in ["c", "again"] {
        call_off(&shop, &asks[placed[0]].0, first, key).await;
    }
    shop.until_status(&asks[placed[0]].0, first, OrderStatus::Cancelled).await;
    assert_eq!(used().await, 2, "given back once");
    let refused = (0..12).find(|n| answers[*n].is_err()).unwrap();
    let (guest, place) = &asks[refused];
    shop.place(guest, place.clone()).await.expect("the same key and quote, now that there is room");
    assert_eq!(used().await, 3);
    shop.close().await;
}

pub(crate) fn account(shop: &Shop, roles: Vec<Role>, n: u128) -> String {
    let now = shop.core.clock.now();
    let (account, session) = (bodega_domain::id::AccountId::from_u128(n), bodega_domain::id::SessionId::from_u128(n));
    let claims = AccountClaims { account, session, roles, issued: now, expires: now.plus_min(10) };
    mint_account(&shop.core.config.keys.identity[0], &claims).unwrap()
}

#[tokio::test]
async fn a_merchant_learns_what_their_own_part_comes_to_and_no_more() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let bread = account(&shop, vec![Role::Merchant(MerchantId::from_u128(1))], 1);
    let lamps = account(&shop, vec![Role::Merchant(MerchantId::from_u128(2))], 2);
    let both = vec![Role::Merchant(MerchantId::from_u128(1)), Role::Merchant(MerchantId::from_u128(2))];
    let both = account(&shop, both, 3);
    let order = shop.buy(&guest, &[(BREAD, 3), (LAMP, 1)], "k", "card_challenge").await;
    assert!(order.payment.next_action.is_some(), "the shopper has something to do: {:?}", order.payment);
    let get = |token: &str| {
        let (shop, token, order) = (&shop, token.to_owned(), order.id);
        async move { shop.core.ask_as(Some(&token), Get { order }).await.unwrap() }
    };
    let (of_bread, of_lamps) = (get(&bread).await, get(&lamps).await);
    for part in [&of_bread, &of_lamps] {
        assert_eq!(part.payment.next_action, None, "the shopper's address at the provider");
        assert_eq!((part.totals.total, part.parts.len()), (part.parts[0].total, 1));
        assert!(part.totals.shipping.amount() >= 0);
        assert!(part.totals.total.amount() < order.totals.total.amount());
    }
    let sums = |of: fn(&OrderView) -> Money| of(&of_bread).checked_add(of(&of_lamps)).unwrap();
    assert_eq!(sums(|seen| seen.totals.total), order.totals.total);
    assert_eq!(sums(|seen| seen.totals.tax), order.totals.tax);
    assert_eq!(sums(|seen| seen.totals.subtotal), order.totals.subtotal);
    let (all, whole) = (get(&both).await, shop.get(&guest, order.id).await);
    assert_eq!((all.totals.total, all.payment.amounts), (whole.totals.total, whole.payment.amounts));

    let paid = shop.buy(&guest, &[(BREAD, 3), (LAMP, 1)], "k2", "card_ok").await;
    shop.until_status(&guest, paid.id, OrderStatus::Paid).await;
    let list = List { all: true, status: Some(OrderStatus::Paid), ..List::default() };
    let seen = shop.core.ask_as(Some(&lamps), list).await.unwrap().items.remove(0);
    assert_eq!(seen.payment.amounts.captured, seen.parts[0].total, "their share of the one payment");

    let history = History { order: paid.id };
    let full = shop.core.ask_as(Some(&guest.token), history).await.unwrap();
    let part = shop.core.ask_as(Some(&lamps), history).await.unwrap();
    let words =
        |entries: &[HistoryEntry]| entries.iter().map(|entry| (entry.at, entry.what.clone())).collect::<Vec<_>>();
    assert_eq!(words(&part), words(&full));
    assert!(full[0].data["total"].is_object() || full[0].data["total"].is_number(), "{full:?}");
    for entry in &part {
        assert_eq!(entry.data, serde_json::json!({}), "{entry:?}");
        assert!(entry.who == "buyer" || entry.who.starts_with("service:"), "{entry:?}");
    }
    shop.close().await;
}

#[tokio::test]
async fn why_an_order_was_called_off_stands_in_its_history_as_a_word_of_a_list() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 1)], "k", "card_ok").await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    let cancel = |reason: &str| Cancel {
        order: order.id,
        key: "off".into(),
        lines: Vec::new(),
        refund: None,
        reason: Some(reason.into()),
    };
    let refused = shop.core.ask_as(Some(&guest.token), cancel("Zenobia asked for it")).await;
    assert_eq!(code(&refused), Some(Code::ValidationFailed));
    assert_eq!(bodega_test_core::fields(&refused), [("/reason".to_owned(), "unknown".to_owned())]);
    for _ in 0..2 {
        shop.core.ask_as(Some(&guest.token), cancel("changed_mind")).await.unwrap();
    }
    let other = shop.core.ask_as(Some(&guest.token), cancel("too_late")).await;
    assert_eq!(code(&other), Some(Code::IdempotencyKeyReused), "a reason is a part of what was asked");
    let history = shop.core.ask_as(Some(&guest.token), History { order: order.id }).await.unwrap();
    let asked: Vec<_> = history.iter().filter(|entry| entry.what == "cancel_requested").collect();
    assert_eq!(asked.len(), 1, "{history:?}");
    assert_eq!((&asked[0].data["reason"], asked[0].who.clone()), (&"changed_mind".into(), guest.session.to_string()));
    shop.close().await;
}

#[tokio::test]
async fn an_order_is_seen_by_whom_it_concerns() {
    let shop = Shop::open().await;
    let (guest, stranger) = (shop.guest(), shop.guest());
    let order = shop.buy(&guest, &[(BREAD, 1), (LAMP, 1)], "k", "card_ok").await;
    let bread_only = shop.buy(&guest, &[(BREAD, 1)], "k2", "card_ok").await;
    let lamps = account(&shop, vec![Role::Merchant(MerchantId::from_u128(2))], 2);
    let admin = account(&shop, vec![Role::Admin], 3);
    let get = |token: &str, order: OrderId| {
        let (shop, token) = (&shop, token.to_owned());
        async move { shop.core.ask_as(Some(&token), Get { order }).await }
    };
    assert_eq!(code(&get(&stranger.token, order.id).await), Some(Code::OrderNotFound));
    let part = get(&lamps, order.id).await.unwrap();
    assert_eq!((part.lines.len(), part.parts.len(), part.link), (1, 1, None));
    assert_eq!(part.lines[0].sku, LAMP);
    assert_eq!(code(&get(&lamps, bread_only.id).await), Some(Code::OrderNotFound));
    let all = List { all: true, ..List::default() };
    let of_lamps = shop.core.ask_as(Some(&lamps), all.clone()).await.unwrap().items;
    assert_eq!(of_lamps.iter().map(|o| o.id).collect::<Vec<_>>(), [order.id]);
    let of_admin = shop.core.ask_as(Some(&admin), List { limit: Some(1), ..all.clone() }).await.unwrap();
    assert_eq!(of_admin.items[0].id, bread_only.id, "the newest first");
    let next = List { limit: Some(1), cursor: of_admin.next_cursor, ..all.clone() };
    let second = shop.core.ask_as(Some(&admin), next).await.unwrap();
    assert_eq!((second.items[0].id, second.next_cursor), (order.id, None));
    assert_eq!(code(&shop.core.ask_as(Some(&stranger.token), all).await), Some(Code::Forbidden));
    shop.close().await;
}
