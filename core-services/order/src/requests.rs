//! A file a request, or a family of requests that share their rules.

pub(crate) mod command;
pub(crate) mod exceptions;
pub(crate) mod forget;
pub(crate) mod lines;
pub(crate) mod link;
pub(crate) mod notes;
pub(crate) mod place;
pub(crate) mod read;
pub(crate) mod reinstate;
pub(crate) mod returns;
pub(crate) mod sagas;
pub(crate) mod ship;
pub(crate) mod told;

use std::{collections::BTreeMap, time::Duration};

use bodega_domain::{
    Code, Failure, Money, Timestamp,
    fulfilment::{self, Units},
    id::{MerchantId, OrderId},
    limits::IDEMPOTENCY_KEY_BYTES_MAX,
    money::MoneyError,
    order::{OrderLine, OrderPart, OrderStatus, OrderView, PaymentAmounts, PaymentStatus, ReturnView, ShipmentView},
    principal::{Owner, Principal},
    quote::{QuoteContent, Totals},
};
use bodega_platform::{Call, DatabaseError};

use crate::{
    Orders, content,
    store::{
        self,
        read::StoredOrder,
        units::{LineUnits, StoredReturn, StoredShipment},
    },
};

/// Milliseconds an asker waits for the first word, at most.
pub(crate) const WAIT_MS_MAX: u32 = 10_000;

/// A key that can be kept. One with a control character would fail every checkout that is read or written beside it.
pub(crate) fn check_key(key: &str) -> Result<(), Failure> {
    let fits = !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX && !key.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Code::IdempotencyKeyMissing.into()) }
}

/// Who asks, as an owner of orders.
pub(crate) fn owner_of(call: &Call) -> Result<Owner, Failure> {
    call.principal.owner().ok_or_else(|| Code::Unauthenticated.into())
}

/// Whether the asker sees the whole order: one's own, and everybody's for admins and services.
pub(crate) fn sees_all(principal: &Principal, order: &StoredOrder) -> bool {
    let own = principal.owner().is_some_and(|owner| owner.to_string() == order.owner);
    own || principal.acts_for_all()
}

/// What the asker may see of an order: all of it, their part for merchants, else nothing.
pub(crate) fn visible(orders: &Orders, principal: &Principal, order: StoredOrder) -> Option<OrderView> {
    if sees_all(principal, &order) {
        let own = principal.owner().is_some_and(|owner| owner.to_string() == order.owner);
        return Some(view(orders, order, own));
    }
    let merchants: Vec<_> = principal.merchants().collect();
    if !order.content.lines.iter().any(|line| merchants.contains(&line.merchant)) {
        return None;
    }
    let totals = totals_of(&order.content, &merchants).unwrap_or_else(|error| {
        tracing::error!(%error, order = %order.id, "a merchant's totals do not add up");
        Totals::zero(order.content.currency, order.content.totals.tax_included)
    });
    let whole = order.content.totals.total;
    let order_refunds = order.part_refunds.clone();
    let mut seen = view(orders, order, false);
    let whole_parts = seen.parts.clone();
    seen.parts.retain(|part| merchants.contains(&part.merchant));
    seen.lines.retain(|line| merchants.contains(&line.merchant));
    seen.shipments.retain(|shipment| merchants.contains(&shipment.merchant));
    seen.return_requests.retain(|asked| merchants.contains(&asked.merchant));
    seen.payment.amounts = if seen.payment.at_shipment.is_empty() {
        let (own, all) = refunds_of(&order_refunds, &merchants);
        amounts_of(seen.payment.amounts, totals.total, whole, own, all)
    } else {
        parcelled(&seen, &whole_parts, &order_refunds, &merchants)
    };
    seen.payment.at_shipment.retain(|part| merchants.contains(&part.merchant));
    // Where the shopper is challenged is the shopper's alone.
    seen.payment.next_action = None;
    seen.totals = totals;
    Some(seen)
}

/// The totals of some merchants' parts. Shipping is their share of what was paid for it, discounts taken off.
fn totals_of(content: &QuoteContent, merchants: &[MerchantId]) -> Result<Totals, MoneyError> {
    let zero = Money::zero(content.currency);
    let (mut subtotal, mut discount, mut tax, mut total) = (zero, zero, zero, zero);
    for line in content.lines.iter().filter(|line| merchants.contains(&line.merchant)) {
        subtotal = subtotal.checked_add(line.subtotal)?;
        discount = discount.checked_add(line.discount)?;
    }
    for share in content::shares(content)?.iter().filter(|share| merchants.contains(&share.merchant)) {
        tax = tax.checked_add(share.tax)?;
        total = total.checked_add(share.net)?.checked_add(share.tax)?;
    }
    let tax_included = content.totals.tax_included;
    let goods = subtotal.checked_sub(discount)?;
    let goods = if tax_included { goods } else { goods.checked_add(tax)? };
    Ok(Totals { subtotal, discount, shipping: total.checked_sub(goods)?, tax, total, tax_included })
}

/// What went back out of some merchants' parts for pieces of theirs, and out of all parts; minor units.
fn refunds_of(refunds: &BTreeMap<MerchantId, i64>, merchants: &[MerchantId]) -> (i64, i64) {
    let own = refunds.iter().filter(|(merchant, _)| merchants.contains(merchant)).map(|(_, refund)| *refund).sum();
    (own, refunds.values().sum())
}

/// The share of a part in the one payment of its order, by value. What went back for pieces is their merchants' (`own` of
/// `all`), as far as the provider has it; anything else went back for everybody, in proportion to what was left to each.
fn amounts_of(amounts: PaymentAmounts, part: Money, whole: Money, own: i64, all: i64) -> PaymentAmounts {
    let by = |amount: Money, one: i64, all: i64| amount.split(&[one, all - one]).first().copied().unwrap_or(amount);
    let share = |amount: Money| by(amount, part.amount(), whole.amount());
    let money = |amount: i64| Money::new(amount, amounts.refunded.currency()).unwrap_or(amounts.refunded);
    let pieces = money(all.min(amounts.refunded.amount()));
    let others = amounts.refunded.checked_sub(pieces).unwrap_or(pieces);
    let left = (part.amount() - own).max(0);
    let others = by(others, left, (whole.amount() - all).max(left));
    let refunded = by(pieces, own, all).checked_add(others).unwrap_or(amounts.refunded);
    PaymentAmounts { authorised: share(amounts.authorised), captured: share(amounts.captured), refunded }
}

/// The same where some merchants' money is taken as their goods leave: of theirs is taken what neither waits nor was given
/// up, the rest of what was taken is the others', by value.
fn parcelled(
    seen: &OrderView,
    parts: &[OrderPart],
    refunds: &BTreeMap<MerchantId, i64>,
    merchants: &[MerchantId],
) -> PaymentAmounts {
    let (amounts, at_shipment) = (seen.payment.amounts, &seen.payment.at_shipment);
    let later = |part: &OrderPart| at_shipment.iter().find(|later| later.merchant == part.merchant);
    let taken = |part: &OrderPart| {
        later(part).map(|later| part.total.amount() - later.waiting.amount() - later.forgone.amount())
    };
    let of_others = amounts.captured.amount() - parts.iter().filter_map(taken).sum::<i64>();
    let all_others: i64 = parts.iter().filter(|part| later(part).is_none()).map(|part| part.total.amount()).sum();
    let money = |amount: i64| Money::new(amount.max(0), amounts.captured.currency()).unwrap_or(amounts.captured);
    let own = || parts.iter().filter(|part| merchants.contains(&part.merchant));
    let captured = own().map(|part| {
        taken(part).unwrap_or_else(|| {
            let of = part.total.amount();
            money(of_others).split(&[of, all_others - of]).first().map_or(0, |share| share.amount())
        })
    });
    let refunded = own().map(|part| {
        let off = refunds.get(&part.merchant).copied().unwrap_or(0);
        (off - later(part).map_or(0, |later| later.forgone.amount())).max(0)
    });
    let total = own().map(|part| part.total.amount()).sum::<i64>();
    PaymentAmounts {
        authorised: money(total.min(amounts.authorised.amount())),
        captured: money(captured.sum::<i64>().min(amounts.captured.amount())),
        refunded: money(refunded.sum::<i64>().min(amounts.refunded.amount())),
    }
}

/// An order as its owner sees it. A guest's own order carries its secret link.
pub(crate) fn view(orders: &Orders, order: StoredOrder, own: bool) -> OrderView {
    // An adopted order is the account's, whoever asked for its quote.
    let guest = matches!(order.owner.parse(), Ok(Owner::Guest(_)));
    let secret = if own && guest { link::secret(orders, &order) } else { None };
    let link = secret.map(|secret| format!("/o/{}/{secret}", order.id));
    OrderView {
        id: order.id,
        number: order.number.clone(),
        placed_at: order.placed_at,
        status: order.status,
        fulfilment: order.fulfilment,
        returns: order.returns,
        parts: parts(&order),
        shipments: order.shipments.iter().map(|shipment| shipment_view(&order, shipment)).collect(),
        return_requests: order.return_requests.iter().map(|asked| return_view(&order, asked)).collect(),
        totals: order.content.totals,
        lines: order
            .content
            .lines
            .into_iter()
            .zip(0_u16..)
            .map(|(quoted, n)| OrderLine { quoted, units: order.units.get(&n).copied().unwrap_or_default() })
            .collect(),
        payment: order.payment,
        link,
        reinstated_as: order.reinstated_as,
        reinstates: order.reinstates,
    }
}

/// The parts of an order, each with how far its own goods are.
fn parts(order: &StoredOrder) -> Vec<OrderPart> {
    let mut parts = content::parts(&order.content);
    for part in &mut parts {
        let untouched = Units::default();
        let lines = order.content.lines.iter().zip(0_u16..).filter(|(line, _)| line.merchant == part.merchant);
        part.fulfilment =
            fulfilment::fulfilment(lines.map(|(line, n)| (line.quantity, order.units.get(&n).unwrap_or(&untouched))));
    }
    parts
}

/// Units by SKU, as people read them: a SKU that stands in several lines is named once.
pub(crate) fn by_sku(order: &StoredOrder, units: &LineUnits) -> Vec<(String, u32)> {
    let mut sums: Vec<(String, u32)> = Vec::new();
    for (n, count) in units {
        let Some(line) = order.content.lines.get(usize::from(*n)) else { continue };
        match sums.iter_mut().find(|(sku, _)| *sku == line.sku) {
            Some((_, sum)) => *sum = sum.saturating_add(*count),
            None => sums.push((line.sku.clone(), *count)),
        }
    }
    sums
}

fn shipment_view(order: &StoredOrder, shipment: &StoredShipment) -> ShipmentView {
    ShipmentView {
        id: shipment.id,
        merchant: shipment.merchant,
        lines: by_sku(order, &shipment.units),
        state: shipment.state,
        carrier: shipment.carrier.clone(),
        tracking: shipment.tracking.clone(),
        shipped_at: shipment.shipped_at,
        delivered_at: shipment.delivered_at,
    }
}

/// A return as people read it.
pub(crate) fn return_view(order: &StoredOrder, asked: &StoredReturn) -> ReturnView {
    ReturnView {
        id: asked.id,
        merchant: asked.merchant,
        lines: by_sku(order, &asked.units),
        state: asked.state,
        reason: asked.reason.clone(),
        requested_at: asked.requested_at,
        refund: asked.refund.and_then(|amount| Money::new(amount, order.content.currency).ok()),
    }
}

/// Whether the shopper has something to read: paid, refused, something to do, or an end.
fn has_first_word(order: &StoredOrder) -> bool {
    order.status != OrderStatus::AwaitingPayment
        || !matches!(order.payment.status, PaymentStatus::Pending | PaymentStatus::Authorised)
}

/// The order as committed, after waiting for a word newer than `after` for at most so long. `stored` was just read.
pub(crate) async fn after_first_word(
    orders: &Orders,
    mut stored: StoredOrder,
    after: i64,
    wait_ms: u32,
) -> Result<StoredOrder, Failure> {
    let patience = Duration::from_millis(u64::from(wait_ms.min(WAIT_MS_MAX)));
    let until = tokio::time::Instant::now() + patience;
    let heard = |stored: &StoredOrder| {
        let newer = stored.payment_revision > after || stored.status != OrderStatus::AwaitingPayment;
        newer && has_first_word(stored)
    };
    if patience.is_zero() || heard(&stored) {
        return Ok(stored);
    }
    let waiters = &orders.sagas.waiters;
    // A word that came between the reading and this is found by the look at all who wait.
    let bell = waiters.listen((&stored).into());
    let mut rung = bell.notified();
    loop {
        let over = tokio::time::timeout_at(until, rung).await.is_err();
        // Listening before looking: what rings meanwhile is not missed.
        rung = bell.notified();
        stored = load(orders, stored.id).await?;
        if over || heard(&stored) {
            return Ok(stored);
        }
        waiters.saw((&stored).into());
    }
}

/// A position in a list by time: where the next page goes on.
pub(crate) fn cursor_at(at: Timestamp, id: impl std::fmt::Display) -> String {
    format!("{}~{id}", at.unix_ms())
}

/// Reads what [`cursor_at`] wrote.
pub(crate) fn position_of<T: std::str::FromStr>(cursor: &str) -> Result<(Timestamp, T), Failure> {
    cursor
        .split_once('~')
        .and_then(|(at, id)| Some((Timestamp::from_unix_ms(at.parse().ok()?), id.parse().ok()?)))
        .ok_or_else(|| Failure::new(Code::BadRequest, "This cursor is not one of ours."))
}

/// An order that must exist.
pub(crate) async fn load(orders: &Orders, id: OrderId) -> Result<StoredOrder, Failure> {
    let found = store::read::order(orders.context.postgres().pool(), id).await.map_err(DatabaseError::from)?;
    found.ok_or_else(|| Code::OrderNotFound.into())
}
