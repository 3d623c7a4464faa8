//! Tells the order service what changed, until it says that it heard.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bodega_domain::{id::IntentId, message::order::PaymentChanged};
use bodega_platform::Context;
use tokio::sync::{Mutex, mpsc};

use crate::{
    intent::Intent,
    limits::{JOB_LOOK_MS, TELL_AGAIN_MS, TELL_BATCH_MAX, TELL_MAX_MS},
    store,
};

/// Tells what just changed, in batches of what waits.
pub(crate) async fn run(context: Context, news: Arc<Mutex<mpsc::Receiver<Arc<Intent>>>>) {
    let stopping = context.tasks().stopping();
    loop {
        let mut waiting = Vec::new();
        let take = async { news.lock().await.recv_many(&mut waiting, TELL_BATCH_MAX).await };
        tokio::select! {
            () = stopping.cancelled() => return,
            taken = take => if taken == 0 { return },
        }
        context.failpoints().hit("payment.before_tell").await;
        tell(&context, waiting.iter().map(|intent| &**intent)).await;
    }
}

/// Tells again what nobody acknowledged.
pub(crate) async fn look(context: Context) {
    let limit = i64::try_from(TELL_BATCH_MAX).unwrap_or(i64::MAX);
    loop {
        let now = context.clock().now();
        let pool = context.postgres().pool();
        match store::intents::take_untold(pool, now, (TELL_AGAIN_MS, TELL_MAX_MS), limit).await {
            Ok(intents) => {
                let full = intents.len() >= TELL_BATCH_MAX;
                tell(&context, intents.iter()).await;
                if full {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "news that nobody acknowledged cannot be read"),
        }
        if context.tasks().pause(Duration::from_millis(JOB_LOOK_MS)).await {
            return;
        }
    }
}

async fn tell(context: &Context, intents: impl Iterator<Item = &Intent>) {
    // The newest word about each.
    let mut newest: BTreeMap<IntentId, &Intent> = BTreeMap::new();
    for intent in intents {
        let known = newest.entry(intent.id).or_insert(intent);
        if known.revision < intent.revision {
            *known = intent;
        }
    }
    if newest.is_empty() {
        return;
    }
    let ask = PaymentChanged { intents: newest.values().map(|intent| intent.state()).collect() };
    match context.bus().request(&ask, &context.request_context()).await {
        Ok(_) => {
            let told: Vec<_> = newest.values().map(|intent| (intent.id, intent.revision)).collect();
            if let Err(error) = store::intents::mark_told(context.postgres().pool(), &told).await {
                tracing::warn!(%error, "what was told cannot be noted; it is told again");
            }
        }
        Err(error) => tracing::debug!(%error, count = newest.len(), "nobody heard; it is told again"),
    }
}
