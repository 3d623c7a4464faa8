//! From a cart to an order: the quote, placing it, and what became of it. The core decides all three.

use bodega_domain::{
    Code, Currency, Failure, Timestamp,
    address::{Address, Contact, line},
    failure::Validation,
    limits::{PLACE_DEADLINE_MS, PLACE_WAIT_MS, QUOTE_TOKEN_BYTES_MAX},
    message::{
        order::{Outcome, PaymentChoice, Place},
        pricing::{Quote, QuoteAnswer},
    },
    order::OrderView,
};
use serde::Deserialize;

use crate::{
    cart,
    core_link::{AskError, Patience, ask, ask_with, unavailable},
    platform::Platform,
    session::{self, Shopper},
    visit::Visit,
};

/// Milliseconds that a quote may take: plugins run in it.
const QUOTE_MS: i64 = 4_000;
/// Milliseconds that asking for an outcome may take.
const OUTCOME_MS: i64 = 3_000;
/// Remembers until when a checkout may still succeed, for the page that waits for it.
const COOKIE: &str = "bodega_checkout";
/// The same for clients without a cookie jar: opaque, and for one key only.
const HEADER: &str = "bodega-checkout";

/// Asks what the session's cart costs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuoteIn {
    /// Without one the answer is an estimate.
    #[serde(default)]
    pub(crate) shipping_address: Option<Address>,
    /// For instance `standard`.
    #[serde(default)]
    pub(crate) shipping_method: Option<String>,
    /// Another price list than the cart's.
    #[serde(default)]
    pub(crate) currency: Option<Currency>,
}

/// Places the order of a quote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceIn {
    /// The quote's token.
    pub(crate) quote: String,
    /// Who orders.
    pub(crate) contact: Contact,
    /// Where it goes.
    pub(crate) shipping_address: Address,
    /// Whom the invoice names, when it is somebody else.
    #[serde(default)]
    pub(crate) billing_address: Option<Address>,
    /// How it is paid.
    pub(crate) payment: PaymentChoice,
}

/// What a checkout came to.
pub(crate) enum Placed {
    /// The order exists.
    Order(Box<OrderView>),
    /// It was sent and not answered: until the deadline it may still become an order.
    Unknown {
        /// After this it can no longer succeed.
        deadline: Timestamp,
    },
}

/// Gets a quote for the cart.
pub(crate) async fn quote<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    wish: &QuoteIn,
) -> Result<QuoteAnswer, Failure> {
    let mut v = Validation::new();
    if let Some(address) = &wish.shipping_address {
        address.validate("/shipping_address", &mut v);
    }
    line(&mut v, "/shipping_method", wish.shipping_method.as_deref().unwrap_or(""), false);
    v.finish()?;
    let mut basket = cart::load(visit, Some(shopper)).await;
    if basket.cart.is_empty() {
        return Err(Failure::new(Code::CartEmpty, "There is nothing in the basket to order."));
    }
    let cart_tick = basket.cart.largest_tick();
    let request = Quote {
        lines: basket.cart.lines().collect(),
        cart_tick,
        currency: wish.currency.unwrap_or_else(|| basket.currency()),
        codes: basket.cart.codes().to_vec(),
        destination: wish.shipping_address.as_ref().map(Address::destination),
        shipping_method: wish.shipping_method.clone(),
    };
    let answer = ask(visit, Some(&shopper.token), &request, QUOTE_MS).await.map_err(AskError::of_read)?;
    if let Some(token) = &answer.token {
        cart::note_quote(visit, Some(shopper), &mut basket, token, cart_tick).await;
    }
    Ok(answer)
}

/// Places an order.
///
/// # Errors
/// The core's refusal, or `core_unavailable`: surely nothing was done.
pub(crate) async fn place<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    key: &str,
    wish: PlaceIn,
) -> Result<Placed, Failure> {
    validate(&wish)?;
    let deadline = visit.now.plus_ms(PLACE_DEADLINE_MS);
    let request = Place {
        key: key.to_owned(),
        quote: wish.quote,
        contact: wish.contact,
        shipping_address: wish.shipping_address,
        billing_address: wish.billing_address,
        payment: wish.payment,
        deadline,
        wait_ms: PLACE_WAIT_MS,
        client_bucket: session::client_bucket(visit),
        return_url: Some(format!("{}/checkout/{}", visit.origin(), path_segment(key))),
    };
    match ask_with(visit, Some(&shopper.token), &request, Patience::strictly(PLACE_DEADLINE_MS)).await {
        Ok(order) => {
            cart::ordered(visit, Some(shopper), &order, &[&request.quote, key]).await;
            Ok(Placed::Order(Box::new(order)))
        }
        Err(AskError::Refused(failure)) => Err(failure),
        Err(AskError::Unavailable) => Err(unavailable()),
        Err(AskError::Unknown) => {
            cart::note_checkout(visit, &request.quote, key).await;
            remember_deadline(visit, key, deadline);
            Ok(Placed::Unknown { deadline })
        }
    }
}

fn validate(wish: &PlaceIn) -> Result<(), Failure> {
    if wish.quote.is_empty() || wish.quote.len() > QUOTE_TOKEN_BYTES_MAX {
        return Err(Failure::new(Code::QuoteInvalid, "This quote is not valid here. Ask for a new one."));
    }
    let mut v = Validation::new();
    wish.contact.validate("/contact", &mut v);
    wish.shipping_address.validate("/shipping_address", &mut v);
    if let Some(address) = &wish.billing_address {
        address.validate("/billing_address", &mut v);
    }
    validate_payment(&wish.payment, &mut v);
    v.finish()
}

/// Notes what is wrong with a choice of payment; whether it is offered is the core's to say.
pub(crate) fn validate_payment(payment: &PaymentChoice, v: &mut Validation) {
    line(v, "/payment/provider", &payment.provider, true);
    line(v, "/payment/method", &payment.method, true);
}

/// What became of a checkout. Until its deadline "no order" may still change.
pub(crate) async fn outcome<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    key: &str,
) -> Result<OrderView, Failure> {
    let deadline = told_deadline(visit, key).unwrap_or_else(|| visit.now.plus_ms(PLACE_DEADLINE_MS));
    let request = Outcome { key: key.to_owned(), deadline: Some(deadline) };
    match ask(visit, Some(&shopper.token), &request, OUTCOME_MS).await {
        Ok(order) => {
            cart::ordered(visit, Some(shopper), &order, &[key]).await;
            visit.drop_cookie(COOKIE);
            Ok(order)
        }
        Err(error) => {
            let mut failure = error.of_read();
            if failure.code == Code::CheckoutNotFound && failure.r#final != Some(true) {
                remember_deadline(visit, key, deadline);
                failure = failure.about(outcome_address(key, deadline)).retry_after_s(1);
            }
            Err(failure)
        }
    }
}

/// Where an outcome is asked for.
pub(crate) fn outcome_address(key: &str, deadline: Timestamp) -> String {
    format!("/api/v1/checkout/{}?deadline={}", path_segment(key), deadline.unix_ms())
}

/// A text as one segment of a path.
pub(crate) fn path_segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn remember_deadline<P: Platform>(visit: &Visit<'_, P>, key: &str, deadline: Timestamp) {
    let value = format!("{:08x}.{}", cart::mark(key), deadline.unix_ms());
    visit.set_cookie(COOKIE, &value, 600);
    visit.answer_header(HEADER, value);
}

/// The deadline as the client tells it: in the address, or in the header or cookie that it got with an answer that knew no
/// outcome.
fn told_deadline<P: Platform>(visit: &Visit<'_, P>, key: &str) -> Option<Timestamp> {
    let mark = format!("{:08x}", cart::mark(key));
    let remembered = || {
        let values = visit.header(HEADER).into_iter().chain(visit.cookies(COOKIE));
        values.filter_map(|value| value.trim().split_once('.')).find(|(of, _)| *of == mark)?.1.parse().ok()
    };
    let of_query = visit.query("deadline").and_then(|ms| ms.parse().ok());
    of_query.or_else(remembered).map(Timestamp::from_unix_ms)
}
