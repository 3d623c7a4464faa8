//! Lays the books beside the provider's settlement report and beside themselves, and forgets what is old.

use std::time::Duration;

use bodega_domain::Timestamp;
use bodega_platform::Context;

use crate::{
    limits::{CLEAN_EVERY_S, SETTLEMENT_EVERY_S, SETTLEMENT_PAGE, WEBHOOK_DAYS},
    provider::{Provider, Providers},
    store,
};

/// Minutes by which a report is read again, for lines that arrive late.
const OVERLAP_MIN: i64 = 60;
/// Pages of a report in one go.
const PAGES_MAX: usize = 1_000;

/// Why a report was not taken in.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("provider: {0}")]
    Provider(#[from] crate::provider::ProviderError),
}

/// Takes settlement reports in, and asks about what they know and we do not.
pub(crate) async fn settlements(context: Context, providers: Providers) {
    loop {
        for (name, provider) in providers.iter() {
            if let Err(error) = take_in(&context, name, provider.as_ref()).await {
                tracing::warn!(provider = name, %error, "the settlement report cannot be taken in");
            }
        }
        if context.tasks().pause(Duration::from_secs(SETTLEMENT_EVERY_S)).await {
            return;
        }
    }
}

async fn take_in(context: &Context, name: &str, provider: &dyn Provider) -> Result<(), AuditError> {
    let (pool, now) = (context.postgres().pool(), context.clock().now());
    let newest = store::settlements::newest(pool, name).await?;
    let since = newest.map_or(Timestamp::from_unix_ms(0), |at| at.plus_min(-OVERLAP_MIN));
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let lines = provider.settlement(since, after.as_deref()).await?;
        store::settlements::insert(pool, name, &lines, now, context.entropy()).await?;
        after = lines.last().map(|line| line.line.clone());
        if lines.len() < SETTLEMENT_PAGE {
            break;
        }
    }
    let unheard = store::settlements::ask_about_unheard(pool, name, now).await?;
    if unheard > 0 {
        tracing::warn!(provider = name, unheard, "the report knows of money that no webhook told of; asking");
    }
    Ok(())
}

/// Forgets old webhooks and adds the books up anew.
pub(crate) async fn sweep(context: Context) {
    loop {
        let (pool, now) = (context.postgres().pool(), context.clock().now());
        match store::records::delete_webhooks(pool, now.plus_days(-WEBHOOK_DAYS)).await {
            Ok(count) => tracing::debug!(count, "old webhooks are forgotten"),
            Err(error) => tracing::warn!(%error, "old webhooks cannot be forgotten"),
        }
        match store::settlements::books_that_differ(pool).await {
            Ok(differing) => {
                for (intent, order) in differing {
                    tracing::error!(%intent, %order, "the books of a payment do not add up");
                }
            }
            Err(error) => tracing::warn!(%error, "the books cannot be added up"),
        }
        if context.tasks().pause(Duration::from_secs(CLEAN_EVERY_S)).await {
            return;
        }
    }
}
