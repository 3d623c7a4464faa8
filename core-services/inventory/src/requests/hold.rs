//! `inventory.v1.hold`: stock for a batch of orders, each whole or not at all, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    id::{LocationId, OrderId},
    limits::CART_LINES_MAX,
    message::inventory::{Hold, HoldAsk, HoldVerdict},
    stock::{decide_holds, standings},
};
use bodega_platform::{Call, Context, TransactionError, Tx, halving};

use super::announce_standings;
use crate::store;

/// Asks in one message. The order service sends at most a batch of its own.
pub(crate) const ASKS_MAX: usize = 512;
/// How often a batch is decided anew because a tombstone came in between.
const ROUNDS_MAX: usize = 5;

/// A tombstone was written while this batch was decided: everything is rolled back and decided again.
pub(crate) struct Again;

pub(crate) async fn hold(inventory: Context, _call: Call, request: Hold) -> Result<Vec<HoldVerdict>, Failure> {
    let lines_fit = request.asks.iter().all(|ask| !ask.lines.is_empty() && ask.lines.len() <= CART_LINES_MAX);
    let quantities_fit = request.asks.iter().flat_map(|ask| &ask.lines).all(|line| line.quantity > 0);
    if request.asks.len() > ASKS_MAX || !lines_fit || !quantities_fit {
        return Err(Failure::new(Code::BadRequest, "A hold needs 1 to 200 lines of at least one unit each."));
    }
    if request.asks.is_empty() {
        return Ok(Vec::new());
    }
    inventory.failpoints().hit("inventory.before_hold").await;
    let isolate = |failure: &Failure| failure.code == Code::Internal;
    let held = halving(&request.asks, isolate, async |part: &[HoldAsk]| hold_part(&inventory, part).await).await;
    held.into_iter()
        .map(|verdict| match verdict {
            Err(failure) if isolate(&failure) => Ok(HoldVerdict::Failed),
            verdict => verdict,
        })
        .collect()
}

/// Holds for a part of a batch as a whole. One that the database refuses is halved until the culprit stands alone.
async fn hold_part(inventory: &Context, asks: &[HoldAsk]) -> Result<Vec<HoldVerdict>, Failure> {
    for _ in 0..ROUNDS_MAX {
        let decided = inventory
            .postgres()
            .transaction(|mut tx| Box::pin(async move { decide(inventory, &mut tx, asks).await }))
            .await;
        match decided {
            Ok(verdicts) => {
                inventory.failpoints().hit("inventory.after_hold").await;
                return Ok(verdicts);
            }
            Err(TransactionError::Refused(Again)) => {}
            Err(TransactionError::Database(error)) => return Err(error.into()),
        }
    }
    Err(Code::Overloaded.into())
}

async fn decide(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    asks: &[HoldAsk],
) -> Result<Vec<HoldVerdict>, TransactionError<Again>> {
    let skus: BTreeSet<SkuNo> = asks.iter().flat_map(|ask| &ask.lines).map(|line| line.sku_no).collect();
    let skus: Vec<SkuNo> = skus.into_iter().collect();
    let orders: Vec<OrderId> = asks.iter().map(|ask| ask.order).collect();
    let mut rows = store::lock_stock(tx, &skus).await?;
    let existing = store::hold_states(tx, &orders, false).await?;
    let before = standings(&rows);
    let decision = decide_holds(&mut rows, &existing, asks);
    if decision.allocations.is_empty() {
        return Ok(decision.verdicts);
    }
    let now = inventory.clock().now();
    let mut held: BTreeMap<OrderId, &HoldAsk> = BTreeMap::new();
    let mut pending: BTreeMap<(SkuNo, LocationId), i64> = BTreeMap::new();
    for allocation in &decision.allocations {
        *pending.entry((allocation.sku_no, allocation.location)).or_default() += allocation.quantity;
        if let Some(ask) = asks.iter().find(|ask| ask.order == allocation.order) {
            held.entry(ask.order).or_insert(ask);
        }
    }
    let held: Vec<&HoldAsk> = held.into_values().collect();
    if store::insert_holds(tx, &held, &decision.allocations, &pending, now).await? < held.len() {
        return Err(TransactionError::Refused(Again));
    }
    announce_standings(inventory, tx, &before, &standings(&rows)).await?;
    Ok(decision.verdicts)
}
