//! Quote, checkout, and what became of a checkout.

use bodega_domain::{Code, Failure};
use http::StatusCode;

use crate::{
    checkout::{self, PlaceIn, Placed, QuoteIn},
    platform::Platform,
    read,
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// `POST /api/v1/quote`.
pub(crate) async fn quote<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let wish: QuoteIn = read::json(visit)?;
    let shopper = session::shopper(visit).await?;
    respond::json(StatusCode::OK, &checkout::quote(visit, &shopper, &wish).await?)
}

/// `POST /api/v1/checkout`.
pub(crate) async fn place<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let key = read::required_idempotency_key(visit)?;
    let wish: PlaceIn = read::json(visit)?;
    let shopper = session::shopper(visit).await?;
    match checkout::place(visit, &shopper, &key, wish).await? {
        Placed::Order(order) => {
            let mut response = respond::json(StatusCode::CREATED, &order)?;
            respond::set(&mut response.headers, "location", &format!("/api/v1/orders/{}", order.id));
            Ok(response)
        }
        Placed::Unknown { deadline } => {
            let failure = Failure::new(
                Code::OutcomeUnknown,
                "The order was sent and nobody answered in time. Nothing is queued: ask with the same key what became of it.",
            )
            .about(key.clone())
            .retry_after_s(1);
            let mut response = respond::problem(&visit.id, &failure);
            respond::set(&mut response.headers, "retry-after", "1");
            respond::set(&mut response.headers, "location", &checkout::outcome_address(&key, deadline));
            Ok(response)
        }
    }
}

/// `GET /api/v1/checkout/{key}`.
pub(crate) async fn outcome<P: Platform>(visit: &Visit<'_, P>, key: &str) -> Answer {
    let key = read::checked_key(key)?;
    let shopper = session::shopper(visit).await?;
    respond::json(StatusCode::OK, &checkout::outcome(visit, &shopper, &key).await?)
}
