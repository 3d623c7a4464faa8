//! Step B: one transaction for the whole batch. When it has committed, the orders exist.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{Code, Failure, Timestamp, id::OrderId, message::order::Placed, saga::Saga};
use bodega_platform::{Context, DatabaseError, TransactionError, Tx, outbox};

use crate::store::{
    self, Entry,
    place::{ClaimOutcome, KnownKey, NewOrder},
};

/// Seconds after which a saga asks again for its payment to be opened, when nothing was heard.
const OPEN_AGAIN_S: i64 = 5;

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

/// Commits a batch. A batch that fails as a whole is answered as a whole; an unknown commit is read again.
pub(super) async fn commit(context: &Context, orders: &[NewOrder], deadlines: &[Timestamp]) -> Vec<Committed> {
    let done = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                write(context, &mut tx, orders, deadlines).await.map_err(TransactionError::<Failure>::from)
            })
        })
        .await;
    match done {
        Ok(outcomes) => outcomes,
        Err(TransactionError::Database(DatabaseError::CommitUnknown(error))) => {
            tracing::warn!(%error, "the outcome of a commit is not known; reading it again");
            read_again(context, orders).await
        }
        Err(error) => {
            let failure = Failure::from(error);
            let code = if failure.code == Code::Internal { Code::Internal } else { Code::CoreUnavailable };
            let failure = Failure::from(code).retry_after_s(1);
            orders.iter().map(|_| Committed::Refused(failure.clone())).collect()
        }
    }
}

/// What a commit whose answer was lost has done. Until the database says so, nobody is told anything.
async fn read_again(context: &Context, orders: &[NewOrder]) -> Vec<Committed> {
    let unknown = || Committed::Unknown(Failure::from(Code::OutcomeUnknown).retry_after_s(1));
    let ids: Vec<OrderId> = orders.iter().map(NewOrder::id).collect();
    for _ in 0..10 {
        if let Ok(claims) = store::place::claims(context.postgres().pool(), &ids).await {
            let of = |order: &NewOrder| match claims.get(&order.id()) {
                Some(ClaimOutcome::Placed) => Committed::Placed,
                Some(outcome) => Committed::Claimed(*outcome),
                None => unknown(),
            };
            return orders.iter().map(of).collect();
        }
        if context.tasks().pause(std::time::Duration::from_millis(200)).await {
            break;
        }
    }
    orders.iter().map(|_| unknown()).collect()
}

async fn write(
    context: &Context,
    tx: &mut Tx<'_, '_>,
    orders: &[NewOrder],
    deadlines: &[Timestamp],
) -> Result<Vec<Committed>, sqlx::Error> {
    let now = context.clock().now();
    let mut outcomes: BTreeMap<usize, Committed> = BTreeMap::new();
    let mut candidates: Vec<usize> = Vec::new();
    let (mut keys, mut ids) = (BTreeMap::new(), BTreeSet::new());
    for (index, (order, deadline)) in orders.iter().zip(deadlines).enumerate() {
        let pair = (order.content.owner.to_string(), order.key.clone());
        if now > *deadline {
            outcomes.insert(index, Committed::Refused(Code::DeadlineExceeded.into()));
        } else if let Some(first) = keys.get(&pair) {
            // The same key twice in one batch: the second hears of the first.
            let first: &NewOrder = &orders[*first];
            let known = KnownKey { order: first.id(), fingerprint: first.fingerprint.clone() };
            outcomes.insert(index, Committed::Known(known));
        } else if ids.insert(order.id()) {
            keys.insert(pair, index);
            candidates.push(index);
        } else {
            outcomes.insert(index, Committed::Claimed(ClaimOutcome::Placed));
        }
    }
    let winners = claim(context, tx, orders, &candidates, &mut outcomes, now).await?;
    let winners = within_quotas(tx, orders, winners, &mut outcomes).await?;
    if !winners.is_empty() {
        let new: Vec<&NewOrder> = winners.iter().map(|index| &orders[*index]).collect();
        let saga = Saga::placed(now);
        store::place::insert_orders(tx, &new, &saga, now.plus_s(OPEN_AGAIN_S)).await?;
        let history: Vec<Entry> = new.iter().map(|order| placed_entry(order)).collect();
        store::append_history(tx, &history, now).await?;
        let events: Vec<_> = new.iter().map(|order| context.event(order.id(), &Placed { order: order.id() })).collect();
        outbox::append(tx, &events).await?;
    }
    for index in winners {
        outcomes.insert(index, Committed::Placed);
    }
    settle_twins(orders, &mut outcomes);
    Ok((0..orders.len())
        .map(|index| outcomes.remove(&index).unwrap_or(Committed::Claimed(ClaimOutcome::Placed)))
        .collect())
}

/// A second request of the same key or quote in one batch was answered as if the first had won; if it did not, it is
/// refused like the first.
fn settle_twins(orders: &[NewOrder], outcomes: &mut BTreeMap<usize, Committed>) {
    let refused: Vec<(OrderId, Failure)> = outcomes
        .iter()
        .filter_map(|(index, outcome)| match outcome {
            Committed::Refused(failure) => Some((orders[*index].id(), failure.clone())),
            _ => None,
        })
        .collect();
    for (index, outcome) in outcomes.iter_mut() {
        let twin_of = match outcome {
            Committed::Known(known) => known.order,
            Committed::Claimed(ClaimOutcome::Placed) => orders[*index].id(),
            _ => continue,
        };
        if let Some((_, failure)) = refused.iter().find(|(order, _)| *order == twin_of) {
            *outcome = Committed::Refused(failure.clone());
        }
    }
}

fn placed_entry(order: &NewOrder) -> Entry {
    let total = order.content.totals.total;
    Entry {
        order: order.id(),
        what: "placed",
        who: order.content.owner.to_string(),
        data: serde_json::json!({ "total": total, "lines": order.content.lines.len() }),
    }
}

/// Keys first, then claims, each sorted: whoever loses reads what the winner wrote.
async fn claim(
    context: &Context,
    tx: &mut Tx<'_, '_>,
    orders: &[NewOrder],
    candidates: &[usize],
    outcomes: &mut BTreeMap<usize, Committed>,
    now: Timestamp,
) -> Result<Vec<usize>, sqlx::Error> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let new: Vec<&NewOrder> = candidates.iter().map(|index| &orders[*index]).collect();
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
        let pairs: Vec<_> = stale.iter().map(|o| (o.content.owner.to_string(), o.key.clone())).collect();
        // Read on another connection: what made these keys conflict has committed.
        let known = store::place::known_keys(context.postgres().pool(), &pairs).await?;
        for index in candidates {
            let order = &orders[*index];
            let pair = (order.content.owner.to_string(), order.key.clone());
            if let Some(known) = known.get(&pair).filter(|_| !fresh.contains(&order.id())) {
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
    orders: &[NewOrder],
    winners: Vec<usize>,
    outcomes: &mut BTreeMap<usize, Committed>,
) -> Result<Vec<usize>, sqlx::Error> {
    let keys: BTreeSet<String> = winners
        .iter()
        .flat_map(|index| orders[*index].unpaid.iter().chain(&orders[*index].budget))
        .map(|quota| quota.key.clone())
        .collect();
    let keys: Vec<String> = keys.into_iter().collect();
    let mut used = store::place::lock_quotas(tx, &keys).await?;
    let mut deltas: BTreeMap<String, i64> = BTreeMap::new();
    let mut within = Vec::new();
    let mut refused = Vec::new();
    for index in winners {
        let order = &orders[index];
        let full = |quota: &crate::content::Quota| used.get(&quota.key).copied().unwrap_or(0) >= quota.limit;
        let failure = if order.unpaid.iter().any(full) {
            Some(super::too_many_unpaid())
        } else if order.budget.iter().any(full) {
            let detail = "A promotion of this quote is used up. Ask for a new quote.";
            Some(Failure::new(Code::CodeNotApplicable, detail))
        } else {
            None
        };
        if let Some(failure) = failure {
            outcomes.insert(index, Committed::Refused(failure));
            refused.push(order);
            continue;
        }
        for quota in order.unpaid.iter().chain(&order.budget) {
            *used.entry(quota.key.clone()).or_default() += 1;
            *deltas.entry(quota.key.clone()).or_default() += 1;
        }
        within.push(index);
    }
    store::place::delete_keys(tx, &refused).await?;
    let ids: Vec<OrderId> = refused.iter().map(|order| order.id()).collect();
    store::place::delete_claims(tx, &ids).await?;
    store::place::add_to_quotas(tx, &deltas).await?;
    Ok(within)
}
