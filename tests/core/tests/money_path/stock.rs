//! Stock on the bus: counts, references, whose shelf it is, holds against voids.

use std::collections::BTreeSet;

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    id::{AccountId, LocationId, MerchantId, OrderId, SessionId},
    message::{
        inventory::{
            Adjust, Adjustment, Exceptions, Hold, HoldAsk, HoldLine, HoldState, HoldVerdict, Levels, Post,
            PutLocations, Shortage, Unpost, Void,
        },
        order::Cancel,
    },
    order::OrderStatus,
    token::{AccountClaims, Role, mint_account},
};
use bodega_platform::Entropy;
use bodega_test_core::code;
use bodega_tests::eventually;

use crate::shop::{BREAD, LAMP, ON_HAND, Shop, WATER};

fn merchant_token(shop: &Shop, merchant: u128) -> String {
    let now = shop.core.clock.now();
    let claims = AccountClaims {
        account: AccountId::from_u128(merchant),
        session: SessionId::from_u128(merchant),
        roles: vec![Role::Merchant(MerchantId::from_u128(merchant))],
        issued: now,
        expires: now.plus_min(10),
    };
    mint_account(&shop.core.config.keys.identity[0], &claims).unwrap()
}

fn counted(shop: &Shop, sku: &str, merchant: u128, delta: i64, reference: &str) -> Adjustment {
    Adjustment {
        sku_no: shop.skus[sku],
        location: LocationId::from_u128(1),
        merchant: MerchantId::from_u128(merchant),
        delta,
        reason: "count".into(),
        reference: reference.into(),
    }
}

async fn adjust(shop: &Shop, adjustments: Vec<Adjustment>) -> Result<(), Failure> {
    shop.core.ask(Adjust { adjustments }).await.map(drop)
}

fn new_order(shop: &Shop) -> OrderId {
    OrderId::new(shop.core.clock.now().unix_ms(), Entropy.bytes())
}

fn ask(shop: &Shop, order: OrderId, lines: &[(SkuNo, u32)]) -> HoldAsk {
    let merchant = MerchantId::from_u128(1);
    HoldAsk {
        order,
        lines: lines
            .iter()
            .map(|(sku_no, quantity)| HoldLine { sku_no: *sku_no, quantity: *quantity, merchant })
            .collect(),
        ask_at: shop.core.clock.now().plus_min(10),
    }
}

#[tokio::test]
async fn a_count_below_what_is_promised_is_short_until_it_is_counted_or_given_back() {
    let shop = Shop::open().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(BREAD, 4)], "k", "card_ok").await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    shop.count(BREAD, 1, 1 - ON_HAND, "shrunk").await.unwrap();
    let level = shop.level(BREAD).await;
    assert_eq!((level.posted, level.short, level.on_hand), (4, 3, ON_HAND + 1));
    assert_eq!(level.available, ON_HAND, "nothing of the other shelf is lost");
    let exceptions = || async { shop.core.ask(Exceptions::default()).await.unwrap().items };
    let open = exceptions().await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].sku_no, open[0].location, open[0].short), (shop.skus[BREAD], LocationId::from_u128(1), 3));
    shop.count(BREAD, 1, 1, "found-one").await.unwrap();
    assert_eq!(shop.level(BREAD).await.short, 2, "a count closes it");
    assert_eq!(exceptions().await[0].short, 2, "the same exception, of what is missing now");
    let cancel = Cancel { order: order.id, key: "c".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    eventually("the stock", || async { (shop.level(BREAD).await.posted == 0).then_some(()) }).await;
    assert_eq!(shop.level(BREAD).await.short, 0, "what is given back closes it too");
    assert_eq!(exceptions().await, [], "and its exception");
    let seller = merchant_token(&shop, 1);
    let refused = shop.core.ask_as(Some(&seller), Exceptions::default()).await;
    assert_eq!(code(&refused), Some(Code::Forbidden), "for admins");
    let refused = shop.count(BREAD, 1, -3, "more than there is").await;
    assert_eq!(code(&refused), Some(Code::Conflict));
    shop.close().await;
}

#[tokio::test]
async fn a_reference_is_one_change_of_its_merchant() {
    let shop = Shop::open().await;
    let before = (shop.level(BREAD).await.on_hand, shop.level(LAMP).await.on_hand);
    let delivery = counted(&shop, BREAD, 1, 7, "delivery-1");
    adjust(&shop, vec![delivery.clone(), delivery.clone()]).await.unwrap();
    adjust(&shop, vec![delivery.clone()]).await.unwrap();
    assert_eq!(shop.level(BREAD).await.on_hand, before.0 + 7, "three times is once");
    adjust(&shop, vec![counted(&shop, LAMP, 2, 5, "delivery-1")]).await.unwrap();
    assert_eq!(shop.level(LAMP).await.on_hand, before.1 + 5, "another merchant's words are its own");
    let other = Adjustment { delta: 8, ..delivery.clone() };
    assert_eq!(code(&adjust(&shop, vec![other.clone()]).await), Some(Code::IdempotencyKeyReused));
    let fresh = counted(&shop, WATER, 1, 1, "fresh");
    let twins = vec![fresh.clone(), Adjustment { delta: 2, ..fresh }];
    assert_eq!(code(&adjust(&shop, twins).await), Some(Code::IdempotencyKeyReused));
    let odd = Adjustment { reference: "a\0b".into(), ..delivery };
    assert_eq!(code(&adjust(&shop, vec![odd]).await), Some(Code::ValidationFailed));
    assert_eq!(shop.level(BREAD).await.on_hand, before.0 + 7);
    shop.close().await;
}

#[tokio::test]
async fn a_merchant_counts_and_sees_its_own_shelf_only() {
    let shop = Shop::open().await;
    let seller = merchant_token(&shop, 2);
    let as_seller = |adjustment: Adjustment| {
        let (shop, seller) = (&shop, &seller);
        async move { shop.core.ask_as(Some(seller), Adjust { adjustments: vec![adjustment] }).await }
    };
    let location = bodega_domain::message::inventory::Location {
        id: LocationId::from_u128(3),
        name: "Shelf 3".into(),
        priority: 0,
    };
    shop.core.ask(PutLocations { locations: vec![location.clone()] }).await.unwrap();
    let empty_shelf = |sku, merchant| Adjustment {
        location: LocationId::from_u128(3),
        ..counted(&shop, sku, merchant, 9, &format!("{sku}:{merchant}"))
    };
    assert_eq!(code(&as_seller(empty_shelf(BREAD, 1)).await), Some(Code::Forbidden), "in another's name");
    assert_eq!(code(&as_seller(empty_shelf(BREAD, 2)).await), Some(Code::Forbidden), "another's article");
    let unknown = Adjustment { sku_no: 999_999, ..empty_shelf(LAMP, 2) };
    assert_eq!(code(&as_seller(unknown).await), Some(Code::Forbidden), "an article that nobody sells");
    as_seller(empty_shelf(LAMP, 2)).await.unwrap();
    assert_eq!(shop.level(LAMP).await.on_hand, 2 * ON_HAND + 9);
    assert_eq!(shop.level(BREAD).await.on_hand, 2 * ON_HAND);

    let own = shop.core.ask_as(Some(&seller), Levels::default()).await.unwrap().items;
    assert!(own.len() == 3 && own.iter().all(|level| level.sku_no == shop.skus[LAMP]), "{own:?}");
    let others = Levels { merchant: Some(MerchantId::from_u128(1)), ..Levels::default() };
    assert_eq!(code(&shop.core.ask_as(Some(&seller), others).await), Some(Code::Forbidden));
    let put = PutLocations { locations: vec![location] };
    assert_eq!(code(&shop.core.ask_as(Some(&seller), put).await), Some(Code::Forbidden));
    let guest = shop.core.ask_as(Some(&shop.guest().token), Levels::default()).await;
    assert_eq!(code(&guest), Some(Code::Unauthenticated));
    shop.close().await;
}

#[tokio::test]
async fn levels_come_in_pages_without_gaps_or_repeats() {
    let shop = Shop::open().await;
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = shop.core.ask(Levels { limit: Some(2), cursor, ..Levels::default() }).await.unwrap();
        for level in &page.items {
            assert!(seen.insert((level.sku_no, level.location)), "{level:?} twice");
        }
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (6, 3));
    let odd = shop.core.ask(Levels { cursor: Some("nonsense".into()), ..Levels::default() }).await;
    assert_eq!(code(&odd), Some(Code::BadRequest));
    shop.close().await;
}

#[tokio::test]
async fn what_was_given_back_stays_given_back() {
    let shop = Shop::open().await;
    let (never, held, posted) = (new_order(&shop), new_order(&shop), new_order(&shop));
    let bread = shop.skus[BREAD];
    let asks = vec![ask(&shop, held, &[(bread, 2)]), ask(&shop, posted, &[(bread, 3)])];
    assert_eq!(shop.core.ask(Hold { asks }).await.unwrap(), [HoldVerdict::Held, HoldVerdict::Held]);
    assert_eq!(shop.core.ask(Post { orders: vec![posted, posted] }).await.unwrap(), [HoldState::Posted; 2]);
    for _ in 0..2 {
        let states = shop.core.ask(Void { orders: vec![never, held, posted] }).await.unwrap();
        assert_eq!(states, [HoldState::Voided, HoldState::Voided, HoldState::Posted], "a void leaves posted stock");
        let level = shop.level(BREAD).await;
        assert_eq!((level.pending, level.posted), (0, 3));
    }
    let late = vec![ask(&shop, never, &[(bread, 1)]), ask(&shop, held, &[(bread, 2)])];
    assert_eq!(shop.core.ask(Hold { asks: late }).await.unwrap(), [HoldVerdict::Voided, HoldVerdict::Voided]);
    assert_eq!(shop.core.ask(Post { orders: vec![never, held] }).await.unwrap(), [HoldState::Voided; 2]);
    for _ in 0..2 {
        assert_eq!(shop.core.ask(Unpost { orders: vec![posted] }).await.unwrap(), [HoldState::Voided]);
    }
    let level = shop.level(BREAD).await;
    assert_eq!((level.pending, level.posted, level.available), (0, 0, 2 * ON_HAND));
    shop.close().await;
}

#[tokio::test]
async fn a_hold_that_meets_its_own_void_never_survives_it() {
    let shop = Shop::open().await;
    for _ in 0..4 {
        let orders: Vec<OrderId> = (0..24).map(|_| new_order(&shop)).collect();
        let (bread, water) = (shop.skus[BREAD], shop.skus[WATER]);
        let asks = orders.iter().map(|order| ask(&shop, *order, &[(bread, 1), (water, 1)])).collect();
        let backwards: Vec<OrderId> = orders.iter().rev().copied().collect();
        let (holds, one, other) = futures::join!(
            shop.core.ask(Hold { asks }),
            shop.core.ask(Void { orders: backwards }),
            shop.core.ask(Void { orders: orders[..12].to_vec() }),
        );
        holds.unwrap();
        assert!(one.unwrap().into_iter().chain(other.unwrap()).all(|state| state == HoldState::Voided));
        for sku in [BREAD, WATER] {
            let level = shop.level(sku).await;
            assert_eq!((level.pending, level.posted), (0, 0), "{sku}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn lines_of_one_article_are_added_up_and_both_shelves_are_used() {
    let shop = Shop::open().await;
    let bread = shop.skus[BREAD];
    let (greedy, fitting) = (new_order(&shop), new_order(&shop));
    let asks =
        vec![ask(&shop, greedy, &[(bread, 600), (bread, 600)]), ask(&shop, fitting, &[(bread, 400), (bread, 600)])];
    let short = HoldVerdict::Short(vec![Shortage { sku_no: bread, wanted: 1_200, available: 1_000 }]);
    assert_eq!(shop.core.ask(Hold { asks }).await.unwrap(), [short, HoldVerdict::Held]);
    assert_eq!((shop.level(BREAD).await.pending, shop.level(BREAD).await.available), (1_000, 0));
    assert_eq!(shop.hold(greedy).await, HoldState::None);
    shop.close().await;
}
