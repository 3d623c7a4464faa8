//! Merchants who take their money as their goods leave: the order is paid with the money still at the bank, and each parcel
//! takes its own.

use bodega_domain::{
    Code,
    id::{MerchantId, OrderId},
    message::{
        inventory::HoldState,
        order::{Cancel, Sagas},
        payment::{CaptureAt, SetPolicy},
    },
    order::{Fulfilment, OrderStatus, OrderView, PaymentStatus},
};
use bodega_test_core::code;
use bodega_tests::eventually;
use serde_json::json;

use crate::{
    fulfilment::{lines, parcel, staff},
    shop::{BREAD, Guest, LAMP, ON_HAND, Shop, WATER, history},
};

impl Shop {
    /// This merchant's money is taken as its goods leave.
    pub(crate) async fn take_as_goods_leave(&self, merchant: u128) {
        let policy = SetPolicy {
            merchant: MerchantId::from_u128(merchant),
            late_money: None,
            capture: Some(CaptureAt::Shipment),
        };
        self.core.ask(policy).await.unwrap();
    }

    async fn lapse(&self, order: OrderId) {
        let intent = self.intent_of(order).await;
        self.control(reqwest::Method::POST, &format!("intents/{intent}/lapse"), json!({})).await;
    }
}

/// Taken, still waiting, given up: minor units.
fn money(order: &OrderView) -> (i64, i64, i64) {
    let waiting = order.payment.waiting().map_or(0, |waiting| waiting.amount());
    let forgone = order.payment.at_shipment.iter().map(|part| part.forgone.amount()).sum();
    (order.payment.amounts.captured.amount(), waiting, forgone)
}

async fn until_money(shop: &Shop, guest: &Guest, order: OrderId, expected: (i64, i64, i64)) -> OrderView {
    eventually(&format!("{expected:?} to be taken, waiting, given up"), || async {
        Some(shop.get(guest, order).await).filter(|order| money(order) == expected)
    })
    .await
}

#[tokio::test]
async fn each_parcel_takes_what_its_goods_cost() {
    let shop = Shop::open().await;
    shop.take_as_goods_leave(1).await;
    shop.take_as_goods_leave(2).await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let order = shop.paid(&guest, &[(BREAD, 3), (WATER, 2), (LAMP, 1)], "k").await;
    let total = order.totals.total.amount();
    assert_eq!((order.payment.status, money(&order)), (PaymentStatus::Authorised, (0, total, 0)));
    assert!(order.payment.capture_before.is_some());

    let part = |of: u128| {
        let merchant = MerchantId::from_u128(of);
        order.parts.iter().find(|part| part.merchant == merchant).unwrap().total.amount()
    };
    let first = shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[(BREAD, 2)])).await.unwrap();
    assert_eq!((first.status, first.fulfilment), (OrderStatus::InFulfilment, Fulfilment::Partial));
    // Two of three breads, and the first parcel takes shipping along.
    let shipping = part(1) - order.lines[0].total.amount() - order.lines[1].total.amount();
    let cost = order.lines[0].total.amount() * 2 / 3 + shipping;
    let seen = until_money(&shop, &guest, order.id, (cost, total - cost, 0)).await;
    assert_eq!(seen.payment.status, PaymentStatus::PartiallyCaptured);
    let own = shop.core.ask_as(Some(&bread), bodega_domain::message::order::Get { order: order.id }).await.unwrap();
    assert_eq!(money(&own), (cost, part(1) - cost, 0), "a merchant sees the own money only");
    let other = shop.core.ask_as(Some(&lamps), bodega_domain::message::order::Get { order: order.id }).await.unwrap();
    assert_eq!(money(&other), (0, part(2), 0));

    let again = shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[(BREAD, 2)])).await.unwrap();
    assert_eq!(again.shipments.len(), 1, "the same key again is the same parcel, and takes nothing more");
    shop.core.ask_as(Some(&bread), parcel(order.id, "p2", &[])).await.unwrap();
    shop.core.ask_as(Some(&lamps), parcel(order.id, "p3", &[])).await.unwrap();
    let all = until_money(&shop, &guest, order.id, (total, 0, 0)).await;
    assert_eq!((all.payment.status, all.fulfilment), (PaymentStatus::Captured, Fulfilment::Shipped));
    assert!(all.payment.capture_before.is_none());
    shop.close().await;
}

#[tokio::test]
async fn beside_a_merchant_who_is_paid_at_once_only_the_other_one_waits() {
    let shop = Shop::open().await;
    shop.take_as_goods_leave(2).await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let order = shop.paid(&guest, &[(BREAD, 1), (LAMP, 1)], "k").await;
    let total = order.totals.total.amount();
    let [own, waits] = [1, 2].map(|n| {
        let merchant = MerchantId::from_u128(n);
        order.parts.iter().find(|part| part.merchant == merchant).unwrap().total.amount()
    });
    assert_eq!(money(&order), (own, waits, 0), "paid means: all that is due before the goods leave");
    let seen = shop.core.ask_as(Some(&bread), bodega_domain::message::order::Get { order: order.id }).await.unwrap();
    assert_eq!(money(&seen), (own, 0, 0));
    shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[])).await.unwrap();
    until_money(&shop, &guest, order.id, (own, waits, 0)).await;
    shop.core.ask_as(Some(&lamps), parcel(order.id, "p2", &[])).await.unwrap();
    until_money(&shop, &guest, order.id, (total, 0, 0)).await;
    shop.close().await;
}

#[tokio::test]
async fn what_is_called_off_before_it_leaves_is_never_taken() {
    let shop = Shop::open().await;
    shop.take_as_goods_leave(1).await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let order = shop.paid(&guest, &[(BREAD, 3), (WATER, 1)], "k").await;
    let (total, price) = (order.totals.total.amount(), order.lines[0].total.amount());
    let off = |what: &[(&str, u32)], key: &str| Cancel {
        order: order.id,
        key: key.into(),
        lines: lines(what),
        refund: None,
        reason: Some("changed_mind".into()),
    };
    shop.core.ask_as(Some(&guest.token), off(&[(BREAD, 1)], "c1")).await.unwrap();
    let one = price - price * 2 / 3;
    let seen = until_money(&shop, &guest, order.id, (0, total - one, one)).await;
    assert_eq!(seen.payment.amounts.refunded.amount(), 0, "nothing was taken, so nothing goes back");
    shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[(BREAD, 2)])).await.unwrap();
    let water = order.lines[1].total.amount();
    until_money(&shop, &guest, order.id, (total - one - water, water, one)).await;
    // With the last pieces nothing is left to take, and the bank lets go of it.
    shop.core.ask_as(Some(&guest.token), off(&[(WATER, 1)], "c2")).await.unwrap();
    let done = until_money(&shop, &guest, order.id, (total - one - water, 0, one + water)).await;
    assert_eq!((done.payment.status, done.fulfilment), (PaymentStatus::Captured, Fulfilment::Shipped));

    let whole = shop.paid(&guest, &[(WATER, 2)], "k2").await;
    let cancel = Cancel { order: whole.id, key: "c3".into(), lines: Vec::new(), refund: None, reason: None };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    let ended = shop.until_status(&guest, whole.id, OrderStatus::Cancelled).await;
    assert_eq!(ended.payment.amounts.captured.amount(), 0);
    eventually("the goods to be free again", || async {
        (shop.hold(whole.id).await == HoldState::Voided).then_some(())
    })
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_whose_money_the_bank_keeps_stays_here() {
    let shop = Shop::open().await;
    shop.take_as_goods_leave(1).await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let refused = shop.buy(&guest, &[(BREAD, 2)], "k1", "card_capture_fails").await;
    let refused = shop.until_status(&guest, refused.id, OrderStatus::Paid).await;
    let answer = shop.core.ask_as(Some(&bread), parcel(refused.id, "p1", &[(BREAD, 1)])).await;
    assert_eq!(code(&answer), Some(Code::PaymentStateConflict), "{answer:?}");
    let level = shop.level(BREAD).await;
    assert_eq!((level.on_hand, level.posted), (2 * ON_HAND, 2), "it is on its shelf, and still the order's");
    let seen = shop.get(&guest, refused.id).await;
    assert_eq!((seen.status, seen.fulfilment), (OrderStatus::Paid, Fulfilment::None));
    assert!(history(&shop, &guest, refused.id).await.contains(&"shipment_failed".to_owned()));
    assert!(shop.core.ask(Sagas::default()).await.unwrap().items.is_empty(), "nothing waits for a person");

    let order = shop.paid(&guest, &[(BREAD, 1)], "k2").await;
    shop.lapse(order.id).await;
    eventually("the word that the bank has let go", || async {
        (shop.get(&guest, order.id).await.payment.status == PaymentStatus::Cancelled).then_some(())
    })
    .await;
    let answer = shop.core.ask_as(Some(&bread), parcel(order.id, "p2", &[])).await;
    assert_eq!(code(&answer), Some(Code::OrderStateConflict), "{answer:?}");
    // All that is left is to call them off.
    for id in [refused.id, order.id] {
        let cancel = Cancel { order: id, key: format!("c {id}"), lines: Vec::new(), refund: None, reason: None };
        shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
        shop.until_status(&guest, id, OrderStatus::Cancelled).await;
    }
    shop.close().await;
}
