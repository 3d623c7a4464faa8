//! `order.v1.{pay,cancel}`: what a shopper, merchant or admin does to an order that exists.

use std::collections::BTreeMap;

use bodega_domain::{
    Code, Failure, Timestamp,
    id::{MerchantId, OrderId},
    limits::PLACE_WAIT_MS,
    message::{
        order::{CANCEL_REASONS, Cancel, Pay},
        payment::Attempt,
    },
    order::{OrderStatus, OrderView},
    quote::QuoteLine,
    saga::Input,
    token::sha256,
};
use bodega_platform::{Call, CallError, TransactionError, Tx};
use serde::Serialize;

use super::{after_first_word, check_key, lines, load, owner_of, view, visible};
use crate::{
    Orders, content,
    drive::{self, Told, Writing},
    place::too_many_attempts,
    runs,
    store::{
        self, Entry,
        quotas::NewAttempt,
        read::StoredOrder,
        saga::{KeyOutcome, LockedSaga},
    },
};

pub(super) fn fingerprint(what: &str, parsed: &impl Serialize) -> Vec<u8> {
    let mut bytes = what.as_bytes().to_vec();
    bytes.extend(serde_json::to_vec(parsed).unwrap_or_default());
    sha256(&bytes).to_vec()
}

/// What somebody does to an order.
struct Deed<'a> {
    who: &'a str,
    key: &'a str,
    fingerprint: Vec<u8>,
    input: Input<'static>,
    /// What the history says of it before anything comes of it.
    asked: Option<Entry>,
    /// Whose goods alone it may be about; none for everybody's.
    own: Option<&'a [MerchantId]>,
}

/// Remembers the key, notes what was asked and decides the input, in one transaction. `false` when this very operation
/// was done before.
async fn decide(
    orders: &Orders,
    id: OrderId,
    deed: Deed<'_>,
) -> Result<(bool, Vec<(OrderId, bodega_domain::saga::Command)>), Failure> {
    let context = &orders.context;
    let Deed { who, key, fingerprint, input, asked, own } = &deed;
    let (who, key, own) = (*who, *key, *own);
    let decided = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                match store::saga::remember_key(&mut tx, who, key, id, fingerprint).await? {
                    KeyOutcome::Reused => {
                        return Err(TransactionError::Refused(Failure::from(Code::IdempotencyKeyReused)));
                    }
                    KeyOutcome::Same => return Ok((false, Vec::new())),
                    KeyOutcome::New => {}
                }
                let mut locked = store::saga::lock(&mut tx, &[id]).await?;
                let Some(locked) = locked.first_mut() else {
                    return Err(TransactionError::Refused(Code::OrderNotFound.into()));
                };
                if matches!(input, Input::Cancel) {
                    nothing_moves(&mut tx, id, own).await?;
                }
                let Ok(outcome) = locked.saga.decide(input, now) else {
                    let failure = Failure::new(Code::OrderStateConflict, "This order cannot be changed like this now.");
                    return Err(TransactionError::Refused(failure.about(id.to_string())));
                };
                store::append_history(&mut tx, asked.as_slice(), now).await?;
                if matches!(input, Input::PayAgain) {
                    begin_attempt(&mut tx, locked, key, now).await?;
                }
                let mut writing = Writing::default();
                writing.take(context, locked, outcome, who, now);
                let (commands, _) = writing.commit(&mut tx, now).await?;
                Ok((true, commands))
            })
        })
        .await?;
    orders.sagas.waiters.ring(id);
    Ok(decided)
}

/// What has left the house cannot be called off any more; and while something moves, nobody can say what is left.
async fn nothing_moves(
    tx: &mut Tx<'_, '_>,
    order: OrderId,
    own: Option<&[MerchantId]>,
) -> Result<(), TransactionError<Failure>> {
    let refuse = |detail: &str| Err(TransactionError::Refused(runs::conflict(order, detail)));
    if store::units::any_left(tx, order).await? {
        return refuse("Some of this order has been shipped: cancel what is left of it by line, or send it back.");
    }
    if store::runs::any_open(tx, order).await? {
        return refuse("Something of this order is being changed right now. Try again in a moment.");
    }
    if let Some(own) = own
        && store::units::any_others(tx, order, own).await?
    {
        return refuse("Another merchant's goods are in this order: call off your own lines.");
    }
    Ok(())
}

/// What an attempt of paying again is known by; the checkout's is another word.
fn cause_of(key: &str) -> String {
    format!("pay/{key}")
}

/// Counts one more attempt to pay, under the lock that a checkout of the same buyer takes.
async fn begin_attempt(
    tx: &mut Tx<'_, '_>,
    locked: &LockedSaga,
    key: &str,
    now: Timestamp,
) -> Result<(), TransactionError<Failure>> {
    let unpaid: Vec<String> = locked.unpaid_quotas.iter().filter(|key| !key.is_empty()).cloned().collect();
    let quotas = content::attempt_quotas(unpaid.iter().map(String::as_str));
    let keys: Vec<String> = quotas.iter().map(|quota| quota.key.clone()).collect();
    store::quotas::lock(tx, &unpaid).await?;
    let begun = store::quotas::used(&mut **tx, &[], &keys, now.plus_min(-content::ATTEMPTS_COUNT_MIN)).await?;
    if quotas.iter().any(|quota| begun.get(&quota.key).is_some_and(|begun| *begun >= quota.limit)) {
        return Err(TransactionError::Refused(too_many_attempts()));
    }
    let cause = cause_of(key);
    let attempts: Vec<NewAttempt<'_>> =
        keys.iter().map(|of| NewAttempt { order: locked.order, cause: &cause, key: of }).collect();
    store::quotas::change(tx, &BTreeMap::new(), &attempts, now).await?;
    Ok(())
}

pub(crate) async fn pay(orders: Orders, call: Call, request: Pay) -> Result<OrderView, Failure> {
    check_key(&request.key)?;
    let owner = owner_of(&call)?;
    let stored = load(&orders, request.order).await?;
    if stored.owner != owner.to_string() {
        return Err(Code::OrderNotFound.into());
    }
    if !orders.context.config().payment.providers.contains_key(&request.payment.provider) {
        return Err(Code::PaymentMethodUnknown.into());
    }
    let revision = stored.payment_revision;
    let print = fingerprint("pay", &(request.order, &request.payment));
    let deed = Deed {
        who: &stored.owner,
        key: &request.key,
        fingerprint: print,
        input: Input::PayAgain,
        asked: None,
        own: None,
    };
    let (new, _) = decide(&orders, request.order, deed).await?;
    // Asked even when the key is known: the attempt's own key makes it one attempt.
    let attempt = Attempt {
        order: request.order,
        owner,
        provider: request.payment.provider.clone(),
        method: request.payment.method.clone(),
        // Not the checkout's: the same key of a shopper may have been used there, and is another operation here.
        attempt_key: format!("pay:{owner}/{}", request.key),
        return_url: request.return_url.clone(),
    };
    let intent = match orders.context.bus().request(&attempt, &call.context).await {
        Ok(intent) => intent,
        Err(error) => {
            if surely_none(&error, new) {
                forget_attempt(&orders, &stored.owner, &request).await;
            }
            return Err(error.into());
        }
    };
    drive::tell(&orders.sagas, &call.context, vec![(request.order, Told::Intent(Box::new(intent)))]).await?;
    let stored = load(&orders, request.order).await?;
    let stored = after_first_word(&orders, stored, revision, request.wait_ms).await?;
    Ok(view(&orders, stored, true))
}

/// Whether no attempt was begun under this key. Only success is remembered: the key may come again with another card.
/// Without a clear answer the attempt may have been begun, now or when the key was new, and the key stays.
fn surely_none(error: &CallError, new: bool) -> bool {
    match error {
        // Judged after the key was looked for.
        CallError::Refused(failure) if matches!(failure.code, Code::PaymentStateConflict | Code::TooManyUnpaid) => true,
        CallError::Refused(failure) => new && !matches!(failure.code, Code::OutcomeUnknown | Code::Internal),
        CallError::Unavailable(_) => new,
        CallError::Unknown => false,
    }
}

/// Forgets an attempt that did not come about, and its key. When that fails, the shopper takes another key.
async fn forget_attempt(orders: &Orders, owner: &str, request: &Pay) {
    let forgotten = orders
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                store::saga::forget_key(&mut tx, owner, &request.key).await?;
                store::quotas::forget_attempt(&mut tx, request.order, &cause_of(&request.key)).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await;
    if let Err(error) = forgotten {
        tracing::warn!(%error, "the key of a refused attempt is kept");
    }
}

/// The history holds no personal data and can never be emptied, so a reason is a word of a list and no free text.
pub(super) fn word_of(known: &[&'static str], asked: Option<&str>) -> Result<Option<&'static str>, Failure> {
    let Some(asked) = asked else { return Ok(None) };
    known.iter().copied().find(|word| *word == asked).map(Some).ok_or_else(|| {
        let detail = format!("One of {}.", known.join(", "));
        Failure::new(Code::ValidationFailed, "This is no reason of the list.").field("/reason", "unknown", detail)
    })
}

pub(crate) async fn cancel(orders: Orders, call: Call, request: Cancel) -> Result<OrderView, Failure> {
    check_key(&request.key)?;
    let stored = load(&orders, request.order).await?;
    let own = call.principal.owner().is_some_and(|owner| owner.to_string() == stored.owner);
    let everything = own || call.principal.is_admin();
    let mine = |line: &QuoteLine| everything || call.principal.acts_for(line.merchant);
    if !stored.content.lines.iter().any(mine) {
        return Err(Code::OrderNotFound.into());
    }
    let who = call.principal.owner().map_or_else(|| stored.owner.clone(), |owner| owner.to_string());
    let whole = request.lines.is_empty() && stored.content.lines.iter().all(mine);
    if whole || !lines::call_off(&orders, &call, &request, &stored, &who).await? {
        let own = (!everything).then(|| call.principal.merchants().collect::<Vec<_>>());
        call_off_of(&orders, &call, &request, &who, own.as_deref()).await?;
    }
    let stored = load(&orders, request.order).await?;
    visible(&orders, &call.principal, stored).ok_or_else(|| Code::OrderNotFound.into())
}

/// Without reason and lines as it was before there were any, so that a key of then still is the same.
pub(super) fn cancel_print(request: &Cancel) -> Vec<u8> {
    match (&request.reason, request.lines.as_slice()) {
        (None, []) => fingerprint("cancel", &request.order),
        (Some(reason), []) => fingerprint("cancel", &(request.order, reason)),
        (reason, lines) => fingerprint("cancel", &(request.order, reason, lines, request.refund)),
    }
}

/// Calls an order off for somebody who may, and answers it as it is then.
pub(super) async fn call_off(
    orders: &Orders,
    call: &Call,
    request: &Cancel,
    who: &str,
) -> Result<StoredOrder, Failure> {
    call_off_of(orders, call, request, who, None).await
}

/// As [`call_off`], for who may call off the goods of these merchants alone: nothing of another's may be left.
async fn call_off_of(
    orders: &Orders,
    call: &Call,
    request: &Cancel,
    who: &str,
    own: Option<&[MerchantId]>,
) -> Result<StoredOrder, Failure> {
    let reason = word_of(&CANCEL_REASONS, request.reason.as_deref())?;
    let print = cancel_print(request);
    let asked = reason.map(|reason| {
        let data = serde_json::json!({ "reason": reason });
        Entry { order: request.order, what: "cancel_requested", who: who.to_owned(), data }
    });
    let deed = Deed { who, key: &request.key, fingerprint: print, input: Input::Cancel, asked, own };
    let (_, commands) = decide(orders, request.order, deed).await?;
    if !commands.is_empty() {
        drive::follow(&orders.sagas, &call.context, commands).await?;
    }
    until(orders, request.order, |now| matches!(now.status, OrderStatus::Cancelled | OrderStatus::Expired)).await
}

/// The order once it is like this, or as it is after a moment: the saga goes on without the asker.
pub(super) async fn until(
    orders: &Orders,
    id: OrderId,
    done: impl Fn(&StoredOrder) -> bool,
) -> Result<StoredOrder, Failure> {
    let patience = std::time::Duration::from_millis(u64::from(PLACE_WAIT_MS));
    let until = tokio::time::Instant::now() + patience;
    let mut stored = load(orders, id).await?;
    let waiters = &orders.sagas.waiters;
    let bell = waiters.listen((&stored).into());
    let (mut rung, mut over) = (bell.notified(), false);
    while !over && !done(&stored) {
        over = tokio::time::timeout_at(until, rung).await.is_err();
        rung = bell.notified();
        stored = load(orders, id).await?;
        waiters.saw((&stored).into());
    }
    Ok(stored)
}
