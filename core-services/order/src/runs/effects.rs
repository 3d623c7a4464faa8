//! What the end of a run changes in its order: done, or as if nothing had happened.

use bodega_domain::{
    message::order::{LinesCancelled, ReturnChanged, Shipped},
    order::{ReturnState, ShipmentState},
    saga::table::Way,
};
use bodega_platform::{Context, TransactionError, Tx};

use super::{Moving, Subject};
use crate::store::{self, runs::StoredRun};

/// Ends a run within the transaction that decided so.
pub(super) async fn end<E>(
    context: &Context,
    tx: &mut Tx<'_, '_>,
    mut moving: Moving<'_>,
    run: &StoredRun,
) -> Result<(), TransactionError<E>> {
    let done = run.run.way == Way::Done;
    let work = &run.work;
    let (order, now) = (run.order, context.clock().now());
    match work.subject {
        Subject::Shipment(id) => {
            moving.change(&work.units, |units, count| {
                units.preparing = units.preparing.saturating_sub(count);
                units.shipped += if done { count } else { 0 };
            });
            let shipments = store::units::shipments(&mut **tx, &[order]).await?;
            if let Some((_, mut shipment)) = shipments.into_iter().find(|(_, shipment)| shipment.id == id) {
                shipment.state = if done { ShipmentState::Shipped } else { ShipmentState::Failed };
                shipment.shipped_at = done.then_some(now);
                shipment.taken.clone_from(&run.work.taken);
                store::units::put_shipment(tx, &shipment).await?;
            }
            let data = serde_json::json!({ "shipment": id, "units": work.skus, "taken": work.take });
            moving.note(if done { "shipped" } else { "shipment_failed" }, &run.who, data);
            if done {
                moving.events.push(context.event(order, &Shipped { order, shipment: id }));
            }
        }
        Subject::Cancellation(id) => {
            if !done {
                moving.change(&work.units, |units, count| units.cancelled = units.cancelled.saturating_sub(count));
                give_back_not(tx, &mut moving, run).await?;
            }
            let data = serde_json::json!({ "cancellation": id, "units": work.skus, "refund": work.refund });
            moving.note(if done { "lines_cancelled" } else { "lines_kept" }, &run.who, data);
            if done {
                let lines = crate::requests::by_sku(moving.stored, &work.units);
                moving.events.push(context.event(order, &LinesCancelled { order, lines }));
            }
        }
        Subject::Return(id) => {
            let state = if done { ReturnState::Received } else { ReturnState::Approved };
            if done {
                let came = |n: u16| work.units.iter().find(|(of, _)| *of == n).map_or(0, |(_, count)| *count);
                let missing = work.asked.iter().map(|(n, count)| (*n, count.saturating_sub(came(*n)))).collect();
                moving.change(&missing, |units, count| units.returning = units.returning.saturating_sub(count));
            } else {
                moving.change(&work.units, |units, count| {
                    units.returned = units.returned.saturating_sub(count);
                    units.returning += count;
                });
                give_back_not(tx, &mut moving, run).await?;
            }
            let returns = store::units::returns(&mut **tx, &[order]).await?;
            if let Some((_, mut asked)) = returns.into_iter().find(|(_, asked)| asked.id == id) {
                asked.state = state;
                if !done {
                    asked.units.clone_from(&work.asked);
                    asked.refund = None;
                }
                store::units::put_return(tx, &asked).await?;
            }
            let data =
                serde_json::json!({ "return": id, "units": work.skus, "shelf": work.shelf, "refund": work.refund });
            moving.note(if done { "return_received" } else { "return_reopened" }, &run.who, data);
            if done {
                moving.events.push(context.event(order, &ReturnChanged { order, r#return: id, state }));
            }
        }
    }
    if !done && store::runs::all_undone(tx, run).await? {
        // Only success is remembered: the same key may come again, unless a part of what it asked for was done.
        store::saga::forget_key(tx, &run.who, &run.key).await?;
    }
    moving.write(context, tx).await?;
    Ok(())
}

/// The money stays where it is.
async fn give_back_not(tx: &mut Tx<'_, '_>, moving: &mut Moving<'_>, run: &StoredRun) -> Result<(), sqlx::Error> {
    let amount = run.work.refund.map_or(0, |refund| refund.amount());
    moving.refund(&run.work.refunds, -1);
    store::units::refund_part(tx, run.order, run.work.merchant, -amount).await
}
