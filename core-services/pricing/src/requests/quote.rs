//! `pricing.v1.quote`: what a cart costs. With a destination the answer can be ordered, as it is.

use std::collections::BTreeMap;

use bodega_domain::{
    Code, Currency, Failure,
    catalog::{SkuNo, SkuView},
    failure::Validation,
    id::OrderId,
    limits::{CART_CODES_MAX, CART_LINES_MAX, CODE_BYTES_MAX, LINE_QUANTITY_MAX, QUOTE_VALID_MIN},
    market::{Market, is_offered, shipping_price},
    message::{
        catalog::PriceLines,
        pricing::{Quote, QuoteAnswer},
    },
    promotion::{self, Priced, PricedLine, Rule},
    quote::{self, BudgetUse, QuoteContent, Shipping, Source},
};
use bodega_platform::Call;

use crate::{
    Pricing,
    active::{self, Snapshot},
    plugins::{self, Seen},
};

const DEFAULT_METHOD: &str = "standard";

pub(crate) async fn quote(pricing: Pricing, call: Call, request: Quote) -> Result<QuoteAnswer, Failure> {
    validate(&request)?;
    let market = match &request.destination {
        Some(destination) => Market::of(destination).ok_or_else(|| {
            Failure::from(Code::DestinationUnsupported).field(
                "/shipping_address/country",
                "unsupported",
                "We do not deliver there.",
            )
        })?,
        None => Market::assumed(request.currency),
    };
    let method = request.shipping_method.as_deref().unwrap_or(DEFAULT_METHOD);
    let amount = shipping_price(method, request.currency).ok_or_else(|| {
        let failure = Failure::from(Code::ValidationFailed);
        failure.field("/shipping_method", "unknown", "There is no such shipping method.")
    })?;
    let shipping = Shipping { method: method.to_owned(), amount };
    let priced = pricing
        .context
        .bus()
        .request(&PriceLines { sku_nos: promotion::sku_nos(&request.lines), currency: request.currency }, &call.context)
        .await?;
    let lines = lines(&request, priced.skus)?;
    let promotions = active::current(&pricing).await?;
    let now = pricing.context.clock().now();
    let ruled = promotion::evaluate(&promotions.rules, &lines, &request.codes, request.currency);
    let seen = Seen { lines: &lines, currency: request.currency, market: &market, codes: &request.codes, issued: now };
    let (from_plugins, runs) = plugins::run(&pricing.pool, &promotions.plugins, &seen).await;
    let mut effects = ruled.effects;
    effects.extend(from_plugins);
    let Priced { lines, adjustments, taxes, totals } =
        promotion::price(&lines, &effects, &shipping, &market).map_err(|error| {
            tracing::warn!(%error, "a cart could not be priced");
            Failure::new(Code::ValidationFailed, "This cart is worth more than can be ordered at once.")
        })?;
    let expires = now.plus_min(QUOTE_VALID_MIN);
    let mut answer = QuoteAnswer {
        token: None,
        expires_at: expires,
        currency: request.currency,
        lines,
        discounts: adjustments,
        plugins: runs,
        taxes,
        shipping,
        totals,
        codes_refused: ruled.refused.into_iter().map(|(code, why)| (code, why.to_owned())).collect(),
    };
    let (Some(destination), Some(owner)) = (request.destination, call.principal.owner()) else { return Ok(answer) };
    let content = QuoteContent {
        order_id: OrderId::new(now.unix_ms(), pricing.context.entropy().bytes()),
        owner,
        cart_tick: request.cart_tick,
        currency: request.currency,
        market: market.country.to_owned(),
        destination,
        shipping: answer.shipping.clone(),
        lines: answer.lines.clone(),
        budgets: budgets(&promotions, &answer, request.currency),
        adjustments: answer.discounts.clone(),
        plugins: answer.plugins.clone(),
        codes: ruled.codes,
        price_version: priced.price_version,
        taxes: answer.taxes.clone(),
        totals: answer.totals,
        issued: now,
        expires,
    };
    let token = quote::mint(&pricing.context.config().keys.quote, &content);
    answer.token = Some(token.ok_or_else(|| {
        tracing::warn!(lines = content.lines.len(), "a quote could not be signed: it is too large, or there is no key");
        Failure::new(Code::PayloadTooLarge, "This cart has more lines and discounts than one order can carry.")
    })?);
    Ok(answer)
}

fn validate(request: &Quote) -> Result<(), Failure> {
    if request.lines.is_empty() {
        return Err(Code::CartEmpty.into());
    }
    let mut v = Validation::new();
    v.check(request.lines.len() <= CART_LINES_MAX, "/lines", "too_long", "At most 200 lines.");
    v.check(request.codes.len() <= CART_CODES_MAX, "/codes", "too_long", "At most 5 codes.");
    let codes_fit = request.codes.iter().all(|code| code.len() <= CODE_BYTES_MAX);
    v.check(codes_fit, "/codes", "too_long", "At most 40 bytes each.");
    for (sku, quantity) in &request.lines {
        let fits = *quantity > 0 && *quantity <= LINE_QUANTITY_MAX;
        v.check(fits, &format!("/lines/{sku}"), "out_of_range", "Between 1 and 999.");
    }
    v.finish()?;
    if is_offered(request.currency) { Ok(()) } else { Err(Code::CurrencyUnsupported.into()) }
}

/// The lines in the order of the cart, each with its price. What is gone or has no price is named.
fn lines(request: &Quote, skus: Vec<SkuView>) -> Result<Vec<PricedLine>, Failure> {
    let skus: BTreeMap<SkuNo, SkuView> = skus.into_iter().map(|sku| (sku.sku_no, sku)).collect();
    let mut lines: Vec<PricedLine> = Vec::new();
    let mut v = Validation::new();
    for (sku_no, quantity) in &request.lines {
        let pointer = format!("/lines/{sku_no}");
        let Some(sku) = skus.get(sku_no) else {
            v.wrong(pointer, "unknown", "This article is no longer sold. Take it out of the cart.");
            continue;
        };
        let Some(unit_price) = sku.prices.get(request.currency) else {
            let named = format!("/lines/{}", sku.sku);
            v.wrong(named, "no_price", format!("{} is not sold in {}.", sku.title, request.currency));
            continue;
        };
        match lines.iter_mut().find(|line| line.sku.sku_no == *sku_no) {
            Some(line) => line.quantity = line.quantity.saturating_add(*quantity).min(LINE_QUANTITY_MAX),
            None => lines.push(PricedLine { sku: sku.clone(), quantity: *quantity, unit_price }),
        }
    }
    v.finish()?;
    Ok(lines)
}

/// The limited promotions that lowered something: the order counts them.
fn budgets(promotions: &Snapshot, answer: &QuoteAnswer, currency: Currency) -> Vec<BudgetUse> {
    let limited = |rule: &&Rule| rule.uses_max.is_some() || rule.uses_per_buyer_max.is_some();
    promotions
        .rules
        .iter()
        .filter(limited)
        .filter_map(|rule| {
            let id = rule.id.to_string();
            let of = |source: &Source| matches!(source, Source::Rule(of) if *of == id);
            let used: i64 = answer.discounts.iter().filter(|a| of(&a.source)).map(|a| a.amount.amount()).sum();
            let amount = bodega_domain::Money::new(used, currency).ok().filter(|m| m.amount() > 0)?;
            Some(BudgetUse {
                promotion: id,
                code: rule.code.clone(),
                amount,
                uses_max: rule.uses_max,
                uses_per_buyer_max: rule.uses_per_buyer_max,
            })
        })
        .collect()
}
