//! Lays the books beside the provider's settlement report and beside themselves, and forgets what is old.

use std::{collections::BTreeSet, time::Duration};

use bodega_domain::{
    Failure, Timestamp,
    id::{IntentId, OrderId},
};
use bodega_platform::{Batcher, Context, DatabaseError, TransactionError};

use crate::{
    changes::NewException,
    engine::Command,
    limits::{
        ADD_UP_PAGE, ADD_UP_PAUSE_MS, CAPTURE_WARN_HOURS, CLEAN_EVERY_S, EARLY_EVERY_S, EARLY_HOURS, EARLY_TAKE_MAX,
        PAGE_MAX, SETTLEMENT_EVERY_S, SETTLEMENT_PAGE, UNMATCHED_AFTER_MIN, WEBHOOK_DAYS,
    },
    provider::{Provider, Providers},
    requests::webhook::taught,
    store,
    work::Outcome,
};

/// Minutes by which a report is read again, for lines that arrive late.
const OVERLAP_MIN: i64 = 60;
/// Pages of a report in one go.
const PAGES_MAX: usize = 1_000;

/// Why a report was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("provider: {0}")]
    Provider(#[from] crate::provider::ProviderError),
}

/// Takes settlement reports in, and asks about what they know and we do not.
pub(crate) async fn settlements(context: Context, providers: Providers) {
    // After a start everything is looked at once; then what came since.
    let mut looked_at = BTreeSet::new();
    loop {
        for (name, provider) in providers.iter() {
            let look = Look { whole: !looked_at.contains(name), back_min: OVERLAP_MIN };
            match take_in(&context, name, provider.as_ref(), look).await {
                Ok(_) => drop(looked_at.insert(name)),
                Err(error) => tracing::warn!(provider = name, %error, "the settlement report cannot be taken in"),
            }
        }
        if context.tasks().pause(Duration::from_secs(SETTLEMENT_EVERY_S)).await {
            return;
        }
    }
}

/// How much of a report is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// All payments with a line, not only those with a new one.
    whole: bool,
    /// Minutes before its newest line from which it is read again.
    back_min: i64,
}

impl Look {
    /// All of them, reading so many days again.
    pub(crate) const fn again(days: i64) -> Self {
        Self { whole: true, back_min: days * 24 * 60 }
    }
}

/// Gives how many lines were read.
pub(crate) async fn take_in(
    context: &Context,
    name: &str,
    provider: &dyn Provider,
    look: Look,
) -> Result<i64, AuditError> {
    let mut read = 0;
    let (pool, now) = (context.postgres().pool(), context.clock().now());
    let newest = store::settlements::newest(pool, name).await?;
    let since = newest.map_or(Timestamp::from_unix_ms(0), |at| at.plus_min(-look.back_min));
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let lines = provider.settlement(since, after.as_deref()).await?;
        store::settlements::insert(pool, name, &lines, now, context.entropy()).await?;
        read += i64::try_from(lines.len()).unwrap_or(0);
        after = lines.last().map(|line| line.line.clone());
        if lines.len() < SETTLEMENT_PAGE {
            break;
        }
    }
    let matched = store::settlements::match_again(pool, name).await?;
    let changed = if look.whole { Timestamp::from_unix_ms(0) } else { matched.map_or(since, |at| at.min(since)) };
    let unheard = store::settlements::ask_about_unheard(pool, name, changed, now).await?;
    if unheard > 0 {
        tracing::warn!(provider = name, unheard, "the report knows of money that no webhook told of; asking");
    }
    let late = now.plus_min(-UNMATCHED_AFTER_MIN);
    let unmatched = store::settlements::show_unmatched(pool, name, late, now, context.entropy()).await?;
    if unmatched > 0 {
        tracing::warn!(provider = name, unmatched, "lines of the report name no payment of ours");
    }
    Ok(read)
}

/// Tells payments what was said of them before we knew the provider's id of them: the answer that names it may come after
/// a webhook that goes by it.
pub(crate) async fn early_words(context: Context, providers: Providers, commands: Batcher<Command, Outcome>) {
    loop {
        if let Err(error) = take_early(&context, &providers, &commands).await {
            tracing::warn!(%error, "webhooks that came early cannot be taken in");
        }
        if context.tasks().pause(Duration::from_secs(EARLY_EVERY_S)).await {
            return;
        }
    }
}

async fn take_early(
    context: &Context,
    providers: &Providers,
    commands: &Batcher<Command, Outcome>,
) -> Result<(), Failure> {
    let (pool, since) = (context.postgres().pool(), context.clock().now().plus_min(-EARLY_HOURS * 60));
    let early = store::records::early_webhooks(pool, since, EARLY_TAKE_MAX).await.map_err(DatabaseError::from)?;
    for raw in early {
        let shown = providers.get(&raw.provider).and_then(|provider| provider.read(&raw.body).ok()?.shown);
        let (target, lesson) = taught(&raw.provider, shown);
        let taken = commands.submit(Command::Learn { target, lesson: Box::new(lesson), raw: None }).await?;
        if let Err(failure) = taken {
            tracing::error!(%failure, event = raw.event, "a webhook that came early cannot be taken in");
            continue;
        }
        store::records::webhook_was_taken_in(pool, &raw).await.map_err(DatabaseError::from)?;
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
        if let Err(error) = warn_of_ends(&context, now).await {
            tracing::warn!(%error, "authorisations that end cannot be looked for");
        }
        if let Err(error) = add_up(&context, now).await {
            tracing::warn!(%error, "the books cannot be added up");
        }
        if context.tasks().pause(Duration::from_secs(CLEAN_EVERY_S)).await {
            return;
        }
    }
}

/// Tells a person of authorisations that end before the goods for which some of it waits have left.
async fn warn_of_ends(context: &Context, now: Timestamp) -> Result<(), Failure> {
    let before = now.plus_min(CAPTURE_WARN_HOURS * 60);
    let ending =
        store::parts::ending(context.postgres().pool(), before, PAGE_MAX).await.map_err(DatabaseError::from)?;
    open(context, &ending, now).await
}

async fn open(context: &Context, exceptions: &[NewException], now: Timestamp) -> Result<(), Failure> {
    if exceptions.is_empty() {
        return Ok(());
    }
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                store::records::insert_exceptions(&mut tx, exceptions, now, context.entropy()).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await
        .map_err(Failure::from)
}

/// Shows a person each payment whose transfers are not what its row says. All of them are looked at, a page at a time, so
/// that no statement grows with the shop.
async fn add_up(context: &Context, now: Timestamp) -> Result<(), Failure> {
    let pool = context.postgres().pool();
    let mut after = None;
    while let Some(end) = store::settlements::page_end(pool, after, ADD_UP_PAGE).await.map_err(DatabaseError::from)? {
        let found = store::settlements::books_that_differ(pool, after, end).await.map_err(DatabaseError::from)?;
        show_differing(context, &found, now).await?;
        after = Some(end);
        if context.tasks().pause(Duration::from_millis(ADD_UP_PAUSE_MS)).await {
            break;
        }
    }
    Ok(())
}

async fn show_differing(context: &Context, found: &[(IntentId, OrderId)], now: Timestamp) -> Result<(), Failure> {
    let differing = |(intent, order): &(IntentId, OrderId)| {
        tracing::error!(%intent, %order, "the books of a payment do not add up");
        NewException {
            order: *order,
            intent: *intent,
            kind: "books_differ",
            detail: serde_json::json!({ "intent": intent }),
        }
    };
    let exceptions: Vec<NewException> = found.iter().map(differing).collect();
    open(context, &exceptions, now).await
}
