//! `inventory.v1.{post,void,unpost}`: what an order decided about its hold, less what left it in parts. Repeating changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    id::{LocationId, OrderId},
    message::inventory::{HoldOf, HoldState, Post, Unpost, Void},
    stock::{Allocation, HoldChange, StockRow, standings},
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError, Tx, halving};

use super::{
    announce_standings, exceptions,
    hold::{ASKS_MAX, Again},
};
use crate::store;

/// How often a batch is decided anew because a hold came in between.
pub(super) const ROUNDS_MAX: usize = 5;

pub(crate) async fn post(inventory: Context, _call: Call, request: Post) -> Result<Vec<HoldState>, Failure> {
    inventory.failpoints().hit("inventory.before_post").await;
    let states = change(&inventory, HoldChange::Post, &request.orders).await?;
    inventory.failpoints().hit("inventory.after_post").await;
    Ok(states)
}

pub(crate) async fn void(inventory: Context, _call: Call, request: Void) -> Result<Vec<HoldState>, Failure> {
    change(&inventory, HoldChange::Void, &request.orders).await
}

pub(crate) async fn unpost(inventory: Context, _call: Call, request: Unpost) -> Result<Vec<HoldState>, Failure> {
    inventory.failpoints().hit("inventory.before_release").await;
    let states = change(&inventory, HoldChange::Release, &request.orders).await?;
    inventory.failpoints().hit("inventory.after_release").await;
    Ok(states)
}

pub(crate) async fn hold_of(inventory: Context, _call: Call, request: HoldOf) -> Result<HoldState, Failure> {
    state_of(&inventory, request.order).await
}

async fn state_of(inventory: &Context, order: OrderId) -> Result<HoldState, Failure> {
    let mut connection = inventory.postgres().pool().acquire().await.map_err(DatabaseError::from)?;
    let states = store::hold_states(&mut connection, &[order], false).await.map_err(DatabaseError::from)?;
    Ok(states.get(&order).copied().unwrap_or(HoldState::None))
}

/// Changes the holds of a batch and returns their states, in the order of the request. A batch that the database
/// refuses is halved until the culprit stands alone; that hold stays as it is, and its state says so.
pub(crate) async fn change(
    inventory: &Context,
    change: HoldChange,
    orders: &[OrderId],
) -> Result<Vec<HoldState>, Failure> {
    if orders.len() > ASKS_MAX {
        return Err(Failure::new(Code::BadRequest, "At most 512 orders at once."));
    }
    let isolate = |failure: &Failure| failure.code == Code::Internal;
    let changed = halving(orders, isolate, async |part: &[OrderId]| change_part(inventory, change, part).await).await;
    let mut states = Vec::with_capacity(orders.len());
    for (order, state) in orders.iter().zip(changed) {
        states.push(match state {
            Err(failure) if isolate(&failure) => state_of(inventory, *order).await?,
            state => state?,
        });
    }
    Ok(states)
}

/// Changes a part of a batch as a whole.
async fn change_part(inventory: &Context, change: HoldChange, orders: &[OrderId]) -> Result<Vec<HoldState>, Failure> {
    for _ in 0..ROUNDS_MAX {
        let changed = inventory
            .postgres()
            .transaction(|mut tx| {
                let inventory = inventory.clone();
                Box::pin(async move { apply(&inventory, &mut tx, change, orders).await })
            })
            .await;
        match changed {
            Ok(states) => {
                return Ok(orders.iter().map(|o| states.get(o).copied().unwrap_or(HoldState::None)).collect());
            }
            Err(TransactionError::Refused(Again)) => {}
            Err(TransactionError::Database(error)) => return Err(error.into()),
        }
    }
    Err(Code::Overloaded.into())
}

/// Holds under their locks.
pub(super) struct Held {
    /// All stock rows of their SKUs.
    pub(super) rows: Vec<StockRow>,
    /// An order without a hold is absent.
    pub(super) states: BTreeMap<OrderId, HoldState>,
    /// What is left in them; may be empty when all are voided.
    pub(super) lines: Vec<Allocation>,
}

/// Locks the stock rows of these orders' holds, then the holds. None when a hold came in between and its stock rows are
/// not locked: everything is to be rolled back and begun again.
pub(super) async fn lock(tx: &mut Tx<'_, '_>, orders: &[OrderId]) -> Result<Option<Held>, sqlx::Error> {
    let rows = store::lock_stock_of(tx, orders).await?;
    let states = store::hold_states(tx, orders, true).await?;
    let voided = states.values().all(|state| *state == HoldState::Voided);
    let lines = if voided { Vec::new() } else { store::hold_lines(tx, orders).await? };
    let locked: BTreeSet<(SkuNo, LocationId)> = rows.iter().map(|row| (row.sku_no, row.location)).collect();
    let covered = lines.iter().all(|line| locked.contains(&(line.sku_no, line.location)));
    Ok(covered.then_some(Held { rows, states, lines }))
}

async fn apply(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    change: HoldChange,
    orders: &[OrderId],
) -> Result<BTreeMap<OrderId, HoldState>, TransactionError<Again>> {
    let orders: Vec<OrderId> = orders.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let Held { mut rows, mut states, lines } = lock(tx, &orders).await?.ok_or(TransactionError::Refused(Again))?;
    let before = standings(&rows);
    let now = inventory.clock().now();
    let (mut changes, mut tombstones) = (Vec::new(), Vec::new());
    let mut deltas: BTreeMap<(SkuNo, LocationId), (i64, i64)> = BTreeMap::new();
    for order in &orders {
        let state = states.get(order).copied().unwrap_or(HoldState::None);
        let (next, pending, posted) = change.apply(state);
        if next == state {
            continue;
        }
        match state {
            HoldState::None => tombstones.push(*order),
            _ => changes.push((*order, next)),
        }
        states.insert(*order, next);
        for line in lines.iter().filter(|line| line.order == *order) {
            let delta = deltas.entry((line.sku_no, line.location)).or_default();
            delta.0 += pending * line.quantity;
            delta.1 += posted * line.quantity;
        }
    }
    if !tombstones.is_empty() && store::insert_tombstones(tx, &tombstones, now).await? < tombstones.len() {
        return Err(TransactionError::Refused(Again));
    }
    if changes.is_empty() {
        return Ok(states);
    }
    for row in &mut rows {
        if let Some((pending, posted)) = deltas.get(&(row.sku_no, row.location)) {
            row.pending += pending;
            row.posted += posted;
        }
    }
    let short = rows.iter().filter(|row| row.short > 0).map(|row| (row.sku_no, row.location));
    let short: Vec<_> = short.filter(|row| deltas.contains_key(row)).collect();
    store::move_stock(tx, &deltas).await?;
    exceptions::settle(inventory, tx, short.into_iter()).await?;
    store::set_hold_states(tx, &changes, now).await?;
    announce_standings(inventory, tx, &before, &standings(&rows)).await?;
    Ok(states)
}
