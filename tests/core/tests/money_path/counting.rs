//! Shelves are counted, goods are carried from one to another, some are kept back; on hand stays the sum of its movements.

use bodega_domain::{
    Code, Failure,
    id::LocationId,
    message::inventory::{Adjust, Adjustment, Count, CountAnswer, Counted, Levels, SetSafety, Transfer},
};
use bodega_test_core::{code, fields};

use crate::{
    fulfilment::{parcel, staff},
    shop::{BREAD, LAMP, ON_HAND, Shop, WATER},
};

fn place(n: u128) -> LocationId {
    LocationId::from_u128(n)
}

impl Shop {
    fn counted(&self, sku: &str, at: u128, on_hand: i64) -> Counted {
        Counted { sku_no: self.skus[sku], location: place(at), on_hand }
    }

    async fn take_in(&self, token: &str, key: &str, counts: Vec<Counted>) -> Result<CountAnswer, Failure> {
        self.core.ask_as(Some(token), Count { counts, key: key.into() }).await
    }

    fn van(&self, sku: &str, quantity: u32, reference: &str) -> Transfer {
        let (from, to) = (place(1), place(2));
        let merchant = bodega_domain::id::MerchantId::from_u128(1);
        Transfer { sku_no: self.skus[sku], merchant, from, to, quantity, reference: reference.into() }
    }

    /// On hand at each of the two places.
    async fn on_hand(&self, sku: &str) -> Vec<i64> {
        let levels = Levels { sku_nos: vec![self.skus[sku]], ..Levels::default() };
        self.core.ask(levels).await.unwrap().items.into_iter().map(|level| level.on_hand).collect()
    }
}

#[tokio::test]
async fn a_count_is_taken_in_once_whatever_is_sold_meanwhile() {
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let table = vec![shop.counted(BREAD, 1, 20), shop.counted(BREAD, 2, ON_HAND), shop.counted(WATER, 1, 0)];
    let first = shop.take_in(&bread, "monday", table.clone()).await.unwrap();
    assert_eq!((first.changed, first.same), (2, 1));
    assert_eq!((shop.on_hand(BREAD).await, shop.on_hand(WATER).await), (vec![20, ON_HAND], vec![0, ON_HAND]));

    let order = shop.paid(&guest, &[(BREAD, 5)], "k").await;
    shop.core.ask_as(Some(&bread), parcel(order.id, "p", &[])).await.unwrap();
    assert_eq!(shop.on_hand(BREAD).await, [15, ON_HAND]);
    assert_eq!(shop.take_in(&bread, "monday", table.clone()).await.unwrap(), first, "the same key is the same count");
    assert_eq!(shop.on_hand(BREAD).await, [15, ON_HAND], "and what was sold since stays sold");
    let other = vec![shop.counted(BREAD, 1, 21)];
    assert_eq!(code(&shop.take_in(&bread, "monday", other).await), Some(Code::IdempotencyKeyReused));

    // All or nothing, and nobody counts another's shelf.
    let mixed = vec![shop.counted(BREAD, 1, 99), shop.counted(LAMP, 1, 0)];
    let refused = shop.take_in(&bread, "mixed", mixed.clone()).await;
    assert_eq!(fields(&refused), [("/counts/1".to_owned(), "unknown".to_owned())]);
    assert_eq!((shop.on_hand(BREAD).await, shop.on_hand(LAMP).await), (vec![15, ON_HAND], vec![ON_HAND, ON_HAND]));
    assert!(shop.take_in(&lamps, "mixed", mixed).await.is_err());
    let wrong = vec![shop.counted(BREAD, 1, -1), shop.counted(BREAD, 1, 5), shop.counted(BREAD, 9, 5)];
    let pointers: Vec<String> = fields(&shop.take_in(&bread, "w", wrong).await).into_iter().map(|(at, _)| at).collect();
    assert_eq!(pointers, ["/counts/0/on_hand", "/counts/1"]);
    assert!(shop.take_in(&bread, "w", Vec::new()).await.is_err());
    assert!(shop.take_in(&guest.token, "w", table.clone()).await.is_err());
    assert!(shop.take_in(&bread, "", table).await.is_err());
    shop.close().await;
}

#[tokio::test]
async fn a_count_below_what_is_promised_is_short_and_one_above_ends_that() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    shop.paid(&guest, &[(BREAD, 5)], "k").await;
    shop.take_in(&bread, "low", vec![shop.counted(BREAD, 1, 2)]).await.unwrap();
    assert_eq!(shop.level(BREAD).await.short, 3);
    shop.take_in(&bread, "right", vec![shop.counted(BREAD, 1, 5)]).await.unwrap();
    assert_eq!(shop.level(BREAD).await.short, 0);
    shop.close().await;
}

#[tokio::test]
async fn only_what_is_promised_to_nobody_is_carried_and_once() {
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    shop.paid(&guest, &[(BREAD, 10)], "k").await;
    let free = u32::try_from(ON_HAND - 10).unwrap();
    let ask = async |token: &str, transfer: Transfer| shop.core.ask_as(Some(token), transfer).await;
    assert_eq!(code(&ask(&bread, shop.van(BREAD, free + 1, "v1")).await), Some(Code::OutOfStock));
    ask(&bread, shop.van(BREAD, free, "v1")).await.unwrap();
    ask(&bread, shop.van(BREAD, free, "v1")).await.unwrap();
    assert_eq!(shop.on_hand(BREAD).await, [10, 2 * ON_HAND - 10], "once");
    assert_eq!(code(&ask(&bread, shop.van(BREAD, 1, "v1")).await), Some(Code::IdempotencyKeyReused));
    assert_eq!(code(&ask(&lamps, shop.van(BREAD, 1, "v2")).await), Some(Code::Forbidden));
    let nowhere = Transfer { to: place(9), ..shop.van(BREAD, 0, "") };
    let pointers: Vec<String> = fields(&ask(&bread, nowhere).await).into_iter().map(|(at, _)| at).collect();
    assert_eq!(pointers, ["/quantity", "/reference", "/to"]);
    let sneaky = Adjustment {
        sku_no: shop.skus[BREAD],
        location: place(1),
        merchant: bodega_domain::id::MerchantId::from_u128(1),
        delta: 1,
        reason: "count".into(),
        reference: "transfer:v3:out".into(),
    };
    let reserved = shop.core.ask_as(Some(&bread), Adjust { adjustments: vec![sneaky] }).await;
    assert_eq!(fields(&reserved), [("/adjustments/0/reference".to_owned(), "reserved".to_owned())]);
    // Many vans at once never carry what is not there.
    let vans = (0..8).map(|n| {
        shop.core
            .ask_as(Some(&bread), Transfer { from: place(2), to: place(1), ..shop.van(BREAD, 300, &format!("b{n}")) })
    });
    let carried = futures::future::join_all(vans).await.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((carried, shop.on_hand(BREAD).await.iter().sum::<i64>()), (3, 2 * ON_HAND));
    shop.close().await;
}

#[tokio::test]
async fn what_is_kept_back_is_sold_to_nobody() {
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let merchant = bodega_domain::id::MerchantId::from_u128(1);
    let keep = |at: u128, safety: i64| SetSafety { sku_no: shop.skus[BREAD], location: place(at), merchant, safety };
    for at in [1, 2] {
        shop.core.ask_as(Some(&bread), keep(at, ON_HAND - 1)).await.unwrap();
    }
    assert_eq!(shop.level(BREAD).await.available, 2);
    let quote = shop.quote(&guest, &[(BREAD, 3)]).await;
    let sold_out = shop.place(&guest, shop.order(&quote, "k", "card_ok")).await;
    assert_eq!(code(&sold_out), Some(Code::OutOfStock));
    shop.paid(&guest, &[(BREAD, 2)], "k2").await;
    shop.core.ask_as(Some(&bread), keep(1, 0)).await.unwrap();
    assert_eq!(shop.level(BREAD).await.available, ON_HAND - 1);
    assert_eq!(code(&shop.core.ask_as(Some(&lamps), keep(1, 5)).await), Some(Code::Forbidden));
    assert_eq!(code(&shop.core.ask_as(Some(&bread), keep(1, -5)).await), Some(Code::ValidationFailed));
    assert_eq!(code(&shop.core.ask_as(Some(&bread), keep(7, 5)).await), Some(Code::SkuNotFound));
    shop.close().await;
}
