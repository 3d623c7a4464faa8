//! The public keys, brought to every edge by the one channel that reaches them.

use std::{sync::Arc, time::Duration};

use bodega_domain::{catalog::keys, message::catalog::PutViews};

use crate::State;

/// Key of the view.
const VIEW_KEY: &str = "identity";
/// Milliseconds between two attempts until it is done.
const RETRY_MS: u64 = 500;
/// Minutes between two repetitions: a restored catalogue may have forgotten.
const REPEAT_MIN: u64 = 5;

/// Asks until it is done, and again now and then. The same keys twice change nothing.
pub(crate) async fn put_to_edges(state: Arc<State>) {
    loop {
        let body = serde_json::to_value(state.context.config().keys.account_keys()).unwrap_or_default();
        let ask = PutViews { entries: vec![(keys::PUBLIC_KEYS.to_owned(), VIEW_KEY.to_owned(), Some(body))] };
        let pause = match state.context.bus().request(&ask, &state.context.request_context()).await {
            Ok(_) => Duration::from_secs(REPEAT_MIN * 60),
            Err(error) => {
                tracing::debug!(%error, "the public keys are not at the catalogue yet");
                Duration::from_millis(RETRY_MS)
            }
        };
        if state.context.tasks().pause(pause).await {
            return;
        }
    }
}
