//! What follows from a verified quote: shares of merchants, quotas, the message that opens the payment.

use std::collections::BTreeMap;

use bodega_domain::{
    Code, Failure, Money,
    id::{MerchantId, OrderId},
    limits::{PAYMENT_ATTEMPTS_PER_HOUR_MAX, UNPAID_ORDERS_MAX},
    message::{
        order::PaymentChoice,
        payment::{OpenAsk, Share},
    },
    money::MoneyError,
    order::{Fulfilment, OrderPart},
    principal::Owner,
    quote::QuoteContent,
};

/// Unpaid orders of all guests behind one client address: a household or an office, not a bot.
pub(crate) const UNPAID_ORDERS_BUCKET_MAX: i64 = 20;

/// Attempts within an hour, of all guests behind one client address, that did not pay.
const ATTEMPTS_BUCKET_MAX: i64 = 50;
/// Minutes for which an attempt counts.
pub(crate) const ATTEMPTS_COUNT_MIN: i64 = 60;
/// How the counters of a client address begin; the SQL that counts them says the same.
const ATTEMPTS_AT: &str = "attempt:at:";

/// What each merchant is owed: its lines, and its share of shipping by their value. The shares add up to the total.
pub(crate) fn shares(content: &QuoteContent) -> Result<Vec<Share>, MoneyError> {
    let zero = Money::zero(content.currency);
    let mut by_merchant: BTreeMap<MerchantId, (Money, Money)> = BTreeMap::new();
    for line in &content.lines {
        let (gross, tax) = by_merchant.entry(line.merchant).or_insert((zero, zero));
        *gross = gross.checked_add(line.total)?;
        *tax = tax.checked_add(line.tax)?;
    }
    let weights: Vec<i64> = by_merchant.values().map(|(gross, _)| gross.amount()).collect();
    let gross = Money::sum(content.currency, by_merchant.values().map(|(gross, _)| *gross))?;
    let tax = Money::sum(content.currency, by_merchant.values().map(|(_, tax)| *tax))?;
    let more_gross = content.totals.total.checked_sub(gross)?.split(&weights);
    let more_tax = content.totals.tax.checked_sub(tax)?.split(&weights);
    by_merchant
        .into_iter()
        .zip(more_gross.into_iter().zip(more_tax))
        .map(|((merchant, (gross, tax)), (more_gross, more_tax))| {
            let tax = tax.checked_add(more_tax)?;
            Ok(Share { merchant, net: gross.checked_add(more_gross)?.checked_sub(tax)?, tax })
        })
        .collect()
}

/// One part a merchant, in the order of their first lines.
pub(crate) fn parts(content: &QuoteContent) -> Vec<OrderPart> {
    let shares = shares(content).unwrap_or_default();
    let mut parts: Vec<OrderPart> = Vec::new();
    for line in &content.lines {
        if let Some(part) = parts.iter_mut().find(|part| part.merchant == line.merchant) {
            part.skus.push(line.sku.clone());
            continue;
        }
        let share = shares.iter().find(|share| share.merchant == line.merchant);
        let total = share.and_then(|share| share.net.checked_add(share.tax).ok());
        parts.push(OrderPart {
            merchant: line.merchant,
            skus: vec![line.sku.clone()],
            total: total.unwrap_or_else(|| Money::zero(content.currency)),
            fulfilment: Fulfilment::None,
        });
    }
    parts
}

/// The message that opens the order's payment. The key goes to the provider.
pub(crate) fn open_ask(
    content: &QuoteContent,
    choice: &PaymentChoice,
    key: &str,
    return_url: Option<String>,
) -> Result<OpenAsk, Failure> {
    Ok(OpenAsk {
        order: content.order_id,
        owner: content.owner,
        amount: content.totals.total,
        shares: shares(content).map_err(|_| Code::QuoteInvalid)?,
        provider: choice.provider.clone(),
        method: choice.method.clone(),
        attempt_key: format!("{}/{key}", content.owner),
        return_url,
        takes_over: None,
    })
}

/// A counter that an order takes one of, with its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) key: String,
    pub(crate) limit: i64,
}

/// Counters of unpaid orders: the buyer's, and for guests that of their client address.
pub(crate) fn unpaid_quotas(owner: Owner, client_bucket: Option<&str>) -> Vec<Quota> {
    let mut quotas = vec![Quota { key: format!("unpaid:{owner}"), limit: UNPAID_ORDERS_MAX }];
    if let (Owner::Guest(_), Some(bucket)) = (owner, client_bucket) {
        quotas.push(Quota { key: format!("unpaid:at:{bucket}"), limit: UNPAID_ORDERS_BUCKET_MAX });
    }
    quotas
}

/// Counters of attempts to pay, beside those of unpaid orders: the buyer's, and for guests that of their client address.
pub(crate) fn attempt_quotas<'a>(unpaid: impl Iterator<Item = &'a str>) -> Vec<Quota> {
    let of = |key: &str| {
        let key = format!("attempt:{}", key.strip_prefix("unpaid:")?);
        let limit = if key.starts_with(ATTEMPTS_AT) { ATTEMPTS_BUCKET_MAX } else { PAYMENT_ATTEMPTS_PER_HOUR_MAX };
        Some(Quota { key, limit })
    };
    unpaid.filter_map(of).collect()
}

/// Counters of the promotions that the quote used.
pub(crate) fn budget_quotas(content: &QuoteContent) -> Vec<Quota> {
    let mut quotas = Vec::new();
    for budget in &content.budgets {
        let promotion = &budget.promotion;
        if let Some(limit) = budget.uses_max {
            quotas.push(Quota { key: format!("promotion:{promotion}"), limit: limit.into() });
        }
        if let Some(limit) = budget.uses_per_buyer_max {
            quotas.push(Quota { key: format!("promotion:{promotion}:{}", content.owner), limit: limit.into() });
        }
    }
    quotas
}

/// Short, for people and telephones: the random end of the order's id.
pub(crate) fn number(order: OrderId) -> String {
    let text = order.to_string().to_uppercase();
    let tail: String = text.chars().skip(text.len().saturating_sub(8)).collect();
    let (left, right) = tail.split_at_checked(4).unwrap_or((&tail, ""));
    format!("B-{left}-{right}")
}
