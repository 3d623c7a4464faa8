//! Lays all payments beside the providers' reports: each night, and when somebody asks for it.

use std::time::Duration;

use bodega_domain::{Failure, Timestamp, id::IntentId, principal::Principal};
use bodega_platform::{Context, DatabaseError, TransactionError};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::{
    audit,
    changes::NewException,
    limits::{
        ADD_UP_PAGE, ADD_UP_PAUSE_MS, NIGHT_HOURS, RECONCILE_LEASE_MIN, RECONCILE_LOOK_MS, REREAD_DAYS,
        SETTLED_AFTER_HOURS, UNMATCHED_AFTER_MIN,
    },
    provider::Providers,
    store::{
        self,
        reconciliation::{self, Patience, Progress},
    },
};

/// Waits for runs that are due and does them.
pub(crate) async fn run(context: Context, providers: Providers) {
    let mut asked_for = None;
    loop {
        if let Err(failure) = look(&context, &providers, &mut asked_for).await {
            tracing::warn!(%failure, "the books cannot be laid beside the reports");
        }
        if context.tasks().pause(Duration::from_millis(RECONCILE_LOOK_MS)).await {
            return;
        }
    }
}

/// The night that a moment belongs to: a run that was missed is made up for as soon as somebody can.
fn night(now: Timestamp) -> Date {
    OffsetDateTime::from(now.plus_min(-NIGHT_HOURS * 60)).date()
}

async fn look(context: &Context, providers: &Providers, asked_for: &mut Option<Date>) -> Result<(), Failure> {
    let (pool, now) = (context.postgres().pool(), context.clock().now());
    let tonight = night(now);
    if *asked_for != Some(tonight) {
        let who = Principal::Service.who();
        reconciliation::ask_for_night(pool, tonight, &who, now, context.entropy())
            .await
            .map_err(DatabaseError::from)?;
        *asked_for = Some(tonight);
    }
    let taken = reconciliation::take(pool, now, lease(now)).await.map_err(DatabaseError::from)?;
    match taken {
        Some(run) => reconcile(context, providers, run).await,
        None => Ok(()),
    }
}

fn lease(now: Timestamp) -> Timestamp {
    now.plus_min(RECONCILE_LEASE_MIN)
}

async fn reconcile(context: &Context, providers: &Providers, run: Uuid) -> Result<(), Failure> {
    let pool = context.postgres().pool();
    let mut progress = Progress::default();
    for (name, provider) in providers.iter() {
        match audit::take_in(context, name, provider.as_ref(), audit::Look::again(REREAD_DAYS)).await {
            Ok(lines) => progress.lines += lines,
            // What is known of the report is compared all the same.
            Err(error) => progress.trouble = Some(format!("{name}: {error}")),
        }
    }
    let mut after: Option<IntentId> = None;
    while let Some(end) = store::settlements::page_end(pool, after, ADD_UP_PAGE).await.map_err(DatabaseError::from)? {
        let now = context.clock().now();
        let patience =
            Patience { lines: now.plus_min(-UNMATCHED_AFTER_MIN), money: now.plus_min(-SETTLED_AFTER_HOURS * 60) };
        let (payments, found) =
            reconciliation::differing(pool, after, end, patience).await.map_err(DatabaseError::from)?;
        show(context, after, end, &found, now).await?;
        progress.payments += payments;
        progress.differences += i64::try_from(found.len()).unwrap_or(i64::MAX);
        let ours = reconciliation::report(pool, run, &progress, now, Some(lease(now))).await;
        if !ours.map_err(DatabaseError::from)? || context.tasks().pause(Duration::from_millis(ADD_UP_PAUSE_MS)).await {
            // Finished by somebody who took us for gone; or we end, and somebody takes it over.
            return Ok(());
        }
        after = Some(end);
    }
    let now = context.clock().now();
    reconciliation::report(pool, run, &progress, now, None).await.map_err(DatabaseError::from)?;
    let Progress { lines, payments, differences, trouble } = progress;
    tracing::info!(lines, payments, differences, trouble, "the books were laid beside the reports");
    Ok(())
}

/// Opens an exception for each difference, and closes those of the page that are none any more.
async fn show(
    context: &Context,
    after: Option<IntentId>,
    end: IntentId,
    found: &[NewException],
    now: Timestamp,
) -> Result<(), Failure> {
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let who = Principal::Service.who();
                reconciliation::close_others(&mut tx, after, end, found, &who, now).await?;
                store::records::insert_exceptions(&mut tx, found, now, context.entropy()).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await
        .map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_begins_some_hours_after_midnight_and_lasts_a_day() {
        // 2026-11-27T00:00:00Z
        let midnight = Timestamp::from_unix_ms(1_795_737_600_000);
        assert_eq!(midnight.to_string(), "2026-11-27T00:00:00Z");
        let at = |hours: i64| night(midnight.plus_min(hours * 60)).to_string();
        assert_eq!((at(0), at(NIGHT_HOURS), at(23)), ("2026-11-26".into(), "2026-11-27".into(), "2026-11-27".into()));
        assert_eq!(at(24 + NIGHT_HOURS), "2026-11-28");
    }
}
