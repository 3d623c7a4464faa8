//! The core is killed while orders are called off, expire and are refunded: each ends once, and nothing is left behind.

use std::{collections::BTreeMap, time::Duration};

use bodega_domain::{
    Code, Failure,
    message::{inventory::HoldState, order::Cancel},
    order::{OrderStatus, OrderView},
};
use bodega_platform::{RequestContext, sqlx};
use bodega_tests::eventually_within;

use crate::{
    crash::{Plan, Process, STALL_MS, open_apart, until_answering},
    shop::{BREAD, Guest, LAMP, ON_HAND, Shop},
};

/// Kills of a run: each point twice.
const ROUNDS: usize = 2 * POINTS.len();
/// The seed of the plan, printed with every failure.
const SEED: u64 = 0x0bad_cafe;
/// After a kill a saga may be somebody else's for a while, and pauses grow.
const PATIENCE: Duration = Duration::from_secs(180);

/// How an order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undo {
    /// Called off before it was paid.
    Cancel,
    /// Not paid in time.
    Expire,
    /// Called off when it was paid.
    Refund,
}

/// Every point between an order and its end, with what comes by there.
const POINTS: &[(&str, &[Undo])] = &[
    ("order.before_close", &[Undo::Cancel, Undo::Expire]),
    ("order.after_close", &[Undo::Cancel, Undo::Expire]),
    ("payment.after_cancel", &[Undo::Cancel, Undo::Expire]),
    ("order.before_refund", &[Undo::Refund]),
    ("order.after_refund", &[Undo::Refund]),
    ("payment.after_refund", &[Undo::Refund]),
    ("order.before_release", &[Undo::Cancel, Undo::Expire, Undo::Refund]),
    ("inventory.before_release", &[Undo::Cancel, Undo::Expire, Undo::Refund]),
    ("inventory.after_release", &[Undo::Cancel, Undo::Expire, Undo::Refund]),
    ("order.after_release", &[Undo::Cancel, Undo::Expire, Undo::Refund]),
];

struct Round {
    point: &'static str,
    undo: Undo,
    guest: Guest,
    order: OrderView,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_is_undone_an_order_ends_once_and_leaves_nothing_behind() {
    let (shop, configuration) = open_apart().await;
    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    let mut plan = Plan(SEED);
    let mut rounds = Vec::new();
    for n in 0..ROUNDS {
        let (point, undos) = POINTS[n % POINTS.len()];
        let chosen = usize::try_from(plan.next() % u64::try_from(undos.len()).unwrap()).unwrap();
        let (undo, guest) = (undos[chosen], shop.guest());
        let method = if undo == Undo::Refund { "card_ok" } else { "card_refused" };
        let order = shop.buy(&guest, &[(BREAD, 1), (LAMP, 1)], "k", method).await;
        if undo == Undo::Refund {
            shop.until_status(&guest, order.id, OrderStatus::Paid).await;
        }
        rounds.push(Round { point, undo, guest, order });
    }
    process.kill();

    let mut killed_at: BTreeMap<&str, u32> = BTreeMap::new();
    for round in &rounds {
        let process = Process::start(&configuration, &format!("{}=delay:{STALL_MS}", round.point));
        begin(&shop, round, &process).await;
        process.kill();
        *killed_at.entry(round.point).or_default() += 1;
    }
    assert_eq!(killed_at.len(), POINTS.len(), "seed {SEED:#x}: {killed_at:?}");

    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    let pool = shop.core.pool("order").await;
    sqlx::query("update saga set due = now() where due is not null").execute(&pool).await.unwrap();
    for round in &rounds {
        check(&shop, round).await;
    }
    let left: i64 =
        sqlx::query_scalar("select coalesce(sum(used), 0)::bigint from quota").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0, "every quota came back, seed {SEED:#x}");
    for sku in [BREAD, LAMP] {
        let level = shop.level(sku).await;
        assert_eq!((level.pending, level.posted, level.available), (0, 0, 2 * ON_HAND), "{sku}, seed {SEED:#x}");
    }
    shop.assert_balanced().await;
    process.kill();
    shop.close().await;
}

async fn call_off(shop: &Shop, round: &Round) -> Result<OrderView, Failure> {
    let id = RequestContext::service(&shop.core.clock, &bodega_platform::Entropy).request_id;
    let context = RequestContext::bearer(id, Some(round.guest.token.clone()));
    let cancel = Cancel { order: round.order.id, key: "c".into(), lines: Vec::new(), refund: None, reason: None };
    let within = context.within(&shop.core.clock, Duration::from_secs(3));
    shop.core.bus.request(&cancel, &within).await.map_err(Failure::from)
}

/// Begins to undo the order, again and again, until the process stalls.
async fn begin(shop: &Shop, round: &Round, process: &Process) {
    if round.undo == Undo::Expire {
        sqlx::query("update saga set pay_by = now() - interval '1 minute', due = now() where order_id = $1")
            .bind(sqlx::types::Uuid::from_u128(round.order.id.as_u128()))
            .execute(&shop.core.pool("order").await)
            .await
            .unwrap();
    }
    eventually_within(PATIENCE, &format!("the core to stall at {}", round.point), || async {
        let mut told = process.stalled.clone();
        let stalled = async { told.wait_for(|stalled| *stalled).await.is_ok() };
        if process.is_stalled() {
            return Some(());
        }
        if round.undo == Undo::Expire {
            return None;
        }
        let answer = tokio::select! {
            answer = call_off(shop, round) => answer,
            true = stalled => return Some(()),
        };
        if let Err(failure) = answer {
            let fine = [Code::CoreUnavailable, Code::OutcomeUnknown, Code::DeadlineExceeded, Code::Overloaded];
            assert!(fine.contains(&failure.code), "a crash is never told like this: {failure}");
        }
        None
    })
    .await;
}

async fn check(shop: &Shop, round: &Round) {
    let what = format!("{:?} killed at {}, seed {SEED:#x}", round.undo, round.point);
    let order = eventually_within(PATIENCE, &what, || async {
        if round.undo != Undo::Expire {
            // The same key: where the kill came before the commit nothing was done yet.
            call_off(shop, round).await.ok()?;
        }
        let order = shop.get(&round.guest, round.order.id).await;
        let end = if round.undo == Undo::Expire { OrderStatus::Expired } else { OrderStatus::Cancelled };
        let given_back = order.payment.amounts.refunded == order.payment.amounts.captured;
        let over = order.status == end && shop.hold(order.id).await == HoldState::Voided;
        (over && given_back).then_some(order)
    })
    .await;
    let taken = if round.undo == Undo::Refund { round.order.totals.total.amount() } else { 0 };
    assert_eq!(order.payment.amounts.captured.amount(), taken, "{what}");
}
