//! Asks the order service to forget who a deleted account was, until it has heard.

use std::{sync::Arc, time::Duration};

use bodega_domain::{message::order::Forget, principal::Owner};

use crate::{
    State,
    limits::{FORGET_AGAIN_MAX_S, FORGET_AGAIN_S, FORGET_BATCH_MAX, LAST_ORDER_MIN},
    store::{self, deletion::Due},
};

/// Milliseconds between two looks.
const LOOK_EVERY_MS: u64 = 500;

/// Runs until the stop.
pub(crate) async fn run(state: Arc<State>) {
    loop {
        let now = state.context.clock().now();
        let pool = state.context.postgres().pool();
        match store::deletion::take(pool, now, (FORGET_AGAIN_S, FORGET_AGAIN_MAX_S), FORGET_BATCH_MAX).await {
            Ok(due) => {
                for deletion in due {
                    ask(&state, deletion).await;
                }
            }
            Err(error) => tracing::warn!(%error, "deleted accounts cannot be read"),
        }
        if state.context.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
            return;
        }
    }
}

/// Asked at once, and once more when no checkout of the account can be under way any more: one that began before the
/// deletion may be committed after the first asking.
async fn ask(state: &State, deletion: Due) {
    let context = &state.context;
    let (now, last_order) = (context.clock().now(), deletion.asked.plus_min(LAST_ORDER_MIN));
    let forget = Forget { owner: Owner::Account(deletion.account) };
    if let Err(error) = context.bus().request(&forget, &context.request_context()).await {
        tracing::debug!(%error, account = %deletion.account, "the order service has not heard; it is asked again");
        return;
    }
    let again = (now < last_order).then_some(last_order);
    if let Err(error) = store::deletion::heard(context.postgres().pool(), deletion.account, now, again).await {
        tracing::warn!(%error, "what was heard cannot be noted; it is asked again");
    }
}
