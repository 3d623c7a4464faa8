//! Money that goes back out of one merchant's sale.

use crate::support::{World, ask, eur};
use bodega_domain::{
    Code, Failure,
    id::{MerchantId, OrderId, RefundId},
    message::payment::{Exceptions, Refund, RefundAnswer, TransfersOf},
    order::PaymentStatus,
};
use bodega_payment_simulator::control::Switches;
use bodega_platform::sqlx;
use serde_json::json;
use uuid::Uuid;

/// What an order of this amount is about, and what each of its merchants gets of it.
const WHOLE: i64 = 1_000;
const GETS: [i64; 2] = [400, 600];

fn merchant(n: usize) -> MerchantId {
    ask(crate::support::order(), WHOLE, "card_ok").shares[n].merchant
}

/// Out of the sale of the first merchant or of the second.
fn refund(order: OrderId, of: usize, amount: Option<i64>, key: &str) -> Refund {
    let (amount, merchant) = (amount.map(eur), Some(merchant(of)));
    Refund { order, amount, merchant, key: key.to_owned(), reason: "return".to_owned() }
}

fn of_all(order: OrderId, key: &str) -> Refund {
    Refund { merchant: None, ..refund(order, 0, None, key) }
}

fn code(answer: &Result<RefundAnswer, Failure>) -> Option<Code> {
    answer.as_ref().err().map(|failure| failure.code)
}

/// What each merchant has given back, as the books say.
async fn given(world: &World, order: OrderId) -> [i64; 2] {
    let transfers = world.core.ask(TransfersOf { order }).await.unwrap();
    [0, 1].map(|n| {
        let own = transfers.iter().filter(|t| t.merchant == Some(merchant(n)) && t.reason.ends_with("refund"));
        own.map(|t| if t.credit == "provider_clearing" { t.amount.amount() } else { -t.amount.amount() }).sum()
    })
}

async fn until_refunded(world: &World, order: OrderId, amount: i64) {
    world.until(order, "the money is back", |state| state.amounts.refunded.amount() == amount).await;
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_one_sale_is_paid_by_its_merchant_alone() {
    let world = World::open().await;
    let order = world.paid(WHOLE, "card_ok").await;
    assert_eq!(world.core.ask(refund(order, 1, Some(250), "one")).await.unwrap().amount, eur(250));
    until_refunded(&world, order, 250).await;
    assert_eq!(given(&world, order).await, [0, 250]);
    let transfers = world.core.ask(TransfersOf { order }).await.unwrap();
    let back: Vec<_> = transfers.iter().filter(|t| t.reason == "part_refund").collect();
    assert_eq!(back.len(), 2, "what the merchant gets and the fee, in proportion: {back:?}");
    // Without a merchant it is everybody's.
    world.core.ask(of_all(order, "rest")).await.unwrap();
    world.until_status(order, PaymentStatus::Refunded).await;
    assert_eq!(given(&world, order).await, GETS);
    assert!(world.balances_without_fees().await.is_empty(), "everything is where it came from");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refunds_at_once_are_each_paid_by_their_own_merchant() {
    let world = World::open().await;
    let order = world.paid(WHOLE, "card_ok").await;
    let asked = (10..20).map(|n| refund(order, usize::from(n % 2 == 1), Some(n), &format!("key {n}")));
    let answers = futures::future::join_all(asked.map(|refund| world.core.ask(refund))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    until_refunded(&world, order, 145).await;
    assert_eq!(given(&world, order).await, [10 + 12 + 14 + 16 + 18, 11 + 13 + 15 + 17 + 19]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_merchant_gives_more_than_it_got() {
    let world = World::open().await;
    let order = world.paid(WHOLE, "card_ok").await;
    let too_much = world.core.ask(refund(order, 0, Some(GETS[0] + 1), "too much")).await;
    assert_eq!(code(&too_much), Some(Code::AmountExceeded));
    let asked = (0..8).map(|n| refund(order, 0, Some(150), &format!("key {n}")));
    let answers = futures::future::join_all(asked.map(|refund| world.core.ask(refund))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2, "{answers:?}");
    assert!(answers.iter().filter(|answer| answer.is_err()).all(|answer| code(answer) == Some(Code::AmountExceeded)));
    let rest = world.core.ask(refund(order, 0, None, "rest")).await.unwrap();
    assert_eq!(rest.amount.amount(), GETS[0] - 300, "all that is left of this sale");
    let again = world.core.ask(refund(order, 0, None, "again")).await.unwrap();
    assert_eq!(rest.refund, again.refund, "all of it is on its way already");
    until_refunded(&world, order, GETS[0]).await;
    assert_eq!(given(&world, order).await, [GETS[0], 0]);
    let stranger = Refund { merchant: Some(MerchantId::from_u128(99)), ..refund(order, 0, None, "stranger") };
    let failure = world.core.ask(stranger).await.unwrap_err();
    let field = &failure.fields[0];
    assert_eq!((failure.code, field.pointer.as_str()), (Code::ValidationFailed, "/merchant"));
    assert_eq!(field.code, "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_merchant_s_refund() {
    let world = World::open().await;
    let order = world.paid(WHOLE, "card_ok").await;
    let first = world.core.ask(refund(order, 0, Some(70), "key")).await.unwrap();
    assert_eq!(world.core.ask(refund(order, 0, Some(70), "key")).await.unwrap().refund, first.refund);
    for other in [refund(order, 1, Some(70), "key"), Refund { amount: Some(eur(70)), ..of_all(order, "key") }] {
        assert_eq!(code(&world.core.ask(other).await), Some(Code::IdempotencyKeyReused));
    }
    until_refunded(&world, order, 70).await;
    assert_eq!(given(&world, order).await, [70, 0]);
}

/// A refund of the first merchant that the provider says nothing about yet.
async fn asked_and_silent(world: &World, order: OrderId, amount: i64) -> Uuid {
    let (pool, id) = (world.pool().await, Uuid::from_u128(RefundId::from_u128(1).as_u128()));
    sqlx::query(
        "with claimed as (
             update intent set refund_claimed = refund_claimed + $3 where order_id = $2 returning id)
         insert into refund (id, intent, key, amount, currency, reason, state, requested_at, merchant)
         select $1, id, 'silent', $3, 'EUR', 'return', 'asked', now(), $4 from claimed",
    )
    .bind(id)
    .bind(Uuid::from_u128(order.as_u128()))
    .bind(amount)
    .bind(Uuid::from_u128(merchant(0).as_u128()))
    .execute(&pool)
    .await
    .unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_leaves_open_the_answer_sets_right_and_a_refund_that_fails_costs_nobody_anything() {
    let mut world = World::open().await;
    let order = world.paid(WHOLE, "card_ok").await;
    let silent = asked_and_silent(&world, order, 50).await;
    // The provider does the second one's, but only its webhook arrives: it tells a sum, and the first one asked before.
    world.control("faults", json!({"operation": "refund", "mode": "drop_response", "count": 1_000})).await;
    world.core.ask(refund(order, 1, Some(30), "key")).await.unwrap();
    world.until(order, "the webhook", |state| state.amounts.refunded.amount() == 30).await;
    assert_eq!(given(&world, order).await, [30, 0]);
    world.switch(Switches { faults: Vec::new(), ..world.switches().await }).await;
    world.until_idle().await;
    assert_eq!(given(&world, order).await, [0, 30]);
    // Then the first one's is refused for good.
    world.control("faults", json!({"operation": "refund", "mode": "refuse", "status": 400})).await;
    let pool = world.pool().await;
    sqlx::query(
        "insert into job (kind, subject, intent, due_at, created_at)
         select 'refund', id, intent, now(), now() from refund where id = $1",
    )
    .bind(silent)
    .execute(&pool)
    .await
    .unwrap();
    bodega_tests::eventually("the exception", || async {
        world.exceptions().await.contains(&"refund_failed".to_owned()).then_some(())
    })
    .await;
    assert_eq!(given(&world, order).await, [0, 30]);
    assert_eq!(world.core.ask(refund(order, 0, None, "all")).await.unwrap().amount.amount(), GETS[0]);
    until_refunded(&world, order, 30 + GETS[0]).await;
    assert_eq!(given(&world, order).await, [GETS[0], 30]);
    only_other_books_differ(&mut world).await;
}

/// Has all books added up, with a payment behind them whose books are wrong: it is found and nothing else.
async fn only_other_books_differ(world: &mut World) {
    let wrong = sqlx::query_scalar(
        "insert into intent (id, order_id, buyer, provider, amount, currency, status, told_revision, tell_at, opened_at,
             captured, authorised, booked_captured)
         values (lpad('f', 32, 'f')::uuid, gen_random_uuid(), 'ses', 'simulator', 100, 'EUR', 'pending', 1, now(), now(),
             100, 100, 100) returning order_id",
    );
    let wrong: Uuid = wrong.fetch_one(&world.pool().await).await.unwrap();
    world.core.stop().await;
    world.core.start().await;
    let differing = bodega_tests::eventually("the books are added up", || async {
        let page = world.core.ask(Exceptions::default()).await.unwrap();
        let differ = page.items.into_iter().filter(|exception| exception.kind == "books_differ");
        let orders: Vec<OrderId> = differ.filter_map(|exception| exception.order).collect();
        (!orders.is_empty()).then_some(orders)
    })
    .await;
    assert_eq!(differing, [OrderId::from_u128(wrong.as_u128())]);
}
