//! Money that is taken as goods leave: parcel by parcel, given up when they never do, and refused when the bank keeps it no
//! longer.

use std::collections::BTreeMap;

use crate::support::{World, eur};
use bodega_domain::{
    id::{MerchantId, OrderId},
    message::payment::{
        CallOff, CalledOff, CaptureAt, CaptureParcel, IntentState, ParcelMoney, Refund, RefundAnswer, SetPolicy,
        TransfersOf,
    },
    order::PaymentStatus,
};
use bodega_platform::sqlx;
use serde_json::json;

/// What an order is about, and what each of its merchants gets of it.
const WHOLE: i64 = 1_000;
const FIRST: i64 = 400;
const SECOND: i64 = 600;

fn merchant(n: u128) -> MerchantId {
    MerchantId::from_u128(n)
}

impl World {
    /// From now on these merchants' money is taken then.
    async fn take(&self, capture: CaptureAt, merchants: &[u128]) {
        for n in merchants {
            let policy = SetPolicy { merchant: merchant(*n), late_money: None, capture: Some(capture) };
            assert_eq!(self.core.ask(policy).await.unwrap().capture, capture);
        }
    }

    /// Authorised, and asked for by its order.
    async fn claimed(&self, method: &str) -> OrderId {
        let order = self.pay(WHOLE, method).await;
        self.until_status(order, PaymentStatus::Authorised).await;
        self.capture(order).await;
        order
    }

    async fn parcel(&self, order: OrderId, of: u128, amount: i64, last: bool, key: &str) -> ParcelMoney {
        let (merchant, amount, key) = (merchant(of), eur(amount), key.to_owned());
        self.core.ask(CaptureParcel { order, merchant, amount, last, key }).await.unwrap()
    }

    /// Asks until the provider has spoken.
    async fn sent(&self, order: OrderId, of: u128, amount: i64, last: bool, key: &str) -> ParcelMoney {
        bodega_tests::eventually("the word about a parcel's money", || async {
            let money = self.parcel(order, of, amount, last, key).await;
            (money != ParcelMoney::Pending).then_some(money)
        })
        .await
    }

    async fn call_off(&self, order: OrderId, part: Option<(u128, i64, bool)>, key: &str) -> RefundAnswer {
        let part = part.map(|(of, amount, last)| CalledOff { merchant: merchant(of), amount: eur(amount), last });
        self.core.ask(CallOff { order, part, key: key.to_owned(), reason: "cancelled".to_owned() }).await.unwrap()
    }

    /// What merchants, the tax office and the marketplace got of an order, by merchant.
    async fn credited(&self, order: OrderId) -> BTreeMap<u128, i64> {
        let transfers = self.core.ask(TransfersOf { order }).await.unwrap();
        let mut sums = BTreeMap::new();
        for transfer in transfers.iter().filter(|t| t.reason == "capture") {
            *sums.entry(transfer.merchant.unwrap().as_u128()).or_insert(0) += transfer.amount.amount();
        }
        sums
    }

    async fn at_provider(&self, order: OrderId) -> (String, i64, i64) {
        let intent = self.provider_intents(order).await.remove(0);
        let amount = |name: &str| intent[name].as_i64().unwrap();
        (intent["status"].as_str().unwrap().to_owned(), amount("amount_received"), amount("amount_capturable"))
    }
}

/// What waits and what was given up.
fn stands(state: &IntentState) -> (i64, i64, i64) {
    let sum = |of: fn(&bodega_domain::order::AtShipment) -> i64| state.at_shipment.iter().map(of).sum();
    (state.amounts.captured.amount(), sum(|part| part.waiting.amount()), sum(|part| part.forgone.amount()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_parcel_takes_its_own_and_its_merchant_is_credited_with_it() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_ok").await;
    let state = world.until_heard(order).await;
    assert_eq!((state.status, stands(&state)), (PaymentStatus::Authorised, (0, WHOLE, 0)));
    assert!(state.claimed && state.due() == 0 && state.capture_before.is_some(), "{state:?}");

    assert_eq!(world.sent(order, 2, 250, false, "a").await, ParcelMoney::Taken);
    assert_eq!(world.at_provider(order).await, ("requires_capture".to_owned(), 250, 750));
    assert_eq!(world.parcel(order, 2, 250, false, "a").await, ParcelMoney::Taken, "the same key is the same parcel");
    assert_eq!(world.sent(order, 1, 111, false, "b").await, ParcelMoney::Taken);
    assert_eq!(world.credited(order).await, BTreeMap::from([(1, 111), (2, 250)]));
    let state = world.until_status(order, PaymentStatus::PartiallyCaptured).await;
    assert_eq!(stands(&state), (361, 639, 0));

    // No more than waits, and with the last all of it: nothing is lost to rounding, no fee and no tax.
    assert_eq!(world.sent(order, 2, 9_999, false, "c").await, ParcelMoney::Taken);
    assert_eq!(world.sent(order, 2, 1, false, "d").await, ParcelMoney::Taken, "nothing of it waits any more");
    assert_eq!(world.sent(order, 1, 288, true, "e").await, ParcelMoney::Taken);
    let state = world.until_status(order, PaymentStatus::Captured).await;
    assert_eq!(stands(&state), (WHOLE, 0, 0));
    assert_eq!(world.at_provider(order).await, ("succeeded".to_owned(), WHOLE, 0));
    assert_eq!(world.credited(order).await, BTreeMap::from([(1, FIRST), (2, SECOND)]));
    world.until_idle().await;
    // The same accounts hold what they hold when all of it is taken at once.
    let balances = world.balances_without_fees().await;
    let at_once = World::open().await;
    at_once.paid(WHOLE, "card_ok").await;
    assert_eq!(balances, at_once.balances_without_fees().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_is_paid_at_once_and_the_order_goes_on() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[2]).await;
    let order = world.claimed("card_ok").await;
    let state = world.until_status(order, PaymentStatus::PartiallyCaptured).await;
    assert_eq!((stands(&state), state.due()), ((FIRST, SECOND, 0), FIRST));
    assert_eq!(world.credited(order).await, BTreeMap::from([(1, FIRST)]));
    // Two parcels at one moment: each its own, one after the other at the provider.
    let (a, b) = tokio::join!(world.sent(order, 2, 200, false, "a"), world.sent(order, 2, 300, false, "b"));
    assert_eq!((a, b), (ParcelMoney::Taken, ParcelMoney::Taken));
    assert_eq!(stands(&world.state(order).await), (900, 100, 0));
    // Who does not wait has had it all.
    assert_eq!(world.sent(order, 1, 400, true, "c").await, ParcelMoney::Taken);
    assert_eq!(stands(&world.state(order).await), (900, 100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_leaves_is_not_taken_and_what_was_taken_goes_back() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_ok").await;
    assert_eq!(world.sent(order, 2, 350, false, "a").await, ParcelMoney::Taken);
    assert_eq!(world.call_off(order, Some((2, 200, false)), "off").await.amount, eur(0));
    world.call_off(order, Some((2, 200, false)), "off").await;
    assert_eq!(stands(&world.state(order).await), (350, 450, 200), "the same key gives up once");
    // The last pieces take along what still waits for their merchant.
    world.call_off(order, Some((2, 20, true)), "off again").await;
    assert_eq!(stands(&world.state(order).await), (350, 400, 250));
    // What came back goes back out of what was taken, and no further.
    let refund = |amount, key: &str| Refund {
        order,
        amount: Some(eur(amount)),
        merchant: Some(merchant(2)),
        key: key.to_owned(),
        reason: "return".to_owned(),
    };
    assert!(world.core.ask(refund(351, "r")).await.is_err(), "more than was taken of it");
    world.core.ask(refund(350, "r")).await.unwrap();
    // Nobody wants the rest: it is released at the provider.
    world.call_off(order, Some((1, 400, true)), "all of one").await;
    world.until_idle().await;
    assert_eq!(world.at_provider(order).await, ("succeeded".to_owned(), 350, 0));
    let state = world.until_status(order, PaymentStatus::Refunded).await;
    assert_eq!(stands(&state), (350, 0, 650));
    let balances = world.balances_without_fees().await;
    assert!(balances.is_empty(), "nobody keeps anything: {balances:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_called_off_lets_the_bank_keep_its_money() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_ok").await;
    assert_eq!(world.call_off(order, None, "cancel").await.amount, eur(0));
    world.call_off(order, None, "cancel").await;
    let state = world.until_status(order, PaymentStatus::Cancelled).await;
    assert!(state.closing && state.cancelled && stands(&state) == (0, 0, WHOLE), "{state:?}");
    assert_eq!(world.at_provider(order).await, ("canceled".to_owned(), 0, 0));
    assert_eq!(world.sent(order, 1, 1, false, "late").await, ParcelMoney::Refused);

    // With money of those who did not wait it goes back, and the rest is released.
    world.take(CaptureAt::Posting, &[1]).await;
    let mixed = world.claimed("card_ok").await;
    world.until_status(mixed, PaymentStatus::PartiallyCaptured).await;
    assert_eq!(world.call_off(mixed, None, "cancel").await.amount, eur(FIRST));
    let state = world.until(mixed, "the money to be back", |state| state.amounts.refunded == eur(FIRST)).await;
    world.until_idle().await;
    assert_eq!((state.status, world.at_provider(mixed).await.2), (PaymentStatus::Refunded, 0));
    assert!(world.exceptions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_hands_nothing_over_is_told_parcel_by_parcel_and_money_waits_on() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_capture_fails").await;
    assert_eq!(world.sent(order, 1, 100, false, "a").await, ParcelMoney::Refused);
    assert_eq!(world.parcel(order, 1, 100, false, "a").await, ParcelMoney::Refused, "this parcel stays here");
    let state = world.state(order).await;
    assert_eq!((state.capture_failed, stands(&state)), (false, (0, WHOLE, 0)), "the order goes on");

    // Who would have been paid at once: the payment has failed, as without any waiting.
    world.take(CaptureAt::Posting, &[1]).await;
    let mixed = world.claimed("card_capture_fails").await;
    let state = world.until(mixed, "the capture to fail", |state| state.capture_failed).await;
    assert!(state.at_shipment.is_empty() && state.due() == WHOLE, "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_parcel_that_is_refused_and_called_off_lets_go_of_the_rest() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_ok").await;
    assert_eq!(world.sent(order, 1, FIRST, true, "a").await, ParcelMoney::Taken);
    world.control("faults", json!({"operation": "capture", "mode": "refuse", "status": 402, "count": 1})).await;
    assert_eq!(world.sent(order, 2, SECOND, true, "b").await, ParcelMoney::Refused);
    assert_eq!(world.at_provider(order).await, ("requires_capture".to_owned(), FIRST, SECOND));
    assert_eq!(world.call_off(order, Some((2, SECOND, true)), "off").await.amount, eur(0));
    world.until_idle().await;
    assert_eq!(world.at_provider(order).await, ("succeeded".to_owned(), FIRST, 0));
    assert_eq!(stands(&world.state(order).await), (FIRST, 0, SECOND));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_can_be_charged_once_is_charged_with_the_first_parcel() {
    let world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_one_capture").await;
    assert_eq!(world.sent(order, 2, 10, false, "a").await, ParcelMoney::Taken);
    assert_eq!(world.at_provider(order).await, ("succeeded".to_owned(), WHOLE, 0));
    assert_eq!(world.credited(order).await, BTreeMap::from([(1, FIRST), (2, SECOND)]));
    assert_eq!(world.sent(order, 1, 50, false, "b").await, ParcelMoney::Taken);
    // Its pieces were paid for already, so their money goes back.
    assert_eq!(world.call_off(order, Some((1, 150, false)), "off").await.amount, eur(150));
    world.until(order, "the money to be back", |state| state.amounts.refunded == eur(150)).await;

    // Beside somebody who does not wait there is no second charge: all of it at once.
    world.take(CaptureAt::Posting, &[1]).await;
    let mixed = world.claimed("card_one_capture").await;
    world.until_status(mixed, PaymentStatus::Captured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_told_before_the_bank_lets_go_and_when_it_has() {
    let mut world = World::open().await;
    world.take(CaptureAt::Shipment, &[1, 2]).await;
    let order = world.claimed("card_ok").await;
    let (id, pool) = (world.reference(order).await, world.pool().await);
    sqlx::query("update intent set capture_before = now() + interval '3 hours'").execute(&pool).await.unwrap();
    // The look is hourly, and once at each start.
    world.core.stop().await;
    world.core.start().await;
    bodega_tests::eventually("the warning", || async { (world.exceptions().await == ["capture_due"]).then_some(()) })
        .await;
    world.control(&format!("intents/{id}/lapse"), json!({})).await;
    world.until_status(order, PaymentStatus::Cancelled).await;
    assert_eq!(world.exceptions().await, ["authorisation_lost", "capture_due"]);
    assert_eq!(world.sent(order, 1, 1, false, "late").await, ParcelMoney::Refused);
}
