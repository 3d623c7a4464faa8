//! The cart: read, lines, codes, currency. Every answer is the cart as it is now, and carries it in the cookie too.

use bodega_domain::{Code, Currency, Failure, limits::LINE_QUANTITY_MAX};
use http::StatusCode;
use serde::Deserialize;

use crate::{
    cart::{self, Basket, CURRENCIES, priced},
    catalog,
    platform::Platform,
    read,
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// Units of a SKU to be added.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineIn {
    /// The SKU's code.
    pub(crate) sku: String,
    /// From 1.
    pub(crate) quantity: u32,
}

/// A new quantity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinePatch {
    /// 0 removes the line.
    pub(crate) quantity: u32,
}

/// A promotion code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeIn {
    /// As it was printed.
    pub(crate) code: String,
}

/// What can be changed of a cart as a whole.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CartPatch {
    /// The price list.
    pub(crate) currency: Currency,
}

async fn answer<P: Platform>(visit: &Visit<'_, P>, basket: &Basket) -> Answer {
    respond::json(StatusCode::OK, &priced::price(visit, basket).await?)
}

/// `GET /api/v1/cart`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let shopper = session::for_cart(visit).await?;
    let basket = cart::load(visit, shopper.as_ref()).await;
    respond::json_read(&priced::price(visit, &basket).await?)
}

/// `PATCH /api/v1/cart {currency}`.
pub(crate) async fn patch<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let CartPatch { currency } = read::json(visit)?;
    if !CURRENCIES.contains(&currency) {
        return Err(Failure::from(Code::CurrencyUnsupported).field("/currency", "unsupported", "EUR, USD or JPY."));
    }
    let shopper = session::for_cart(visit).await?;
    let set = cart::change(visit, shopper.as_ref(), |cart, tick| {
        cart.set_currency(currency, tick);
        Ok(())
    });
    answer(visit, &set.await?).await
}

fn quantity(quantity: u32, least: u32) -> Result<u32, Failure> {
    if (least..=LINE_QUANTITY_MAX).contains(&quantity) {
        return Ok(quantity);
    }
    let detail = format!("A quantity from {least} to {LINE_QUANTITY_MAX}.");
    Err(Failure::from(Code::ValidationFailed).field("/quantity", "out_of_range", detail))
}

/// `POST /api/v1/cart/lines {sku, quantity}`. With an `Idempotency-Key` a repeated add is the same add.
pub(crate) async fn add<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let key = read::idempotency_key(visit)?;
    let line: LineIn = read::json(visit)?;
    let quantity = quantity(line.quantity, 1)?;
    let no = catalog::sku_no(visit, &line.sku).await.map_err(|failure| match failure.code {
        Code::SkuNotFound => failure.field("/sku", "unknown", "There is no article with this code."),
        _ => failure,
    })?;
    let shopper = session::for_cart(visit).await?;
    answer(visit, &cart::add(visit, shopper.as_ref(), no, quantity, key.as_deref()).await?).await
}

/// `PATCH /api/v1/cart/lines/{sku} {quantity}`.
pub(crate) async fn set<P: Platform>(visit: &Visit<'_, P>, sku: &str) -> Answer {
    let patch: LinePatch = read::json(visit)?;
    let quantity = quantity(patch.quantity, 0)?;
    let no = priced::line_no(visit, sku).await?;
    let shopper = session::for_cart(visit).await?;
    answer(visit, &cart::change(visit, shopper.as_ref(), |cart, tick| cart.set(no, quantity, tick)).await?).await
}

/// `DELETE /api/v1/cart/lines/{sku}`.
pub(crate) async fn remove<P: Platform>(visit: &Visit<'_, P>, sku: &str) -> Answer {
    read::same_origin_if_told(visit)?;
    let no = priced::line_no(visit, sku).await?;
    let shopper = session::for_cart(visit).await?;
    answer(visit, &cart::change(visit, shopper.as_ref(), |cart, tick| cart.set(no, 0, tick)).await?).await
}

/// `POST /api/v1/cart/codes {code}`.
pub(crate) async fn add_code<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let CodeIn { code } = read::json(visit)?;
    let shopper = session::for_cart(visit).await?;
    answer(visit, &cart::change(visit, shopper.as_ref(), |cart, tick| cart.add_code(&code, tick)).await?).await
}

/// `DELETE /api/v1/cart/codes/{code}`.
pub(crate) async fn remove_code<P: Platform>(visit: &Visit<'_, P>, code: &str) -> Answer {
    read::same_origin_if_told(visit)?;
    let shopper = session::for_cart(visit).await?;
    let removed = cart::change(visit, shopper.as_ref(), |cart, tick| {
        cart.remove_code(code, tick);
        Ok(())
    });
    answer(visit, &removed.await?).await
}
