//! What every request and every answer of the gateway has: an id, a span, a bearer, headers that keep browsers honest.

use std::time::Instant;

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use bodega_domain::{Code, Failure, id::RequestId, message::header::REQUEST_ID};
use bodega_platform::{Context, telemetry::metrics};
use bytes::Bytes;
use tracing::Instrument as _;

/// Milliseconds for a request to the core; its clients wait a little longer.
pub(crate) const REQUEST_TIMEOUT_MS: i64 = 8_000;

/// A request's id and bearer token, for handlers.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request_id: RequestId,
    pub(crate) token: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Exchange {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Set by the layer around every route; a request that came another way has no identity.
        Ok(parts.extensions.get().cloned().unwrap_or(Self { request_id: RequestId::from_u128(0), token: None }))
    }
}

/// Gives the request its id, logs it, and finishes the answer.
pub(crate) async fn begin(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let request_id = RequestId::new(context.clock().now().unix_ms(), context.entropy().bytes());
    let exchange = Exchange { request_id, token: bearer(request.headers()) };
    request.extensions_mut().insert(exchange);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", %request_id, service = "gateway", %method, path);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    metrics::counter("bodega_http_requests_total", &[("status", &status.to_string())]).add(1);
    metrics::histogram("bodega_http_request_seconds", &[]).observe(began.elapsed());
    span.in_scope(|| {
        tracing::info!(status, took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), "answered");
    });
    finish(response.headers_mut(), request_id);
    response
}

fn finish(headers: &mut HeaderMap, request_id: RequestId) {
    if let (Ok(name), Ok(value)) =
        (HeaderName::from_bytes(REQUEST_ID.as_bytes()), HeaderValue::from_str(&request_id.to_string()))
    {
        headers.insert(name, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
}

/// `Authorization: Bearer …`. Cookies are not read here: what they can do, another site can make a browser do.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// The whole body, if it is not larger than that.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Failure> {
    // axum tells "too large" and "cut off" apart only by text; both are answered the same way to a client that is there.
    axum::body::to_bytes(body, bytes_max).await.map_err(|error| {
        tracing::debug!(%error, "a body could not be read");
        Code::PayloadTooLarge.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_is_a_bearer() {
        let bearer_of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            bearer(&headers)
        };
        assert_eq!(bearer_of("Bearer a1.b.c.d").as_deref(), Some("a1.b.c.d"));
        assert_eq!(bearer_of("bearer  a1.b.c.d ").as_deref(), Some("a1.b.c.d"));
        assert_eq!(bearer_of("Basic a1.b.c.d"), None);
        assert_eq!(bearer_of("Bearer "), None);
        assert_eq!(bearer_of("a1.b.c.d"), None);
    }
}
