//! What payment providers tell: handed on raw, because only the payment service knows how to check a signature.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bodega_domain::{Code, Failure, message::payment::Webhook, token::base64url};
use bodega_platform::Context;

use crate::{
    exchange::{Exchange, read},
    problem::Problem,
};

/// Bytes of a webhook's body: providers send a few kilobytes.
const WEBHOOK_BYTES_MAX: usize = 256 * 1024;
/// Headers that are handed on, and bytes of one of them: a signature takes some 200.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// `POST /webhooks/payments/{provider}`: 200 once the payment service has stored it; anything else makes the provider
/// send it again.
pub(crate) async fn payment(
    State(context): State<Context>,
    Path(provider): Path<String>,
    exchange: Exchange,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match hand_on(&context, provider, &exchange, &headers, body).await {
        Ok(()) => StatusCode::OK.into_response(),
        // The provider must not take "not known yet" for "taken".
        Err(failure) if failure.code == Code::OutcomeUnknown => {
            Problem::new(Failure::from(Code::CoreUnavailable), &exchange).into_response()
        }
        Err(failure) => Problem::new(failure, &exchange).into_response(),
    }
}

async fn hand_on(
    context: &Context,
    provider: String,
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Failure> {
    // Unknown providers are not looked up over the bus: the address is public.
    if !context.config().payment.providers.contains_key(&provider) {
        return Err(Code::NotFound.into());
    }
    let body = read(body, WEBHOOK_BYTES_MAX).await?;
    let headers = headers
        .iter()
        .filter(|(_, value)| value.len() <= HEADER_BYTES_MAX)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .take(HEADERS_MAX)
        .collect();
    let webhook = Webhook { provider, headers, body: base64url(&body) };
    let mut asked = context.request_context();
    asked.request_id = exchange.request_id;
    let bus = context.bus().clone();
    // A tracked task: what the provider has begun to tell is stored even when it hangs up.
    let stored = context.tasks().request(async move { bus.request(&webhook, &asked).await });
    stored.await.map_err(|_| Failure::internal())??;
    Ok(())
}
