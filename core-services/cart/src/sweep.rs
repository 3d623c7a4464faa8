//! Deletes guests' carts that nobody will come back to.

use std::{sync::Arc, time::Duration};

use crate::{
    State,
    limits::{ABANDONED_DAYS, SWEEP_ROWS_MAX},
    store,
};

/// Seconds between two sweeps.
const SWEEP_EVERY_S: u64 = 3_600;

/// Runs until the stop.
pub(crate) async fn run(state: Arc<State>) {
    loop {
        let before = state.context.clock().now().plus_days(-ABANDONED_DAYS);
        loop {
            match store::delete_abandoned(state.context.postgres().pool(), before, SWEEP_ROWS_MAX).await {
                Ok(0) => break,
                Ok(carts) => tracing::info!(carts, "abandoned carts were deleted"),
                Err(error) => {
                    tracing::warn!(%error, "sweeping failed");
                    break;
                }
            }
        }
        if state.context.tasks().pause(Duration::from_secs(SWEEP_EVERY_S)).await {
            return;
        }
    }
}
