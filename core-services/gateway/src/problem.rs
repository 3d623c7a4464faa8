//! Failures as clients see them: `application/problem+json` (RFC 9457) with the stable code.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bodega_domain::{Code, Failure, failure::FieldFailure};
use serde::Serialize;

use crate::exchange::Exchange;

/// A failure on its way out, with the id of the request that it is the answer to.
#[derive(Debug)]
pub(crate) struct Problem {
    failure: Failure,
    request_id: String,
}

/// The body. Nothing internal is in here: no cause, no SQL, nobody else's data.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: Code,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldFailure],
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#final: Option<bool>,
    request_id: &'a str,
}

impl Problem {
    pub(crate) fn new(failure: impl Into<Failure>, exchange: &Exchange) -> Self {
        Self { failure: failure.into(), request_id: exchange.request_id.to_string() }
    }
}

/// Retriable refusals say when, also when their maker did not.
fn retry_after_s(failure: &Failure) -> Option<u32> {
    failure.retry_after_s.or(match failure.code {
        Code::CoreUnavailable | Code::Overloaded | Code::DeadlineExceeded => Some(2),
        Code::OutcomeUnknown => Some(1),
        Code::TooManyRequests | Code::TooManyUnpaid => Some(60),
        _ => None,
    })
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { failure, request_id } = &self;
        let code = failure.code;
        let body = Body {
            r#type: format!("urn:bodega:problem:{code}"),
            title: code.title(),
            status: code.http_status(),
            code,
            detail: &failure.detail,
            fields: &failure.fields,
            about: failure.about.as_deref(),
            r#final: failure.r#final,
            request_id,
        };
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, serde_json::to_vec(&body).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after_s(failure) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
