//! Orders of the session: list, one, pay again, cancel, send back.

use bodega_domain::{Code, Failure, limits::LIST_LIMIT_MAX, message::order::PaymentChoice};
use http::StatusCode;
use serde::Deserialize;

use crate::{
    orders,
    platform::Platform,
    read,
    respond::{self, Answer},
    session::{self, Shopper},
    visit::Visit,
};

/// Another payment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayIn {
    /// How.
    pub(crate) payment: PaymentChoice,
}

/// Calling an order off.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelIn {
    /// Only these pieces; left out for the whole order.
    #[serde(default)]
    pub(crate) lines: Option<Vec<PiecesIn>>,
    /// One of `changed_mind`, `wrong_item`, `too_late`, `out_of_stock`, `fraud`, `other`.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// The order's e-mail, for who has opened its link and has no session that ordered it.
    #[serde(default)]
    pub(crate) email: Option<String>,
}

/// Sending goods back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnIn {
    /// What.
    pub(crate) lines: Vec<PiecesIn>,
    /// One of `changed_mind`, `damaged`, `wrong_item`, `not_as_described`, `too_late`, `other`.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// So many pieces of an article; as `[sku, quantity]`, too, which is how orders tell what is in a parcel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PiecesIn {
    /// The SKU's code.
    pub(crate) sku: String,
    /// How many.
    pub(crate) quantity: u32,
}

fn pieces(lines: Vec<PiecesIn>) -> Vec<(String, u32)> {
    lines.into_iter().map(|line| (line.sku, line.quantity)).collect()
}

/// Whoever has a session at all: orders belong to one.
async fn owner<P: Platform>(visit: &Visit<'_, P>) -> Result<Shopper, Failure> {
    session::current(visit).await?.ok_or_else(|| {
        Failure::new(Code::Unauthenticated, "Orders belong to a session: sign in, or use the browser that ordered.")
    })
}

/// `GET /api/v1/orders`.
pub(crate) async fn list<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let limit = read::query_number(visit, "limit", 1..=LIST_LIMIT_MAX)?;
    let cursor = visit.query("cursor").filter(|cursor| !cursor.is_empty());
    let shopper = owner(visit).await?;
    respond::json_read(&orders::list(visit, &shopper, cursor, limit).await?)
}

/// `GET /api/v1/orders/{id}`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    respond::json_read(&orders::show(visit, orders::id(id)?).await?.order)
}

/// `POST /api/v1/orders/{id}/payments`.
pub(crate) async fn pay<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    let key = read::required_idempotency_key(visit)?;
    let wish: PayIn = read::json(visit)?;
    let (order, shopper) = (orders::id(id)?, owner(visit).await?);
    respond::json(StatusCode::OK, &orders::pay(visit, &shopper, order, key, wish.payment).await?)
}

/// `POST /api/v1/orders/{id}/cancel`; the body may be left out.
pub(crate) async fn cancel<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    let key = read::required_idempotency_key(visit)?;
    let wish: CancelIn = if visit.request.body.is_empty() {
        read::same_origin_if_told(visit)?;
        CancelIn::default()
    } else {
        read::json(visit)?
    };
    let order = orders::id(id)?;
    if let Some(email) = wish.email {
        if wish.lines.is_some() {
            let detail = "Through a link the order is cancelled as a whole.";
            return Err(Failure::from(Code::ValidationFailed).field("/lines", "unsupported", detail));
        }
        return respond::json(StatusCode::OK, &orders::cancel_by_link(visit, order, key, email, wish.reason).await?);
    }
    let shopper = owner(visit).await?;
    let lines = wish.lines.map(pieces);
    respond::json(StatusCode::OK, &orders::cancel(visit, &shopper, order, key, lines, wish.reason).await?)
}

/// `POST /api/v1/orders/{id}/link`.
pub(crate) async fn renew_link<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    read::same_origin_if_told(visit)?;
    let (order, shopper) = (orders::id(id)?, owner(visit).await?);
    respond::json(StatusCode::OK, &orders::renew_link(visit, &shopper, order).await?)
}

/// `POST /api/v1/orders/{id}/returns`.
pub(crate) async fn give_back<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    let key = read::required_idempotency_key(visit)?;
    let wish: ReturnIn = read::json(visit)?;
    let (order, shopper) = (orders::id(id)?, owner(visit).await?);
    let lines = pieces(wish.lines);
    respond::json(StatusCode::CREATED, &orders::give_back(visit, &shopper, order, key, lines, wish.reason).await?)
}
