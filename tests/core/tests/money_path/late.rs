//! Money that came when its order had ended, and the order that is made again with it.

use bodega_domain::{
    Code, Failure,
    id::{MerchantId, OrderId},
    message::{
        inventory::HoldState,
        order::{Exceptions, ForgetContact, Reinstate},
        payment::{LateMoney, SetPolicy},
    },
    order::{OrderStatus, OrderView, PaymentStatus},
    token::Role,
};
use bodega_platform::sqlx::{self, types::Uuid};
use bodega_tests::eventually;
use serde_json::json;

use crate::{
    saga::account,
    shop::{BREAD, Guest, LAMP, ON_HAND, Shop, WATER, history},
};

impl Shop {
    /// Both merchants want late money to wait.
    async fn let_late_money_wait(&self) {
        for merchant in [1, 2] {
            let (merchant, late_money) = (MerchantId::from_u128(merchant), Some(LateMoney::Hold24h));
            let policy = SetPolicy { merchant, late_money, capture: None };
            self.core.ask(policy).await.unwrap();
        }
    }

    /// An order that expired, and whose money then came and waits.
    async fn late(&self, guest: &Guest, lines: &[(&str, u32)], key: &str) -> OrderView {
        let order = self.buy(guest, lines, key, "card_refused").await;
        let intent = self.intent_of(order.id).await;
        self.let_time_run_out().await;
        self.until_status(guest, order.id, OrderStatus::Expired).await;
        eventually("the hold to be voided", || async {
            (self.hold(order.id).await == HoldState::Voided).then_some(())
        })
        .await;
        self.control(reqwest::Method::POST, &format!("intents/{intent}/capture"), json!({})).await;
        eventually("money that waits", || async {
            let order = self.get(guest, order.id).await;
            order.payment.held_until.is_some().then_some(order)
        })
        .await
    }

    async fn again(&self, token: &str, order: OrderId) -> Result<OrderView, Failure> {
        self.core.ask_as(Some(token), Reinstate { order }).await
    }

    async fn open_exceptions(&self) -> Vec<String> {
        let page = self.core.ask(Exceptions::default()).await.unwrap();
        page.items.into_iter().map(|exception| exception.kind).collect()
    }
}

fn code(answer: &Result<OrderView, Failure>) -> Option<Code> {
    answer.as_ref().err().map(|failure| failure.code)
}

#[tokio::test]
async fn an_ended_order_is_made_again_once_with_the_money_that_came_late() {
    let shop = Shop::open().await;
    shop.let_late_money_wait().await;
    let (guest, stranger) = (shop.guest(), shop.guest());
    let order = shop.late(&guest, &[(WATER, 3), (LAMP, 1)], "k").await;
    assert_eq!((order.status, order.payment.status), (OrderStatus::Expired, PaymentStatus::Captured));
    assert_eq!(shop.open_exceptions().await, ["late_money_held"]);
    let words = history(&shop, &guest, order.id).await;
    assert!(words.contains(&"late_payment".to_owned()) && words.contains(&"late_money_held".to_owned()), "{words:?}");

    let of = |n: u128| Role::Merchant(MerchantId::from_u128(n));
    let (part, foreign) = (account(&shop, vec![of(2)], 2), account(&shop, vec![of(9)], 9));
    let both = account(&shop, vec![of(1), of(2)], 3);
    for (token, refused) in [
        (&guest.token, Code::Unauthenticated),
        (&stranger.token, Code::Unauthenticated),
        (&part, Code::Forbidden),
        (&foreign, Code::OrderNotFound),
    ] {
        assert_eq!(code(&shop.again(token, order.id).await), Some(refused));
    }

    let (first, second) = tokio::join!(shop.again(&both, order.id), shop.again(&both, order.id));
    let (again, same) = (first.unwrap(), second.unwrap());
    assert_eq!(again.id, same.id, "made again once");
    assert_eq!(again.reinstates, Some(order.id));
    assert_eq!((&again.lines, again.totals), (&order.lines, order.totals));
    let paid = shop.until_status(&guest, again.id, OrderStatus::Paid).await;
    assert_eq!((paid.payment.status, paid.payment.amounts.captured), (PaymentStatus::Captured, order.totals.total));
    assert_eq!(shop.hold(again.id).await, HoldState::Posted);
    assert_eq!(shop.level(WATER).await.posted, 3);

    let old = shop.get(&guest, order.id).await;
    assert_eq!((old.status, old.reinstated_as), (OrderStatus::Expired, Some(again.id)));
    assert_eq!((old.payment.held_until, old.payment.amounts.captured.amount()), (None, 0), "it pays the new one");
    assert_eq!(shop.open_exceptions().await, [""; 0], "nobody has to look at it any more");
    assert!(history(&shop, &guest, order.id).await.contains(&"reinstated".to_owned()));
    assert_eq!(history(&shop, &guest, again.id).await[..2], ["placed", "authorised"]);
    assert_eq!(shop.again(&both, order.id).await.unwrap().id, again.id, "and again it is the same");

    let cancel = bodega_domain::message::order::Cancel {
        order: again.id,
        key: "c".into(),
        lines: Vec::new(),
        refund: None,
        reason: None,
    };
    shop.core.ask_as(Some(&guest.token), cancel).await.unwrap();
    let off = eventually("the money to go back after all", || async {
        Some(shop.get(&guest, again.id).await).filter(|order| order.payment.status == PaymentStatus::Refunded)
    })
    .await;
    assert_eq!(off.status, OrderStatus::Cancelled);
    assert_eq!(shop.level(WATER).await.available, 2 * ON_HAND);
    shop.close().await;
}

#[tokio::test]
async fn an_order_is_not_made_again_without_its_stock_and_its_money_waits_on() {
    let shop = Shop::open().await;
    shop.let_late_money_wait().await;
    let (guest, other) = (shop.guest(), shop.guest());
    let admin = account(&shop, vec![Role::Admin], 1);
    let order = shop.late(&guest, &[(BREAD, 5)], "k").await;
    for n in [1, 2] {
        shop.count(BREAD, n, 2 - ON_HAND, &format!("gone:{n}")).await.unwrap();
    }
    let refused = shop.again(&admin, order.id).await.unwrap_err();
    assert_eq!(refused.code, Code::OutOfStock);
    assert_eq!(refused.fields[0].code, "too_few", "{refused:?}");
    assert!(shop.get(&guest, order.id).await.payment.held_until.is_some());

    // A try that was too slow: inventory has asked, and a tombstone lies under the id that it had.
    let pool = shop.core.pool("order").await;
    let planned: Uuid = sqlx::query_scalar("select new_order from reinstatement").fetch_one(&pool).await.unwrap();
    let abandon = bodega_domain::message::order::Abandon { orders: vec![OrderId::from_u128(planned.as_u128())] };
    shop.core.ask(abandon).await.unwrap();
    shop.count(BREAD, 1, ON_HAND, "back").await.unwrap();
    let again = shop.again(&admin, order.id).await.unwrap();
    assert_ne!(again.id.as_u128(), planned.as_u128());
    shop.until_status(&guest, again.id, OrderStatus::Paid).await;

    // Another one goes back before somebody decides.
    let order = shop.late(&other, &[(WATER, 1)], "k").await;
    let payments = shop.core.pool("payment").await;
    sqlx::query("update intent set late_held_until = now() where late_held_until is not null")
        .execute(&payments)
        .await
        .unwrap();
    eventually("the money to go back", || async {
        (shop.get(&other, order.id).await.payment.status == PaymentStatus::Refunded).then_some(())
    })
    .await;
    assert_eq!(code(&shop.again(&admin, order.id).await), Some(Code::OrderStateConflict));
    shop.close().await;
}

#[tokio::test]
async fn an_order_whose_buyer_is_forgotten_is_not_made_again() {
    let shop = Shop::open().await;
    shop.let_late_money_wait().await;
    let guest = shop.guest();
    let admin = account(&shop, vec![Role::Admin], 1);
    let order = shop.late(&guest, &[(BREAD, 1)], "k").await;
    assert!(shop.core.ask_as(Some(&admin), ForgetContact { order: order.id }).await.unwrap().emptied);
    assert_eq!(code(&shop.again(&admin, order.id).await), Some(Code::OrderStateConflict));
    // By hand it goes back at once.
    let refund = bodega_domain::message::payment::Refund {
        order: order.id,
        amount: None,
        merchant: None,
        key: "by hand".into(),
        reason: "late_payment".into(),
    };
    shop.core.ask_as(Some(&admin), refund).await.unwrap();
    let order = eventually("the money to go back", || async {
        Some(shop.get(&guest, order.id).await).filter(|order| order.payment.status == PaymentStatus::Refunded)
    })
    .await;
    assert_eq!(order.payment.held_until, None);
    shop.close().await;
}

#[tokio::test]
async fn money_that_may_wait_and_comes_while_its_order_expires_still_buys() {
    let shop = Shop::open().await;
    shop.let_late_money_wait().await;
    let guest = shop.guest();
    let order = shop.buy(&guest, &[(WATER, 3)], "k", "card_refused").await;
    let intent = shop.intent_of(order.id).await;
    // The provider refuses to cancel until the money has come.
    shop.fault("cancel", "refuse", 0, 100).await;
    shop.let_time_run_out().await;
    eventually("the payment to be closing", || async {
        history(&shop, &guest, order.id).await.contains(&"payment_closing".to_owned()).then_some(())
    })
    .await;
    shop.control(reqwest::Method::POST, &format!("intents/{intent}/capture"), json!({})).await;
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    // The order was told of money that waits before it asked for it; the word that it waits no more comes after.
    eventually("the money to wait no more", || async {
        shop.get(&guest, order.id).await.payment.held_until.is_none().then_some(())
    })
    .await;
    assert_eq!(shop.level(WATER).await.posted, 3);
    shop.close().await;
}
