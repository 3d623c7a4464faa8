//! Orders that have arrived are completed when nobody can send anything of them back any more.

use std::time::Duration;

use bodega_domain::{Failure, limits::RETURN_DAYS, message::order::StatusChanged, order::OrderStatus};
use bodega_platform::{Context, TransactionError, outbox};

use crate::store::{self, Entry};

/// Seconds between two looks.
const LOOK_EVERY_S: u64 = 60;
/// Orders that are completed in one transaction.
const COMPLETE_MAX: i64 = 200;

/// Completes until the process stops.
pub(crate) async fn run(context: Context) {
    loop {
        match complete(&context).await {
            Ok(done) if i64::try_from(done).is_ok_and(|done| done == COMPLETE_MAX) => continue,
            Ok(_) => {}
            Err(failure) => tracing::warn!(%failure, "orders could not be completed; they stay due"),
        }
        if context.tasks().pause(Duration::from_secs(LOOK_EVERY_S)).await {
            return;
        }
    }
}

async fn complete(context: &Context) -> Result<usize, Failure> {
    let done = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                let done = store::units::complete(&mut tx, now.plus_days(-RETURN_DAYS), COMPLETE_MAX).await?;
                let status = OrderStatus::Completed;
                let entry = |order: &_| {
                    let data = serde_json::json!({ "status": status });
                    Entry { order: *order, what: "status_changed", who: "service:order".to_owned(), data }
                };
                let entries: Vec<Entry> = done.iter().map(entry).collect();
                store::append_history(&mut tx, &entries, now).await?;
                let events: Vec<_> =
                    done.iter().map(|order| context.event(*order, &StatusChanged { order: *order, status })).collect();
                outbox::append(&mut tx, &events).await?;
                Ok::<_, TransactionError<Failure>>(done.len())
            })
        })
        .await?;
    Ok(done)
}
