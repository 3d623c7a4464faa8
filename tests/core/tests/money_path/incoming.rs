//! Goods that are on their way, and what merchants are told when they have to order anew.

use bodega_domain::{
    Code, Failure,
    id::{LocationId, MerchantId},
    message::inventory::{
        Announce, Announced, GiveUpIncoming, Incoming, IncomingView, LowStock, LowStockView, Receive, SetReorderPoint,
        StockAlert, StockAlerts, StockLevel,
    },
};
use bodega_platform::sqlx;
use bodega_test_core::{code, fields};

use crate::{
    fulfilment::staff,
    shop::{BREAD, LAMP, ON_HAND, Shop, WATER},
};

fn seller() -> MerchantId {
    MerchantId::from_u128(1)
}

impl Shop {
    fn goods(&self, sku: &str, quantity: u32, reference: &str) -> Announced {
        let (location, merchant, expected_on) = (LocationId::from_u128(2), seller(), Some("2026-12-24".to_owned()));
        Announced { sku_no: self.skus[sku], location, merchant, quantity, expected_on, reference: reference.into() }
    }

    async fn announce(&self, token: &str, goods: Vec<Announced>) -> Result<Vec<IncomingView>, Failure> {
        self.core.ask_as(Some(token), Announce { goods }).await
    }

    async fn come(&self, token: &str, of: &IncomingView, quantity: u32, key: &str) -> Result<IncomingView, Failure> {
        self.core.ask_as(Some(token), Receive { incoming: of.id, quantity, last: false, key: key.into() }).await
    }

    async fn low(&self, token: &str) -> Vec<LowStockView> {
        self.core.ask_as(Some(token), LowStock::default()).await.unwrap().items
    }

    async fn reorder_at(&self, token: &str, sku: &str, units: i64) -> Result<(), Failure> {
        let ask = SetReorderPoint { sku_no: self.skus[sku], merchant: seller(), units };
        self.core.ask_as(Some(token), ask).await.map(drop)
    }

    /// What merchants were told of a SKU, in that order.
    async fn told(&self, sku: &str) -> Vec<StockLevel> {
        let events: Vec<String> = sqlx::query_scalar(
            "select (payload -> 'data')::text from outbox where subject = 'evt.inventory.v1.stock_alerts' order by seq",
        )
        .fetch_all(&self.core.pool("inventory").await)
        .await
        .unwrap();
        let alerts = events.iter().flat_map(|event| serde_json::from_str::<StockAlerts>(event).unwrap().alerts);
        let own: Vec<StockAlert> = alerts.filter(|alert| alert.sku_no == self.skus[sku]).collect();
        let versions: Vec<i64> = own.iter().map(|alert| alert.version).collect();
        assert_eq!(versions, (1..).take(own.len()).collect::<Vec<i64>>(), "each word has its number");
        own.into_iter().map(|alert| alert.level).collect()
    }
}

#[tokio::test]
async fn goods_on_their_way_are_shown_and_sold_only_once_they_are_there() {
    let shop = Shop::open().await;
    let (bread, lamps) = (staff(&shop, 1), staff(&shop, 2));
    let announced = shop.announce(&bread, vec![shop.goods(BREAD, 30, "po-1"), shop.goods(WATER, 5, "po-2")]).await;
    let announced = announced.unwrap();
    let again = shop.announce(&bread, vec![shop.goods(BREAD, 30, "po-1")]).await.unwrap();
    assert_eq!(again[0].id, announced[0].id, "the same reference is the same goods");
    assert_eq!(
        code(&shop.announce(&bread, vec![shop.goods(BREAD, 31, "po-1")]).await),
        Some(Code::IdempotencyKeyReused)
    );
    let row = async || shop.level_at(BREAD, 2).await;
    let level = row().await;
    assert_eq!((level.incoming, level.on_hand, level.available), (30, ON_HAND, ON_HAND));

    let first = shop.come(&bread, &announced[0], 12, "van").await.unwrap();
    assert_eq!((first.received, first.closed_at), (12, None));
    assert_eq!(shop.come(&bread, &announced[0], 12, "van").await.unwrap(), first, "the same key is once");
    assert_eq!(code(&shop.come(&bread, &announced[0], 13, "van").await), Some(Code::IdempotencyKeyReused));
    let level = row().await;
    assert_eq!((level.incoming, level.on_hand), (18, ON_HAND + 12));
    // More than was announced: what has come has come, and nothing of it is expected any more.
    let rest = shop.come(&bread, &announced[0], 20, "cart").await.unwrap();
    assert_eq!((rest.received, rest.closed_at.is_some()), (32, true));
    assert_eq!((row().await.incoming, row().await.on_hand), (0, ON_HAND + 32));
    // Many at once with one key are one, and many with their own are many.
    let same = futures::future::join_all((0..8).map(|_| shop.come(&bread, &announced[1], 1, "same"))).await;
    assert!(same.iter().all(Result::is_ok));
    let keys: Vec<String> = (0..4).map(|n| format!("k{n}")).collect();
    futures::future::join_all(keys.iter().map(|key| shop.come(&bread, &announced[1], 1, key))).await;
    let water = shop.level_at(WATER, 2).await;
    assert_eq!((water.on_hand, water.incoming), (ON_HAND + 5, 0));

    // Given up, it is expected no more, and comes nevertheless if it comes.
    let lost = shop.announce(&bread, vec![shop.goods(WATER, 9, "po-3")]).await.unwrap().remove(0);
    let give_up = GiveUpIncoming { incoming: lost.id };
    let closed = shop.core.ask_as(Some(&bread), give_up).await.unwrap();
    assert_eq!(shop.core.ask_as(Some(&bread), give_up).await.unwrap(), closed);
    assert_eq!(shop.level_at(WATER, 2).await.incoming, 0);
    assert_eq!(shop.come(&bread, &lost, 2, "late").await.unwrap().received, 2);
    assert_eq!(shop.level_at(WATER, 2).await.on_hand, ON_HAND + 7);
    let open = shop.core.ask_as(Some(&bread), Incoming::default()).await.unwrap().items;
    assert!(open.is_empty(), "{open:?}");
    let all = shop.core.ask_as(Some(&bread), Incoming { all: true, limit: Some(2), ..Incoming::default() }).await;
    let all = all.unwrap();
    let rest = Incoming { all: true, cursor: all.next_cursor, ..Incoming::default() };
    let rest = shop.core.ask_as(Some(&bread), rest).await.unwrap();
    let references: Vec<&str> = all.items.iter().chain(&rest.items).map(|one| one.reference.as_str()).collect();
    assert_eq!((references[0], references.len(), rest.next_cursor), ("po-3", 3, None));

    // Another merchant's are none at all.
    assert!(
        shop.core.ask_as(Some(&lamps), Incoming { all: true, ..Incoming::default() }).await.unwrap().items.is_empty()
    );
    assert_eq!(code(&shop.come(&lamps, &lost, 1, "theirs").await), Some(Code::NotFound));
    assert_eq!(code(&shop.core.ask_as(Some(&lamps), give_up).await), Some(Code::NotFound));
    assert_eq!(code(&shop.announce(&lamps, vec![shop.goods(BREAD, 1, "x")]).await), Some(Code::Forbidden));
    assert!(shop.announce(&shop.guest().token, vec![shop.goods(BREAD, 1, "x")]).await.is_err());
    let sold_by_another = Announced { sku_no: shop.skus[LAMP], ..shop.goods(BREAD, 1, "x") };
    assert_eq!(code(&shop.announce(&bread, vec![sold_by_another]).await), Some(Code::Forbidden));
    shop.close().await;
}

#[tokio::test]
async fn what_cannot_be_announced_or_received_changes_nothing() {
    let shop = Shop::open().await;
    let bread = staff(&shop, 1);
    let wrong = vec![
        shop.goods(BREAD, 0, "a"),
        Announced { expected_on: Some("2026-02-30".into()), ..shop.goods(BREAD, 1, "a") },
        shop.goods(BREAD, 1, ""),
        shop.goods(BREAD, u32::MAX, "b"),
    ];
    let pointers: Vec<String> = fields(&shop.announce(&bread, wrong).await).into_iter().map(|(at, _)| at).collect();
    assert_eq!(
        pointers,
        ["/goods/0/quantity", "/goods/1/reference", "/goods/1/expected_on", "/goods/2/reference", "/goods/3/quantity"]
    );
    let nowhere = Announced { location: LocationId::from_u128(9), ..shop.goods(BREAD, 1, "a") };
    assert_eq!(
        fields(&shop.announce(&bread, vec![nowhere]).await),
        [("/goods/0/location".to_owned(), "unknown".to_owned())]
    );
    assert!(shop.announce(&bread, Vec::new()).await.is_err());
    let known = shop.announce(&bread, vec![shop.goods(BREAD, 3, "a")]).await.unwrap().remove(0);
    assert_eq!(code(&shop.come(&bread, &known, 0, "k").await), Some(Code::ValidationFailed));
    assert_eq!(code(&shop.come(&bread, &known, 1, "").await), Some(Code::IdempotencyKeyMissing));
    assert_eq!(shop.level_at(BREAD, 2).await.on_hand, ON_HAND);
    // Nobody else books under the name of what was announced.
    let sneaky = shop.count(BREAD, 2, 1, &format!("incoming:{}:k", known.id)).await;
    assert_eq!(fields(&sneaky), [("/adjustments/0/reference".to_owned(), "reserved".to_owned())]);
    shop.close().await;
}

#[tokio::test]
async fn a_merchant_is_told_when_to_order_anew_when_nothing_is_left_and_when_it_is_back() {
    use StockLevel::{Enough, Low, Out};
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    assert!(shop.low(&bread).await.is_empty());
    shop.reorder_at(&bread, BREAD, 100).await.unwrap();
    shop.count(BREAD, 1, -ON_HAND, "empty").await.unwrap();
    shop.count(BREAD, 2, 105 - ON_HAND, "nearly").await.unwrap();
    assert!(shop.told(BREAD).await.is_empty(), "105 are more than 100");
    // An order takes it below; what becomes of the order brings it back.
    shop.paid(&guest, &[(BREAD, 5)], "k").await;
    assert_eq!(shop.told(BREAD).await, [Low]);
    let low = shop.low(&bread).await;
    assert_eq!((low.len(), low[0].level, low[0].available, low[0].reorder_point), (1, Low, 100, 100));
    shop.announce(&bread, vec![shop.goods(BREAD, 40, "po")]).await.unwrap();
    let low = shop.low(&bread).await;
    assert_eq!((low[0].incoming, low[0].expected_on.as_deref()), (40, Some("2026-12-24")));
    shop.count(BREAD, 2, -100, "gone").await.unwrap();
    assert_eq!((shop.told(BREAD).await, shop.low(&bread).await[0].level), (vec![Low, Out], Out));
    shop.count(BREAD, 1, 101, "new").await.unwrap();
    assert_eq!(shop.told(BREAD).await, [Low, Out, Enough]);
    assert!(shop.low(&bread).await.is_empty());
    // Another point, another answer; a shelf that is new has the point of the others.
    shop.reorder_at(&bread, BREAD, 200).await.unwrap();
    shop.reorder_at(&bread, BREAD, 200).await.unwrap();
    assert_eq!(shop.told(BREAD).await, [Low, Out, Enough, Low]);
    assert!(shop.low(&lamps).await.is_empty(), "another merchant's is none of theirs");
    assert_eq!(code(&shop.reorder_at(&lamps, BREAD, 1).await), Some(Code::Forbidden));
    assert_eq!(code(&shop.reorder_at(&bread, LAMP, 1).await), Some(Code::SkuNotFound));
    assert_eq!(code(&shop.reorder_at(&bread, BREAD, -1).await), Some(Code::ValidationFailed));
    let changes: Vec<(i64, String)> = sqlx::query_as("select reorder_point, who from reorder_change order by n")
        .fetch_all(&shop.core.pool("inventory").await)
        .await
        .unwrap();
    assert_eq!(changes.iter().map(|(units, _)| *units).collect::<Vec<_>>(), [100, 200]);
    assert!(changes.iter().all(|(_, who)| who.starts_with("acc_")), "{changes:?}");
    shop.close().await;
}
