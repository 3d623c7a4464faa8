//! Hears that the catalogue's log has grown, and wakes every worker.

use std::sync::Arc;

use bodega_domain::{
    Timestamp,
    message::catalog::{EDGE_FEED, ViewsChanged},
};
use futures::StreamExt as _;

use crate::State;

/// What was told last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// The last position.
    pub(crate) head: i64,
    /// When this process learned of it.
    pub(crate) at: Timestamp,
}

/// Listens until the stop or until the subscription ends, and is then begun anew.
pub(crate) async fn listen(state: Arc<State>) {
    let stopping = state.context.tasks().stopping();
    let mut messages = match state.context.bus().client().subscribe(EDGE_FEED).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::debug!(%error, "the change log cannot be heard; it is looked at every second");
            return;
        }
    };
    loop {
        let message = tokio::select! {
            () = stopping.cancelled() => return,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        if let Ok(changed) = serde_json::from_slice::<ViewsChanged>(&message.payload) {
            note(&state, changed.head);
        }
    }
}

/// Notes a head that somebody told or saw; only a larger one wakes.
pub(crate) fn note(state: &State, head: i64) {
    let at = state.context.clock().now();
    state.told.send_if_modified(|told| {
        let newer = told.head < head;
        if newer {
            *told = Told { head, at };
        }
        newer
    });
}
