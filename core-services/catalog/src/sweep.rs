//! Takes spent revocations off the edges, and forgets deletions that every living edge has long been told of.

use std::{sync::Arc, time::Duration};

use bodega_domain::{Timestamp, catalog::keys};
use bodega_platform::{DatabaseError, TransactionError};

use crate::{
    State,
    limits::{DELETIONS_TOLD_DAYS, SWEEP_ROWS_MAX},
    requests::put_views,
    store::{feed, read},
};

/// Seconds between two sweeps.
const SWEEP_EVERY_S: u64 = 60;

/// Runs until the stop.
pub(crate) async fn run(state: Arc<State>) {
    loop {
        let now = state.context.clock().now();
        drop_spent_revocations(&state, now).await;
        if let Err(error) = forget_deletions(&state, now.plus_days(-DELETIONS_TOLD_DAYS)).await {
            tracing::warn!(%error, "old deletions stay for now");
        }
        if state.context.tasks().pause(Duration::from_secs(SWEEP_EVERY_S)).await {
            return;
        }
    }
}

/// The last token of their session has expired.
async fn drop_spent_revocations(state: &State, now: Timestamp) {
    match read::spent_revocations(state.context.postgres().pool(), now).await {
        Ok(sessions) if sessions.is_empty() => {}
        Ok(sessions) => {
            let entries: Vec<_> = sessions.into_iter().map(|key| (keys::REVOKED.to_owned(), key, None)).collect();
            if let Err(error) = put_views::put(state, &entries).await {
                tracing::warn!(%error, "spent revocations stay for now");
            }
        }
        Err(error) => tracing::warn!(%error, "spent revocations could not be looked for"),
    }
}

async fn forget_deletions(state: &State, before: Timestamp) -> Result<(), DatabaseError> {
    loop {
        let forgotten = state.context.postgres().transaction(|mut tx| {
            Box::pin(async move {
                let forgotten = feed::forget_deletions(&mut tx, before, SWEEP_ROWS_MAX).await;
                forgotten.map_err(TransactionError::<std::convert::Infallible>::from)
            })
        });
        if forgotten.await? == 0 {
            return Ok(());
        }
    }
}
