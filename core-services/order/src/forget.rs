//! Empties the contacts of orders that somebody wants to be forgotten with. One place does it, whoever asked: orders that
//! have ended at once, the others when they end, for which this looks now and then instead of every end of an order.

use std::time::Duration;

use bodega_domain::Failure;
use bodega_platform::{Context, TransactionError};

use crate::store::{self, Entry, forget::Which};

/// Seconds between two looks.
const LOOK_EVERY_S: u64 = 5;
/// Contacts that are emptied in one transaction.
const EMPTY_MAX: i64 = 200;

/// Empties until the process stops.
pub(crate) async fn run(context: Context) {
    loop {
        if let Err(failure) = empty(&context, Which::All).await {
            tracing::warn!(%failure, "contacts could not be emptied; they stay due");
        }
        if context.tasks().pause(Duration::from_secs(LOOK_EVERY_S)).await {
            return;
        }
    }
}

/// Empties what is due of these, all of it.
pub(crate) async fn empty(context: &Context, which: Which<'_>) -> Result<(), Failure> {
    loop {
        let emptied = context
            .postgres()
            .transaction(|mut tx| {
                Box::pin(async move {
                    let now = context.clock().now();
                    let emptied = store::forget::empty(&mut tx, which, now, EMPTY_MAX).await?;
                    let count = emptied.len();
                    let entry = |(order, who)| {
                        let data = serde_json::json!({});
                        Entry { order, what: "contact_forgotten", who, data }
                    };
                    let entries: Vec<Entry> = emptied.into_iter().map(entry).collect();
                    store::append_history(&mut tx, &entries, now).await?;
                    Ok::<_, TransactionError<Failure>>(count)
                })
            })
            .await?;
        if i64::try_from(emptied).is_ok_and(|emptied| emptied < EMPTY_MAX) {
            return Ok(());
        }
    }
}
