//! Deletes what has lost its meaning: spent revocations, sessions that cannot be refreshed any more, old attempts.

use std::{sync::Arc, time::Duration};

use crate::{State, limits::SIGN_IN_WINDOW_MIN, store};

/// Seconds between two sweeps.
const SWEEP_EVERY_S: u64 = 60;

/// Runs until the stop.
pub(crate) async fn run(state: Arc<State>) {
    loop {
        let now = state.context.clock().now();
        let pool = state.context.postgres().pool();
        if let Err(error) = store::sweep(pool, now, now.plus_min(-SIGN_IN_WINDOW_MIN)).await {
            tracing::warn!(%error, "sweeping failed");
        }
        if state.context.tasks().pause(Duration::from_secs(SWEEP_EVERY_S)).await {
            return;
        }
    }
}
