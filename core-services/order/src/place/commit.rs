//! Step B: one transaction for the whole batch. When it has committed, the orders exist.

use std::collections::BTreeMap;

use bodega_domain::{Code, Failure, Timestamp, id::OrderId, message::order::Placed, saga::Saga};
use bodega_platform::{Context, DatabaseError, TransactionError, Tx, halving, outbox};

use crate::{
    content::ATTEMPTS_COUNT_MIN,
    store::{
        self, Entry,
        place::{Again, ClaimOutcome, KnownKey, NewOrder},
        quotas::NewAttempt,
    },
};

/// Seconds after which a saga asks again for its payment to be opened, when nothing was heard.
const OPEN_AGAIN_S: i64 = 5;

/// Seconds after the place deadline when a transaction that began in time gives up before its `COMMIT`. With the bound
/// on `COMMIT` itself this is before [`SURELY_ENDED_AFTER_S`].
const COMMIT_AFTER_DEADLINE_MAX_S: i64 = 10;
/// Milliseconds that one statement may take, `COMMIT` included. Far more than any takes that does not wait for a lock.
const STATEMENT_MS_MAX: i64 = 4_000;
/// Seconds after the place deadline when no commit of that checkout can come any more.
pub(crate) const SURELY_ENDED_AFTER_S: i64 = 15;
const _: () = assert!(COMMIT_AFTER_DEADLINE_MAX_S * 1_000 + STATEMENT_MS_MAX < SURELY_ENDED_AFTER_S * 1_000);

/// What became of one order of the batch.
#[derive(Debug)]
pub(super) enum Committed {
    /// It exists.
    Placed,
    /// Its key belongs to this order, perhaps to itself.
    Known(KnownKey),
    /// Its quote was claimed by somebody else.
    Claimed(ClaimOutcome),
    /// A limit or the deadline refused it; there is no order.
    Refused(Failure),
    /// The database did not say.
    Unknown(Failure),
}

/// Commits a batch. One that the database refuses is halved until the culprit stands alone.
pub(super) async fn commit(context: &Context, orders: &[NewOrder], deadlines: &[Timestamp]) -> Vec<Committed> {
    let members: Vec<(&NewOrder, Timestamp)> = orders.iter().zip(deadlines.iter().copied()).collect();
    // A batch that was given up for one member's deadline is decided again: that member is refused at its beginning.
    let isolate = |failure: &Failure| matches!(failure.code, Code::Internal | Code::DeadlineExceeded);
    let done = halving(&members, isolate, async |part: &[(&NewOrder, Timestamp)]| commit_part(context, part).await);
    done.await.into_iter().map(|member| member.unwrap_or_else(Committed::Refused)).collect()
}

/// Commits a part of a batch as a whole; an unknown commit is read again.
async fn commit_part(context: &Context, orders: &[(&NewOrder, Timestamp)]) -> Result<Vec<Committed>, Failure> {
    let done = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                store::place::bound_statements(&mut tx, STATEMENT_MS_MAX).await?;
                let outcomes = write(context, &mut tx, orders).await?;
                context.failpoints().hit("order.in_commit").await;
                // The last thing before COMMIT: later than this, "there is no order" may have been said already.
                let latest = context.clock().now().plus_s(-COMMIT_AFTER_DEADLINE_MAX_S);
                let late = orders
                    .iter()
                    .zip(&outcomes)
                    .any(|((_, deadline), outcome)| matches!(outcome, Committed::Placed) && latest > *deadline);
                if late { Err(TransactionError::Refused(Code::DeadlineExceeded.into())) } else { Ok(outcomes) }
            })
        })
        .await;
    match done {
        Ok(outcomes) => Ok(outcomes),
        Err(TransactionError::Database(DatabaseError::CommitUnknown(error))) => {
            tracing::warn!(%error, "the outcome of a commit is not known; reading it again");
            Ok(read_again(context, orders).await)
        }
        Err(TransactionError::Refused(failure)) => Err(failure),
        Err(TransactionError::Database(DatabaseError::Statement(error))) if store::timed_out(&error) => {
            tracing::warn!(%error, "a statement took too long; nothing was done");
            Err(Failure::from(Code::CoreUnavailable).retry_after_s(1))
        }
        Err(error) => {
            let failure = Failure::from(error);
            let code = if failure.code == Code::Internal { Code::Internal } else { Code::CoreUnavailable };
            Err(Failure::from(code).retry_after_s(1))
        }
    }
}

/// What a commit whose answer was lost has done. Until the database says so, nobody is told anything.
async fn read_again(context: &Context, orders: &[(&NewOrder, Timestamp)]) -> Vec<Committed> {
    let unknown = || Committed::Unknown(Failure::from(Code::OutcomeUnknown).retry_after_s(1));
    let keys: Vec<_> = orders.iter().map(|(order, _)| order.owner_and_key()).collect();
    let ids: Vec<OrderId> = orders.iter().map(|(order, _)| order.id()).collect();
    let pool = context.postgres().pool();
    for _ in 0..10 {
        let read = (store::place::known_keys(pool, &keys).await, store::place::claims(pool, &ids).await);
        if let (Ok(known), Ok(claims)) = read {
            let of = |((order, _), key): (&(&NewOrder, Timestamp), &(String, String))| match known.get(key) {
                Some(known) if known.order == order.id() => Committed::Placed,
                Some(known) => Committed::Known(known.clone()),
                None => claims.get(&order.id()).map_or_else(unknown, |outcome| Committed::Claimed(*outcome)),
            };
            return orders.iter().zip(&keys).map(of).collect();
        }
        if context.tasks().pause(std::time::Duration::from_millis(200)).await {
            break;
        }
    }
    orders.iter().map(|_| unknown()).collect()
}

/// A second request in one batch: of the same key, or of the same quote under another key.
struct Twin {
    index: usize,
    first: usize,
    same_key: bool,
}

async fn write<'a>(
    context: &Context,
    tx: &mut Tx<'_, '_>,
    orders: &[(&'a NewOrder, Timestamp)],
) -> Result<Vec<Committed>, sqlx::Error> {
    let now = context.clock().now();
    let mut outcomes: BTreeMap<usize, Committed> = BTreeMap::new();
    let (mut candidates, mut twins) = (Vec::new(), Vec::new());
    let (mut keys, mut ids) = (BTreeMap::new(), BTreeMap::new());
    for (index, (order, deadline)) in orders.iter().enumerate() {
        let pair = order.owner_and_key();
        if now > *deadline {
            outcomes.insert(index, Committed::Refused(Code::DeadlineExceeded.into()));
        } else if let Some(first) = keys.get(&pair) {
            twins.push(Twin { index, first: *first, same_key: true });
        } else if let Some(first) = ids.get(&order.id()) {
            twins.push(Twin { index, first: *first, same_key: false });
        } else {
            keys.insert(pair, index);
            ids.insert(order.id(), index);
            candidates.push(index);
        }
    }
    let orders: Vec<&'a NewOrder> = orders.iter().map(|(order, _)| *order).collect();
    let winners = claim(tx, &orders, &candidates, &mut outcomes, now).await?;
    let winners = within_quotas(tx, &orders, winners, &mut outcomes, now).await?;
    if !winners.is_empty() {
        let new: Vec<&'a NewOrder> = winners.iter().map(|index| orders[*index]).collect();
        let saga = Saga::placed(now);
        store::place::insert_orders(tx, &new, &saga, now.plus_s(OPEN_AGAIN_S)).await?;
        let history: Vec<Entry> = new.iter().flat_map(|order| placed_entries(order)).collect();
        store::append_history(tx, &history, now).await?;
        let events: Vec<_> = new.iter().map(|order| context.event(order.id(), &Placed { order: order.id() })).collect();
        outbox::append(tx, &events).await?;
        let again =
            |order: &&'a NewOrder| Some((order.again.as_ref()?.of, order.id(), order.again.as_ref()?.who.as_str()));
        let again: Vec<_> = new.iter().filter_map(again).collect();
        store::reinstate::mark(tx, &again, now).await?;
    }
    for index in winners {
        outcomes.insert(index, Committed::Placed);
    }
    for Twin { index, first, same_key } in twins {
        let (twin, of) = (orders[index], orders[first]);
        let same = same_key && twin.fingerprint == of.fingerprint;
        let outcome = outcomes.get(&first).map_or_else(undecided, |outcome| of_twin(outcome, of, same_key, same));
        outcomes.insert(index, outcome);
    }
    Ok((0..orders.len()).map(|index| outcomes.remove(&index).unwrap_or_else(undecided)).collect())
}

/// What nobody decided may be asked again.
fn undecided() -> Committed {
    Committed::Refused(Failure::from(Code::Overloaded).retry_after_s(1))
}

/// A second request hears what became of the first, as if it had come a moment later.
fn of_twin(first: &Committed, of: &NewOrder, same_key: bool, same: bool) -> Committed {
    let placed = || KnownKey { order: of.id(), fingerprint: of.fingerprint.clone() };
    match first {
        Committed::Placed if same_key => Committed::Known(placed()),
        Committed::Placed => Committed::Claimed(ClaimOutcome::Placed),
        Committed::Known(known) if same_key => Committed::Known(known.clone()),
        Committed::Known(known) if known.order == of.id() => Committed::Claimed(ClaimOutcome::Placed),
        Committed::Claimed(outcome) if same || !same_key => Committed::Claimed(*outcome),
        Committed::Refused(failure) => Committed::Refused(failure.clone()),
        Committed::Unknown(failure) => Committed::Unknown(failure.clone()),
        // The first kept neither the key nor the quote, and this is another request.
        Committed::Known(_) | Committed::Claimed(_) => undecided(),
    }
}

/// The first entry of an order, and for one that is made again that of the ended one.
fn placed_entries(order: &NewOrder) -> Vec<Entry> {
    let (id, total, lines) = (order.id(), order.content.totals.total, order.content.lines.len());
    let entry = |order, what, who: &str, data| Entry { order, what, who: who.to_owned(), data };
    match &order.again {
        None => {
            let data = serde_json::json!({ "total": total, "lines": lines });
            vec![entry(id, "placed", &order.content.owner.to_string(), data)]
        }
        Some(Again { of, who }) => vec![
            entry(id, "placed", who, serde_json::json!({ "total": total, "lines": lines, "reinstates": of })),
            entry(*of, "reinstated", who, serde_json::json!({ "as": id })),
        ],
    }
}

/// Keys first, then claims, each sorted: whoever loses reads what the winner wrote.
async fn claim(
    tx: &mut Tx<'_, '_>,
    orders: &[&NewOrder],
    candidates: &[usize],
    outcomes: &mut BTreeMap<usize, Committed>,
    now: Timestamp,
) -> Result<Vec<usize>, sqlx::Error> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let new: Vec<&NewOrder> = candidates.iter().map(|index| orders[*index]).collect();
    let fresh = store::place::insert_keys(tx, &new).await?;
    let ids: Vec<OrderId> = new.iter().map(|order| order.id()).filter(|id| fresh.contains(id)).collect();
    let won = store::place::insert_claims(tx, &ids, ClaimOutcome::Placed, now).await?;
    if won.len() < candidates.len() {
        let lost: Vec<&NewOrder> =
            new.iter().copied().filter(|o| fresh.contains(&o.id()) && !won.contains(&o.id())).collect();
        store::place::delete_keys(tx, &lost).await?;
        let lost: Vec<OrderId> = lost.iter().map(|order| order.id()).collect();
        let claims = store::place::claims(&mut **tx, &lost).await?;
        let stale: Vec<&NewOrder> = new.iter().copied().filter(|o| !fresh.contains(&o.id())).collect();
        let pairs: Vec<_> = stale.iter().map(|o| o.owner_and_key()).collect();
        // What made these keys conflict has committed, and a new statement sees it.
        let known = store::place::known_keys(&mut **tx, &pairs).await?;
        for index in candidates {
            let order = orders[*index];
            if let Some(known) = known.get(&order.owner_and_key()).filter(|_| !fresh.contains(&order.id())) {
                outcomes.insert(*index, Committed::Known(known.clone()));
            } else if let Some(outcome) = claims.get(&order.id()) {
                outcomes.insert(*index, Committed::Claimed(*outcome));
            }
        }
    }
    Ok(candidates.iter().copied().filter(|index| won.contains(&orders[*index].id())).collect())
}

/// Limits on buyers and promotions, counted under a lock. What is refused gives its key and claim back.
async fn within_quotas(
    tx: &mut Tx<'_, '_>,
    orders: &[&NewOrder],
    winners: Vec<usize>,
    outcomes: &mut BTreeMap<usize, Committed>,
    now: Timestamp,
) -> Result<Vec<usize>, sqlx::Error> {
    let keys = super::quota_keys(winners.iter().map(|index| orders[*index]));
    store::quotas::lock(tx, &keys).await?;
    // Attempts are counted behind the lock of each buyer's unpaid orders.
    let attempts = super::attempt_keys(winners.iter().map(|index| orders[*index]));
    let mut used = store::quotas::used(&mut **tx, &keys, &attempts, now.plus_min(-ATTEMPTS_COUNT_MIN)).await?;
    let mut deltas: BTreeMap<String, i64> = BTreeMap::new();
    let mut begun = Vec::new();
    let mut within = Vec::new();
    let mut refused = Vec::new();
    for index in winners {
        let order = orders[index];
        if let Err(failure) = super::take_quotas(order, &mut used) {
            outcomes.insert(index, Committed::Refused(failure));
            refused.push(order);
            continue;
        }
        for quota in order.quotas() {
            *deltas.entry(quota.key.clone()).or_default() += 1;
        }
        begun.extend(order.attempts.iter().map(|of| NewAttempt { order: order.id(), cause: "checkout", key: &of.key }));
        within.push(index);
    }
    store::place::delete_keys(tx, &refused).await?;
    let ids: Vec<OrderId> = refused.iter().map(|order| order.id()).collect();
    store::place::delete_claims(tx, &ids).await?;
    store::quotas::change(tx, &deltas, &begun, now).await?;
    Ok(within)
}
