//! The life of an order after it is paid: parcels, pieces that are called off, goods that come back, on the real services.

use bodega_domain::{
    Code, Currency, Failure, Money,
    id::{LocationId, MerchantId, OrderId},
    message::{
        order::{
            Cancel, DecideReturn, Deliver, Delivery, ReceiveReturn, Received, Return, ReturnVerdict, Returns, Sagas,
            Ship, Track,
        },
        payment::{Balances, Refund},
    },
    order::{
        Fulfilment, OrderStatus, OrderView, PaymentStatus, ReturnState, ReturnView, Returns as ComingBack,
        ShipmentState,
    },
    token::Role,
};
use bodega_platform::sqlx;
use bodega_test_core::{code, fields};
use bodega_tests::eventually;

use crate::{
    saga::account,
    shop::{BREAD, Guest, LAMP, ON_HAND, Shop, WATER, history},
};

/// Somebody who does the work of a merchant.
pub(crate) fn staff(shop: &Shop, merchant: u128) -> String {
    account(shop, vec![Role::Merchant(MerchantId::from_u128(merchant))], merchant)
}

pub(crate) fn lines(lines: &[(&str, u32)]) -> Vec<(String, u32)> {
    lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect()
}

pub(crate) fn parcel(order: OrderId, key: &str, what: &[(&str, u32)]) -> Ship {
    Ship {
        order,
        key: key.into(),
        lines: lines(what),
        merchant: None,
        location: None,
        carrier: Some("Corner Post".into()),
        tracking: Some("CP 123".into()),
    }
}

impl Shop {
    /// An order that is paid.
    pub(crate) async fn paid(&self, guest: &Guest, what: &[(&str, u32)], key: &str) -> OrderView {
        let order = self.buy(guest, what, key, "card_ok").await;
        self.until_status(guest, order.id, OrderStatus::Paid).await
    }

    async fn cancel_lines(
        &self,
        token: &str,
        order: OrderId,
        key: &str,
        what: &[(&str, u32)],
    ) -> Result<OrderView, Failure> {
        let cancel =
            Cancel { order, key: key.into(), lines: lines(what), refund: None, reason: Some("changed_mind".into()) };
        self.core.ask_as(Some(token), cancel).await
    }

    async fn send_back(
        &self,
        guest: &Guest,
        order: OrderId,
        key: &str,
        what: &[(&str, u32)],
    ) -> Result<ReturnView, Failure> {
        let asked = Return { order, key: key.into(), lines: lines(what), reason: Some("damaged".into()) };
        let answer = self.core.ask_as(Some(&guest.token), asked).await?;
        Ok(answer.order.return_requests.into_iter().find(|back| back.id == answer.id).expect("the return in its order"))
    }

    async fn decide(
        &self,
        token: &str,
        order: OrderId,
        back: &ReturnView,
        verdict: ReturnVerdict,
    ) -> Result<OrderView, Failure> {
        self.core.ask_as(Some(token), DecideReturn { order, r#return: back.id, verdict }).await
    }

    async fn until_refunded(&self, guest: &Guest, order: OrderId, cents: i64) -> OrderView {
        eventually("the money to go back", || async {
            Some(self.get(guest, order).await).filter(|order| order.payment.amounts.refunded.amount() == cents)
        })
        .await
    }
}

#[tokio::test]
async fn an_order_goes_out_in_parcels_and_arrives() {
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let order = shop.paid(&guest, &[(BREAD, 3), (WATER, 2), (LAMP, 1)], "k").await;

    let address = shop.core.ask_as(Some(&bread), Delivery { order: order.id }).await.unwrap().shipping_address;
    assert_eq!(address.city, "Berlin");
    shop.core.ask_as(Some(&bread), Delivery { order: order.id }).await.unwrap();
    let first = shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[(BREAD, 2)])).await.unwrap();
    assert_eq!((first.status, first.fulfilment), (OrderStatus::InFulfilment, Fulfilment::Partial));
    assert_eq!(first.shipments.len(), 1);
    let same = shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[(BREAD, 2)])).await.unwrap();
    assert_eq!(same, first, "the same key again is the same parcel");
    let level = shop.level(BREAD).await;
    assert_eq!((level.on_hand, level.posted), (2 * ON_HAND - 2, 1), "shipping lowers on hand and posted together");

    // Everything that is left of the own goods, and what is another merchant's stays.
    let second = shop.core.ask_as(Some(&bread), parcel(order.id, "p2", &[])).await.unwrap();
    assert_eq!(second.shipments[1].lines, lines(&[(BREAD, 1), (WATER, 2)]));
    assert_eq!(second.lines.len(), 2, "a merchant sees the own lines only");
    let third = shop.core.ask_as(Some(&lamps), parcel(order.id, "p3", &[(LAMP, 1)])).await.unwrap();
    assert_eq!((third.fulfilment, third.shipments.len()), (Fulfilment::Shipped, 1));

    let seen = shop.get(&guest, order.id).await;
    assert_eq!(
        (seen.status, seen.fulfilment, seen.shipments.len()),
        (OrderStatus::InFulfilment, Fulfilment::Shipped, 3)
    );
    assert_eq!(seen.lines.iter().map(|line| line.units.shipped).collect::<Vec<_>>(), [3, 2, 1]);
    let track =
        Track { order: order.id, shipment: seen.shipments[0].id, carrier: Some("Pigeon".into()), tracking: None };
    let tracked = shop.core.ask_as(Some(&bread), track).await.unwrap();
    assert_eq!(
        (tracked.shipments[0].carrier.as_deref(), tracked.shipments[0].tracking.as_deref()),
        (Some("Pigeon"), None)
    );
    for (token, shipment) in [(&bread, 0), (&bread, 1), (&lamps, 2), (&lamps, 2)] {
        let deliver = Deliver { order: order.id, shipment: seen.shipments[shipment].id };
        shop.core.ask_as(Some(token), deliver).await.unwrap();
    }
    let arrived = shop.get(&guest, order.id).await;
    assert_eq!((arrived.status, arrived.fulfilment), (OrderStatus::Delivered, Fulfilment::Delivered));
    assert!(arrived.shipments.iter().all(|s| s.state == ShipmentState::Delivered && s.delivered_at.is_some()));
    let words = history(&shop, &guest, order.id).await;
    let count = |word: &str| words.iter().filter(|other| *other == word).count();
    assert_eq!((count("shipped"), count("delivered"), count("address_read"), count("tracking_changed")), (3, 3, 1, 1));
    assert_eq!(count("status_changed"), 2, "on its way, and arrived: {words:?}");
    shop.close().await;
}

#[tokio::test]
async fn nobody_sends_what_is_not_theirs_not_paid_or_not_there() {
    let shop = Shop::open().await;
    let (guest, bread, other) = (shop.guest(), staff(&shop, 1), staff(&shop, 9));
    let unpaid = shop.buy(&guest, &[(BREAD, 1)], "u", "card_refused").await;
    let order = shop.paid(&guest, &[(BREAD, 2), (LAMP, 1)], "k").await;
    let admin = account(&shop, vec![Role::Admin], 5);
    let ask = |token: &str, ship: Ship| {
        let token = token.to_owned();
        let shop = &shop;
        async move { shop.core.ask_as(Some(&token), ship).await }
    };
    assert_eq!(code(&ask(&bread, parcel(unpaid.id, "a", &[])).await), Some(Code::OrderStateConflict));
    assert_eq!(code(&ask(&other, parcel(order.id, "b", &[])).await), Some(Code::OrderNotFound));
    assert_eq!(code(&ask(&guest.token, parcel(order.id, "c", &[])).await), Some(Code::Unauthenticated));
    for (key, what) in
        [("d", vec![(LAMP, 1)]), ("e", vec![(BREAD, 3)]), ("f", vec![(BREAD, 0)]), ("g", vec![("NONE", 1)])]
    {
        let refused = ask(&bread, parcel(order.id, key, &what)).await;
        assert_eq!(code(&refused), Some(Code::ValidationFailed), "{what:?}");
    }
    let twice = [(BREAD, u32::MAX), (BREAD, 1)];
    assert_eq!(code(&ask(&bread, parcel(order.id, "h", &twice)).await), Some(Code::ValidationFailed));
    let whose = ask(&admin, parcel(order.id, "i", &[])).await;
    assert_eq!(fields(&whose), [("/merchant".to_owned(), "required".to_owned())]);
    let long =
        Ship { carrier: Some("x".repeat(81)), tracking: Some("\n".into()), ..parcel(order.id, "j", &[(BREAD, 1)]) };
    let wrong: Vec<String> = fields(&ask(&bread, long).await).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(wrong, ["/carrier", "/tracking"]);
    let untouched = shop.get(&guest, order.id).await;
    assert_eq!((untouched.status, untouched.shipments.len()), (OrderStatus::Paid, 0));
    assert!(untouched.lines.iter().all(|line| line.units.untouched()), "nothing was changed");

    // The shelf holds less than was promised: the parcel cannot leave, its pieces are free again, and after a count they go.
    for location in [1, 2] {
        shop.count(BREAD, location, -ON_HAND, &format!("gone:{location}")).await.unwrap();
    }
    let short = ask(&bread, parcel(order.id, "p", &[(BREAD, 2)])).await;
    assert_eq!(code(&short), Some(Code::OutOfStock));
    let seen = shop.get(&guest, order.id).await;
    assert_eq!((seen.status, seen.shipments[0].state), (OrderStatus::Paid, ShipmentState::Failed));
    assert!(seen.lines.iter().all(|line| line.units.untouched()));
    shop.count(BREAD, 1, 5, "found").await.unwrap();
    let sent = ask(&bread, parcel(order.id, "p", &[(BREAD, 2)])).await.unwrap();
    assert_eq!(sent.parts[0].fulfilment, Fulfilment::Shipped, "the same key, because nothing came of it before");
    assert_eq!(sent.fulfilment, Fulfilment::Partial, "of the whole order");
    let off = shop
        .core
        .ask_as(
            Some(&guest.token),
            Cancel { order: order.id, key: "off".into(), lines: Vec::new(), refund: None, reason: None },
        )
        .await;
    assert_eq!(code(&off), Some(Code::OrderStateConflict), "what has left cannot be called off any more");
    shop.close().await;
}

#[tokio::test]
async fn pieces_are_called_off_out_of_their_merchants_sale_and_the_rest_goes_on() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let order = shop.paid(&guest, &[(BREAD, 3), (LAMP, 2)], "k").await;
    let lamp = order.lines.iter().find(|line| line.sku == LAMP).unwrap().total.amount();
    let before = shop.core.ask(Balances::default()).await.unwrap();
    let owed = |balances: &[bodega_domain::message::payment::Balance], n: u128| -> i64 {
        let of = balances.iter().filter(|balance| balance.merchant == Some(MerchantId::from_u128(n)));
        of.map(|balance| balance.balance.amount()).sum()
    };

    let one = shop.cancel_lines(&guest.token, order.id, "c1", &[(LAMP, 1)]).await.unwrap();
    assert_eq!(one.status, OrderStatus::Paid);
    assert_eq!(one.lines.iter().find(|line| line.sku == LAMP).unwrap().units.cancelled, 1);
    shop.until_refunded(&guest, order.id, lamp / 2).await;
    assert_eq!(shop.level(LAMP).await.posted, 1, "its stock is free again");
    let again = shop.cancel_lines(&guest.token, order.id, "c1", &[(LAMP, 1)]).await.unwrap();
    assert_eq!(again.lines.iter().map(|line| line.units.cancelled).sum::<u32>(), 1, "once");
    assert_eq!(
        code(&shop.cancel_lines(&guest.token, order.id, "c1", &[(LAMP, 2)]).await),
        Some(Code::IdempotencyKeyReused)
    );
    let after = shop.core.ask(Balances::default()).await.unwrap();
    assert_eq!(owed(&before, 1), owed(&after, 1), "the other merchant pays nothing of it");
    assert_eq!(owed(&after, 2) - owed(&before, 2), lamp / 2);

    // A merchant calls off what is theirs, and no more.
    assert_eq!(code(&shop.cancel_lines(&bread, order.id, "m1", &[(LAMP, 1)]).await), Some(Code::ValidationFailed));
    let own = shop.cancel_lines(&bread, order.id, "m2", &[(BREAD, 1)]).await.unwrap();
    assert_eq!(own.lines[0].units.cancelled, 1);
    // The rest of it too: it is all that is left, so the whole order is called off, with its shipping.
    let rest = [(BREAD, 2), (LAMP, 1)];
    let off = shop.cancel_lines(&guest.token, order.id, "rest", &rest).await.unwrap();
    assert_eq!(off.status, OrderStatus::Cancelled);
    let refunded = shop.until_refunded(&guest, order.id, order.totals.total.amount()).await;
    assert_eq!(refunded.payment.status, PaymentStatus::Refunded);
    let same = shop.cancel_lines(&guest.token, order.id, "rest", &rest).await.unwrap();
    assert_eq!(same.status, OrderStatus::Cancelled, "and again it is the same");
    for sku in [BREAD, LAMP] {
        let level = shop.level(sku).await;
        assert_eq!((level.on_hand, level.posted), (2 * ON_HAND, 0));
    }
    shop.close().await;
}

#[tokio::test]
async fn what_is_called_off_is_not_waited_for() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let unpaid = shop.buy(&guest, &[(BREAD, 2)], "u", "card_refused").await;
    assert_eq!(
        code(&shop.cancel_lines(&guest.token, unpaid.id, "c", &[(BREAD, 1)]).await),
        Some(Code::OrderStateConflict)
    );
    let order = shop.paid(&guest, &[(BREAD, 3)], "k").await;
    shop.core.ask_as(Some(&bread), parcel(order.id, "p", &[(BREAD, 2)])).await.unwrap();
    let off = shop.cancel_lines(&guest.token, order.id, "c", &[(BREAD, 1)]).await.unwrap();
    assert_eq!((off.status, off.fulfilment), (OrderStatus::InFulfilment, Fulfilment::Shipped));
    let level = shop.level(BREAD).await;
    assert_eq!((level.on_hand, level.posted), (2 * ON_HAND - 2, 0));
    shop.close().await;
}

#[tokio::test]
async fn goods_come_back_and_their_money_goes_back() {
    let shop = Shop::open().await;
    let (guest, bread, lamps) = (shop.guest(), staff(&shop, 1), staff(&shop, 2));
    let order = shop.paid(&guest, &[(BREAD, 3), (LAMP, 1)], "k").await;
    assert_eq!(code(&shop.send_back(&guest, order.id, "r", &[(BREAD, 1)]).await), Some(Code::OrderStateConflict));
    shop.core.ask_as(Some(&bread), parcel(order.id, "p1", &[])).await.unwrap();
    shop.core.ask_as(Some(&lamps), parcel(order.id, "p2", &[])).await.unwrap();
    let total = |sku: &str| order.lines.iter().find(|line| line.sku == sku).unwrap().total.amount();

    // Goods of two merchants are two returns: each decides about the own.
    let asked = Return {
        order: order.id,
        key: "r1".into(),
        lines: lines(&[(BREAD, 2), (LAMP, 1)]),
        reason: Some("damaged".into()),
    };
    let answer = shop.core.ask_as(Some(&guest.token), asked.clone()).await.unwrap();
    assert_eq!(shop.core.ask_as(Some(&guest.token), asked).await.unwrap().order, answer.order, "once");
    let [first, second] = answer.order.return_requests.as_slice() else { panic!("{:?}", answer.order.return_requests) };
    let (bread_back, lamp_back) =
        if first.merchant == MerchantId::from_u128(1) { (first, second) } else { (second, first) };
    assert_eq!(answer.order.returns, ComingBack::Requested);
    assert_eq!(
        code(&shop.send_back(&guest, order.id, "r2", &[(BREAD, 2)]).await),
        Some(Code::ValidationFailed),
        "one is left"
    );
    assert_eq!(code(&shop.decide(&bread, order.id, lamp_back, ReturnVerdict::Approve).await), Some(Code::NotFound));
    let list = shop
        .core
        .ask_as(Some(&bread), Returns { state: Some(ReturnState::Requested), ..Returns::default() })
        .await
        .unwrap();
    assert_eq!(
        list.items.iter().map(|item| item.view.id).collect::<Vec<_>>(),
        [bread_back.id],
        "of the own goods only"
    );

    let receive = |back: &ReturnView, key: &str, received: Vec<Received>| ReceiveReturn {
        order: order.id,
        r#return: back.id,
        key: key.into(),
        lines: received,
        location: None,
        refund: None,
    };
    let early = shop.core.ask_as(Some(&bread), receive(bread_back, "x", Vec::new())).await;
    assert_eq!(code(&early), Some(Code::OrderStateConflict), "not approved yet");
    shop.decide(&bread, order.id, bread_back, ReturnVerdict::Approve).await.unwrap();
    shop.decide(&bread, order.id, bread_back, ReturnVerdict::Approve).await.unwrap();
    shop.decide(&lamps, order.id, lamp_back, ReturnVerdict::Refuse).await.unwrap();
    assert_eq!(
        code(&shop.decide(&lamps, order.id, lamp_back, ReturnVerdict::Approve).await),
        Some(Code::OrderStateConflict)
    );

    // Of two that were asked for, one is as good as new and one is broken.
    let came = vec![Received { sku: BREAD.into(), restock: 1, write_off: 1 }];
    let too_many = vec![Received { sku: BREAD.into(), restock: 2, write_off: 1 }];
    assert_eq!(
        code(&shop.core.ask_as(Some(&bread), receive(bread_back, "y", too_many)).await),
        Some(Code::ValidationFailed)
    );
    let elsewhere =
        ReceiveReturn { location: Some(LocationId::from_u128(77)), ..receive(bread_back, "y", came.clone()) };
    assert_eq!(code(&shop.core.ask_as(Some(&bread), elsewhere).await), Some(Code::ValidationFailed));
    let done = shop.core.ask_as(Some(&bread), receive(bread_back, "y", came.clone())).await.unwrap();
    let worth = total(BREAD) * 2 / 3;
    assert_eq!(done.return_requests[0].state, ReturnState::Received);
    assert_eq!(done.return_requests[0].refund.unwrap().amount(), worth);
    let again = shop.core.ask_as(Some(&bread), receive(bread_back, "y", came)).await.unwrap();
    assert_eq!(again.return_requests, done.return_requests, "once");
    let seen = shop.until_refunded(&guest, order.id, worth).await;
    assert_eq!((seen.returns, seen.payment.status), (ComingBack::Partial, PaymentStatus::PartiallyRefunded));
    let level = shop.level(BREAD).await;
    assert_eq!((level.on_hand, level.posted), (2 * ON_HAND - 3 + 1, 0), "the good one is on the shelf again");

    // The last one, with a refund that the merchant names: more than the part is refused, less is fine.
    let last = shop.send_back(&guest, order.id, "r3", &[(BREAD, 1)]).await.unwrap();
    shop.decide(&bread, order.id, &last, ReturnVerdict::Approve).await.unwrap();
    let money = |cents: i64| Money::new(cents, Currency::EUR).unwrap();
    let with = |cents: i64| ReceiveReturn { refund: Some(money(cents)), ..receive(&last, "z", Vec::new()) };
    assert_eq!(code(&shop.core.ask_as(Some(&bread), with(1_000_000)).await), Some(Code::ValidationFailed));
    assert_eq!(code(&shop.core.ask_as(Some(&bread), with(-1)).await), Some(Code::ValidationFailed));
    shop.core.ask_as(Some(&bread), with(100)).await.unwrap();
    shop.until_refunded(&guest, order.id, worth + 100).await;
    let words = history(&shop, &guest, order.id).await;
    for word in ["return_requested", "return_approved", "return_refused", "return_received"] {
        assert!(words.iter().any(|other| other == word), "{word} in {words:?}");
    }
    assert!(shop.core.ask(Sagas::default()).await.unwrap().items.is_empty(), "nothing is under way");
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_arrived_long_ago_is_completed_and_takes_nothing_back() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let order = shop.paid(&guest, &[(BREAD, 2)], "k").await;
    let sent = shop.core.ask_as(Some(&bread), parcel(order.id, "p", &[])).await.unwrap();
    shop.core.ask_as(Some(&bread), Deliver { order: order.id, shipment: sent.shipments[0].id }).await.unwrap();
    let pool = shop.core.pool("order").await;
    sqlx::query("update orders set delivered_at = delivered_at - interval '30 days'").execute(&pool).await.unwrap();
    let mut shop = shop;
    // It looks at once when it starts.
    shop.core.stop().await;
    shop.core.start().await;
    let done = shop.until_status(&guest, order.id, OrderStatus::Completed).await;
    assert_eq!(done.fulfilment, Fulfilment::Delivered);
    assert_eq!(code(&shop.send_back(&guest, order.id, "r", &[(BREAD, 1)]).await), Some(Code::OrderStateConflict));
    shop.close().await;
}

#[tokio::test]
async fn many_hands_at_one_order_move_each_piece_once() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let order = shop.paid(&guest, &[(BREAD, 4)], "k").await;
    let ships = (0..4).map(|n| shop.core.ask_as(Some(&bread), parcel(order.id, &format!("p{n}"), &[(BREAD, 2)])));
    let keys = ["c0", "c1", "c2"];
    let cancels = keys.iter().map(|key| shop.cancel_lines(&guest.token, order.id, key, &[(BREAD, 1)]));
    let whole = Cancel { order: order.id, key: "whole".into(), lines: Vec::new(), refund: None, reason: None };
    let (ships, cancels, whole) = tokio::join!(
        futures::future::join_all(ships),
        futures::future::join_all(cancels),
        shop.core.ask_as(Some(&guest.token), whole),
    );
    let seen = shop.get(&guest, order.id).await;
    let units = seen.lines[0].units;
    if whole.is_ok() {
        assert_eq!((seen.status, units.shipped), (OrderStatus::Cancelled, 0));
        assert!(ships.iter().all(Result::is_err));
    } else {
        let sent = ships.iter().filter(|answer| answer.is_ok()).count();
        let off = cancels.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(units.shipped, 2 * u32::try_from(sent).unwrap());
        assert_eq!(units.cancelled, u32::try_from(off).unwrap());
        assert!(units.shipped + units.cancelled <= 4);
    }
    shop.close().await;
}

/// Money that an admin gives back by hand, out of one sale or out of all.
async fn give_back_by_hand(shop: &Shop, order: OrderId, merchant: Option<u128>, cents: Option<i64>) {
    let refund = Refund {
        order,
        amount: cents.map(|cents| Money::new(cents, Currency::EUR).unwrap()),
        merchant: merchant.map(MerchantId::from_u128),
        key: format!("by hand {merchant:?} {cents:?}"),
        reason: "goodwill".into(),
    };
    shop.core.ask(refund).await.unwrap();
}

#[tokio::test]
async fn money_that_went_back_by_hand_goes_back_once_and_goods_stay_where_they_are() {
    let shop = Shop::open().await;
    let (guest, bread) = (shop.guest(), staff(&shop, 1));
    let admin = account(&shop, vec![Role::Admin], 5);
    let order = shop.paid(&guest, &[(BREAD, 3)], "k").await;
    shop.core.ask_as(Some(&bread), parcel(order.id, "p", &[])).await.unwrap();
    let back = shop.send_back(&guest, order.id, "r", &[(BREAD, 3)]).await.unwrap();
    shop.decide(&bread, order.id, &back, ReturnVerdict::Approve).await.unwrap();
    give_back_by_hand(&shop, order.id, None, None).await;
    let whole = order.totals.total.amount();
    shop.until_refunded(&guest, order.id, whole).await;
    let two = vec![Received { sku: BREAD.into(), restock: 2, write_off: 0 }];
    let receive = |refund: Option<i64>| ReceiveReturn {
        order: order.id,
        r#return: back.id,
        key: "here".into(),
        lines: two.clone(),
        location: None,
        refund: refund.map(|cents| Money::new(cents, Currency::EUR).unwrap()),
    };
    let refused = shop.core.ask_as(Some(&bread), receive(None)).await;
    assert_eq!(code(&refused), Some(Code::AmountExceeded));
    let seen = shop.get(&guest, order.id).await;
    assert_eq!(
        (seen.lines[0].units.returning, seen.lines[0].units.returned),
        (3, 0),
        "all of it is on its way as before"
    );
    assert_eq!((seen.return_requests[0].state, seen.return_requests[0].refund), (ReturnState::Approved, None));
    let done = shop.core.ask_as(Some(&bread), receive(Some(0))).await.unwrap();
    assert_eq!(
        (done.lines[0].units.returning, done.lines[0].units.returned),
        (0, 2),
        "what did not come is not waited for"
    );
    assert_eq!(shop.level(BREAD).await.on_hand, 2 * ON_HAND - 3 + 2);

    let gone = shop.paid(&guest, &[(BREAD, 1)], "g").await;
    give_back_by_hand(&shop, gone.id, None, None).await;
    shop.until_refunded(&guest, gone.id, gone.totals.total.amount()).await;
    let ship = shop.core.ask_as(Some(&bread), parcel(gone.id, "gone", &[])).await;
    assert_eq!(code(&ship), Some(Code::OrderStateConflict), "nothing leaves for nothing");

    // Part of one sale went back: its line is called off with what is left of it, and only staff may say so.
    let part = shop.paid(&guest, &[(BREAD, 2), (LAMP, 1)], "h").await;
    let sale = part.parts.iter().find(|part| part.merchant == MerchantId::from_u128(2)).unwrap().total.amount();
    let lamp = part.lines.iter().find(|line| line.sku == LAMP).unwrap().total.amount();
    give_back_by_hand(&shop, part.id, Some(2), Some(sale - lamp + 1)).await;
    shop.until_refunded(&guest, part.id, sale - lamp + 1).await;
    let both = [(BREAD, 1), (LAMP, 1)];
    for _ in 0..2 {
        // Of two sagas one came to its end: the key is one effect, however often it is sent.
        let half = shop.cancel_lines(&guest.token, part.id, "both", &both).await.unwrap();
        assert_eq!(half.lines.iter().map(|line| line.units.cancelled).collect::<Vec<_>>(), [1, 0]);
    }
    assert_eq!(code(&shop.cancel_lines(&guest.token, part.id, "lamp", &[(LAMP, 1)]).await), Some(Code::AmountExceeded));
    let named = |cents: i64| Cancel {
        order: part.id,
        key: "lamp".into(),
        lines: lines(&[(LAMP, 1)]),
        refund: Some(Money::new(cents, Currency::EUR).unwrap()),
        reason: None,
    };
    assert_eq!(code(&shop.core.ask_as(Some(&guest.token), named(1)).await), Some(Code::ValidationFailed));
    assert_eq!(code(&shop.core.ask_as(Some(&admin), named(lamp + 1)).await), Some(Code::ValidationFailed));
    let off = shop.core.ask_as(Some(&admin), named(lamp - 1)).await.unwrap();
    assert_eq!(off.lines.iter().map(|line| line.units.cancelled).collect::<Vec<_>>(), [1, 1]);
    shop.close().await;
}
