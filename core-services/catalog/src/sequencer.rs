//! Gives committed changes their positions and wakes the replicator.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_nats::jetstream::stream;
use bodega_domain::message::catalog::{EDGE_FEED, ViewsChanged};
use bodega_platform::{DatabaseError, TransactionError};

use crate::{
    State,
    store::feed::{self, Sequenced},
};

/// Milliseconds between two looks when nothing in this process changed views: another process may have.
const LOOK_EVERY_MS: u64 = 250;
/// Milliseconds to wait after the database failed.
const FAILURE_PAUSE_MS: u64 = 500;
/// Hours for which the change log is kept. It only wakes; truth is in Postgres.
const FEED_HOURS: u64 = 72;

/// Runs until the stop. Several processes may: a row lock lets one work at a time.
pub(crate) async fn run(state: Arc<State>) {
    let stopping = state.context.tasks().stopping();
    let mut stream_made = false;
    loop {
        let pause = match sequence(&state).await {
            Ok(Some(Sequenced { given: 0, .. }) | None) => LOOK_EVERY_MS,
            Ok(Some(Sequenced { head, .. })) => {
                stream_made = stream_made || make_stream(&state).await;
                tell(&state, head).await;
                // More may have come meanwhile.
                0
            }
            Err(error) => {
                tracing::warn!(%error, "changes wait for their positions");
                FAILURE_PAUSE_MS
            }
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = state.changed.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
        }
    }
}

/// One run of the sequencer.
pub(crate) async fn sequence(state: &State) -> Result<Option<Sequenced>, DatabaseError> {
    let now = state.context.clock().now();
    state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move { feed::sequence(&mut tx, now).await.map_err(TransactionError::<Infallible>::from) })
        })
        .await
        .map_err(DatabaseError::from)
}

/// Says where the log ends now. Who misses it looks by itself.
async fn tell(state: &State, head: i64) {
    let payload = serde_json::to_vec(&ViewsChanged { head }).unwrap_or_default();
    if let Err(error) = state.context.bus().client().publish(EDGE_FEED, payload.into()).await {
        tracing::debug!(%error, "the change log could not be told");
    }
}

/// Makes the stream that keeps the log; without it the log is still heard, only not kept.
async fn make_stream(state: &State) -> bool {
    let config = stream::Config {
        name: "edgefeed".to_owned(),
        subjects: vec![EDGE_FEED.to_owned(), format!("{EDGE_FEED}.>")],
        max_age: Duration::from_secs(FEED_HOURS * 3_600),
        ..Default::default()
    };
    let mut jetstream = state.context.bus().jetstream();
    jetstream.set_timeout(Duration::from_secs(2));
    match jetstream.get_or_create_stream(config).await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "the stream of the change log could not be made");
            false
        }
    }
}
