//! Money that comes when its order has ended, where merchants want it to wait for the order to be made again.

use crate::support::{World, ask, eur, order};
use bodega_domain::{
    Code,
    id::{MerchantId, OrderId},
    message::payment::{IntentState, LateMoney, Open, OpenAsk, Policies, SetPolicy, TransfersOf},
    order::PaymentStatus,
};
use bodega_platform::sqlx;
use serde_json::json;

const WAITS: LateMoney = LateMoney::Hold24h;

/// The merchants of every ask.
async fn choose(world: &World, choices: [(u128, LateMoney); 2]) {
    for (merchant, late_money) in choices {
        let policy =
            SetPolicy { merchant: MerchantId::from_u128(merchant), late_money: Some(late_money), capture: None };
        assert_eq!(world.core.ask(policy).await.unwrap().late_money, late_money);
    }
}

/// A payment that is taken after it was cancelled.
pub(crate) async fn late(world: &World) -> OrderId {
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    world.cancel(order).await;
    world.until_status(order, PaymentStatus::Cancelled).await;
    let reference = world.reference(order).await;
    world.control(&format!("intents/{reference}/capture"), json!({})).await;
    order
}

async fn held(world: &World) -> OrderId {
    choose(world, [(1, WAITS), (2, WAITS)]).await;
    let order = late(world).await;
    world.until(order, "money that waits", |state| state.held_until.is_some()).await;
    order
}

/// The next order, which the late money of `old` is to pay.
async fn open_again(world: &World, old: OrderId, new: OrderId) -> IntentState {
    let again = OpenAsk { takes_over: Some(old), ..ask(new, 1_000, "card_ok") };
    world.core.ask(Open { asks: vec![again] }).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_waits_a_day_where_its_merchants_want_it_and_then_goes_back() {
    let world = World::open().await;
    let order = held(&world).await;
    let state = world.until_heard(order).await;
    assert_eq!((state.status, state.amounts.captured), (PaymentStatus::Captured, eur(1_000)));
    let left = state.held_until.unwrap().ms_since(world.core.clock.now());
    assert!((23 * 3_600_000..=24 * 3_600_000).contains(&left), "{left} ms");
    assert_eq!(world.balances_without_fees().await["customer_unapplied"], -1_000);
    let pool = world.pool().await;
    sqlx::query("update intent set late_held_until = now()").execute(&pool).await.unwrap();
    let state = world.until_status(order, PaymentStatus::Refunded).await;
    assert_eq!((state.amounts.refunded, state.held_until), (eur(1_000), None));
    assert!(world.balances_without_fees().await.is_empty());
    world.until_idle().await;
    assert_eq!(world.exceptions().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_merchant_who_does_not_want_it_to_wait_is_enough() {
    let world = World::open().await;
    choose(&world, [(1, WAITS), (2, WAITS)]).await;
    choose(&world, [(1, WAITS), (2, LateMoney::Refund)]).await;
    let order = late(&world).await;
    let state = world.until_status(order, PaymentStatus::Refunded).await;
    assert_eq!(state.held_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_that_waits_pays_one_order_that_is_made_again() {
    let world = World::open().await;
    let old = held(&world).await;
    let intent = world.state(old).await;
    let (new, third) = (order(), order());
    let (first, second) = tokio::join!(open_again(&world, old, new), open_again(&world, old, new));
    for state in [&first, &second] {
        assert_eq!((state.order, state.intent, state.status), (new, intent.intent, PaymentStatus::Captured));
        assert!(!state.closing && state.held_until.is_none() && state.revision > intent.revision, "{state:?}");
    }
    assert!(world.core.ask(bodega_domain::message::payment::State { orders: vec![old] }).await.unwrap().is_empty());
    // It is gone, so a third order gets a payment that is over before it began, and no shopper is charged.
    let other = open_again(&world, old, third).await;
    assert_eq!((other.status, other.cancelled, other.closing), (PaymentStatus::Cancelled, true, true));
    let captured = world.capture(new).await;
    assert_eq!(captured.amounts.captured, eur(1_000));
    let balances = world.balances_without_fees().await;
    assert_eq!(balances.get("customer_unapplied"), None, "{balances:?}");
    assert_eq!(balances["provider_clearing"], 1_000);
    let moved = |of: OrderId| {
        let world = &world;
        async move {
            let transfers = world.core.ask(TransfersOf { order: of }).await.unwrap();
            transfers.into_iter().map(|transfer| (transfer.debit, transfer.credit)).collect::<Vec<_>>()
        }
    };
    assert_eq!(moved(old).await[0], ("provider_clearing".to_owned(), "customer_unapplied".to_owned()));
    assert!(moved(new).await.iter().all(|(debit, _)| debit == "customer_unapplied"), "{:?}", moved(new).await);
    world.until_idle().await;
    assert!(world.provider_intents(third).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_that_is_on_its_way_back_pays_nothing() {
    let world = World::open().await;
    let old = held(&world).await;
    let refund = bodega_domain::message::payment::Refund {
        order: old,
        amount: Some(eur(1)),
        merchant: None,
        key: "by hand".to_owned(),
        reason: "late_payment".to_owned(),
    };
    world.core.ask(refund).await.unwrap();
    let new = order();
    assert_eq!(open_again(&world, old, new).await.status, PaymentStatus::Cancelled);
    // The rest still waits, and goes back with its time.
    let state = world.until(old, "the cent that went back", |state| state.amounts.refunded == eur(1)).await;
    assert!(state.held_until.is_some());
    sqlx::query("update intent set late_held_until = now() where not cancelled or captured > 0")
        .execute(&world.pool().await)
        .await
        .unwrap();
    world.until(old, "the rest", |state| state.amounts.refunded == eur(1_000) && state.held_until.is_none()).await;
    assert!(world.balances_without_fees().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_keeps_who_changed_it_and_when() {
    let world = World::open().await;
    let merchant = MerchantId::from_u128(7);
    let of = |merchant| {
        let world = &world;
        async move { world.core.ask(Policies { merchant, cursor: None }).await.unwrap().items }
    };
    assert!(of(None).await.is_empty());
    let never = of(Some(merchant)).await.remove(0);
    assert_eq!((never.late_money, never.changes.len()), (LateMoney::Refund, 0));
    for late_money in [LateMoney::Refund, WAITS, WAITS, LateMoney::Refund] {
        world.core.ask(SetPolicy { merchant, late_money: Some(late_money), capture: None }).await.unwrap();
    }
    let kept = of(None).await.remove(0);
    assert_eq!(kept.late_money, LateMoney::Refund);
    let changes: Vec<_> = kept.changes.iter().map(|change| (change.late_money, change.who.as_str())).collect();
    assert_eq!(changes, [(LateMoney::Refund, "service"), (WAITS, "service")], "what was so already is no change");
    let pool = world.pool().await;
    for change in ["update merchant_policy set who = 'x'", "delete from merchant_policy", "truncate merchant_policy"] {
        assert!(sqlx::query(change).execute(&pool).await.is_err(), "{change}");
    }
    let wrong = Policies { merchant: None, cursor: Some("elsewhere".into()) };
    assert_eq!(world.core.ask(wrong).await.unwrap_err().code, Code::BadRequest);
}
