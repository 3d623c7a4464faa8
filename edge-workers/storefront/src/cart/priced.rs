//! A cart with titles, prices and totals out of the edge's store: what it is likely to cost. The core decides in the quote.

use bodega_domain::{
    Code, Currency, Failure, Money,
    catalog::{Band, Picture, SkuNo, SkuView},
    market::{Market, shipping_price},
    promotion::{self, PricedLine, Rule},
    quote::{Shipping, Totals},
};
use futures::future::join_all;
use serde::Serialize;

use super::Basket;
use crate::{catalog, platform::Platform, visit::Visit};

/// The shipping method that an estimate assumes.
const STANDARD: &str = "standard";

/// A line as shoppers see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// The code that names it in the API; `no-…` for an article that the catalogue does not know any more.
    pub(crate) sku: String,
    /// Product and variant.
    pub(crate) title: String,
    /// The product's slug, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) product: Option<String>,
    /// Its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) picture: Option<Picture>,
    /// How many.
    pub(crate) quantity: u32,
    /// Price of one; 0 when it has none in this currency.
    pub(crate) unit_price: Money,
    /// Quantity × unit price.
    pub(crate) total: Money,
    /// Whether it can be ordered, as far as this edge knows.
    pub(crate) available: bool,
    /// How much there is.
    pub(crate) band: Band,
}

/// A discount that a declarative rule is likely to give.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Discount {
    /// The rule.
    pub(crate) source: bodega_domain::quote::Source,
    /// What the shopper reads.
    pub(crate) label: String,
    /// How much, > 0.
    pub(crate) amount: Money,
}

/// A cart as the API answers it and the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PricedCart {
    /// Names the cart; not the secret.
    pub(crate) id: String,
    /// The price list.
    pub(crate) currency: Currency,
    /// What is in it.
    pub(crate) lines: Vec<Line>,
    /// Codes as they were entered.
    pub(crate) codes: Vec<String>,
    /// What declarative rules are likely to give.
    pub(crate) discounts: Vec<Discount>,
    /// What it is likely to cost.
    pub(crate) totals: Totals,
    /// Always true here: the quote is what counts.
    pub(crate) estimated: bool,
    /// Whether the core has seen it in the last seconds.
    pub(crate) synced: bool,
}

impl PricedCart {
    /// Whether anything in it cannot be ordered.
    pub(crate) fn has_unavailable(&self) -> bool {
        self.lines.iter().any(|line| !line.available)
    }
}

/// Prices a cart.
pub(crate) async fn price<P: Platform>(visit: &Visit<'_, P>, basket: &Basket) -> Result<PricedCart, Failure> {
    let currency = basket.currency();
    let held: Vec<(SkuNo, u32)> = basket.cart.lines().collect();
    let views = join_all(held.iter().map(|(no, _)| catalog::sku(visit, *no))).await;
    let views = views.into_iter().collect::<Result<Vec<_>, _>>()?;
    if views.iter().any(Option::is_none) && !catalog::is_ready(visit).await {
        return Err(Failure::new(Code::EdgeNotReady, "This edge is still receiving the catalogue. Your cart is safe."));
    }
    let rules = if held.is_empty() { Vec::new() } else { catalog::rules(visit).await };
    let lines: Vec<Line> =
        held.iter().zip(&views).map(|((no, quantity), view)| line(*no, *quantity, view.as_ref(), currency)).collect();
    let (discounts, totals) = estimate(&held, &views, &rules, basket.cart.codes(), currency)?;
    Ok(PricedCart {
        id: basket.public_id(),
        currency,
        lines,
        codes: basket.cart.codes().to_vec(),
        discounts,
        totals,
        estimated: true,
        synced: basket.synced,
    })
}

/// What declarative rules, standard delivery and the market that fits the price list make of it. Plugins take part in
/// the core alone.
fn estimate(
    held: &[(SkuNo, u32)],
    views: &[Option<SkuView>],
    rules: &[Rule],
    codes: &[String],
    currency: Currency,
) -> Result<(Vec<Discount>, Totals), Failure> {
    let market = Market::assumed(currency);
    let lines: Vec<PricedLine> = held
        .iter()
        .zip(views)
        .filter_map(|((_, quantity), view)| {
            let view = view.as_ref()?;
            let unit_price = view.prices.get(currency)?;
            Some(PricedLine { sku: view.clone(), quantity: *quantity, unit_price })
        })
        .collect();
    let Some(amount) = shipping_price(STANDARD, currency).filter(|_| !lines.is_empty()) else {
        return Ok((Vec::new(), Totals::zero(currency, market.tax_included)));
    };
    let ruled = promotion::evaluate(rules, &lines, codes, currency);
    let shipping = Shipping { method: STANDARD.to_owned(), amount };
    let priced = promotion::price(&lines, &ruled.effects, &shipping, &market)
        .map_err(|_| Failure::new(Code::ValidationFailed, "This cart is worth more than can be ordered at once."))?;
    let discounts = priced
        .adjustments
        .into_iter()
        .map(|given| Discount { source: given.source, label: given.label, amount: given.amount })
        .collect();
    Ok((discounts, priced.totals))
}

fn line(sku_no: SkuNo, quantity: u32, view: Option<&SkuView>, currency: Currency) -> Line {
    let price = view.and_then(|view| view.prices.get(currency));
    let zero = Money::zero(currency);
    let unit_price = price.unwrap_or(zero);
    let band = view.map_or(Band::Out, |view| view.band);
    Line {
        sku: view.map_or_else(|| gone(sku_no), |view| view.sku.clone()),
        title: view.map_or_else(|| "No longer offered".to_owned(), |view| view.title.clone()),
        product: view.map(|view| view.product.clone()),
        picture: view.and_then(|view| view.picture.clone()),
        quantity,
        unit_price,
        total: unit_price.times(quantity).unwrap_or(zero),
        available: price.is_some() && band != Band::Out,
        band,
    }
}

fn gone(no: SkuNo) -> String {
    format!("no-{no}")
}

/// The number of a line by the code that the cart gave it.
pub(crate) async fn line_no<P: Platform>(visit: &Visit<'_, P>, code: &str) -> Result<SkuNo, Failure> {
    if let Some(no) = code.strip_prefix("no-").and_then(|no| no.parse().ok()) {
        return Ok(no);
    }
    catalog::sku_no(visit, code).await
}
