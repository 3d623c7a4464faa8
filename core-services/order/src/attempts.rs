//! Attempts to pay that count no more are deleted: who paid how often is nobody's business for longer.

use std::time::Duration;

use bodega_platform::Context;

use crate::{content::ATTEMPTS_COUNT_MIN, store};

/// Seconds between two looks.
const LOOK_EVERY_S: u64 = 600;

/// Deletes until the process stops.
pub(crate) async fn run(context: Context) {
    loop {
        let before = context.clock().now().plus_min(-ATTEMPTS_COUNT_MIN);
        if let Err(error) = store::quotas::delete_attempts_before(context.postgres().pool(), before).await {
            tracing::warn!(%error, "old attempts to pay could not be deleted");
        }
        if context.tasks().pause(Duration::from_secs(LOOK_EVERY_S)).await {
            return;
        }
    }
}
