//! Holds whose order never came: inventory asks the order service, and only its word voids a hold.

use std::time::Duration;

use bodega_domain::{
    id::OrderId,
    message::order::{Abandon, AbandonVerdict},
    stock::HoldChange,
};
use bodega_platform::Context;

use crate::{requests::change::change, store};

/// Holds asked about at once.
const ASK_BATCH_MAX: i64 = 128;
/// Milliseconds between two looks for holds to ask about.
const ASK_EVERY_MS: u64 = 500;

/// Asks until the process stops.
pub(crate) async fn run(inventory: Context) {
    while !inventory.tasks().pause(Duration::from_millis(ASK_EVERY_MS)).await {
        if let Err(error) = sweep(&inventory).await {
            tracing::warn!(error, "holds could not be asked about; they stay and are asked about again");
        }
    }
}

async fn sweep(inventory: &Context) -> Result<(), String> {
    let now = inventory.clock().now();
    let pool = inventory.postgres().pool();
    let orders = store::holds_to_ask(pool, now, ASK_BATCH_MAX).await.map_err(|e| e.to_string())?;
    if orders.is_empty() {
        return Ok(());
    }
    let context = inventory.request_context();
    let request = Abandon { orders: orders.clone() };
    let verdicts = inventory.bus().request(&request, &context).await.map_err(|e| e.to_string())?;
    let with = |wanted: AbandonVerdict| -> Vec<OrderId> {
        orders.iter().zip(&verdicts).filter(|(_, v)| **v == wanted).map(|(o, _)| *o).collect()
    };
    let abandoned = with(AbandonVerdict::Abandoned);
    if !abandoned.is_empty() {
        tracing::info!(holds = abandoned.len(), "holds without an order are given back");
        change(inventory, HoldChange::Void, &abandoned).await.map_err(|e| e.to_string())?;
    }
    let exist = with(AbandonVerdict::Exists);
    if !exist.is_empty() {
        store::stop_asking(pool, &exist).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}
