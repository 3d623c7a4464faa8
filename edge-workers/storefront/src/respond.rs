//! Answers: JSON, pages, redirects, `problem+json` (RFC 9457), and the headers that every one of them carries.

use bodega_domain::{
    Code, Failure,
    token::{base64url, sha256},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use maud::Markup;
use serde::Serialize;

use crate::{
    pages,
    platform::{Platform, REQUEST_ID, Response},
    visit::{Face, Visit},
};

/// What handlers give back.
pub(crate) type Answer = Result<Response, Failure>;

/// Nothing of the page may come from elsewhere, nothing of it may run, and nobody may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Sets a header, unless the value cannot be one.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// An answer with a body of some type.
pub(crate) fn body(status: StatusCode, content_type: &str, body: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, "content-type", content_type);
    set(&mut headers, "cache-control", "private, no-store");
    Response { status, headers, body }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, "cache-control", "private, no-store");
    Response { status, headers, body: Vec::new() }
}

/// JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|_| Failure::internal())?;
    Ok(body(status, "application/json", bytes))
}

/// JSON of something that is read and may be asked for again: with an `ETag`.
pub(crate) fn json_read<T: Serialize>(value: &T) -> Answer {
    Ok(tagged(json(StatusCode::OK, value)?, None))
}

/// A page.
pub(crate) fn page(status: StatusCode, markup: Markup) -> Response {
    body(status, "text/html; charset=utf-8", markup.into_string().into_bytes())
}

/// A page that is read and may be asked for again. `volatile` is what differs in every rendering, a form's key, and does
/// not make another page of it.
pub(crate) fn page_read(markup: Markup, volatile: &str) -> Response {
    tagged(page(StatusCode::OK, markup), Some(volatile).filter(|text| !text.is_empty()))
}

fn tagged(mut response: Response, volatile: Option<&str>) -> Response {
    let digest = match (volatile, std::str::from_utf8(&response.body)) {
        (Some(volatile), Ok(text)) => sha256(text.replace(volatile, "").as_bytes()),
        _ => sha256(&response.body),
    };
    let tag = format!("\"{}\"", base64url(digest.get(..16).unwrap_or(&digest)));
    set(&mut response.headers, "etag", &tag);
    // The browser may keep it and has to ask each time: stock, prices and the cart's number are on it.
    set(&mut response.headers, "cache-control", "private, no-cache");
    response
}

/// After a form: the browser reads the next page with `GET`.
pub(crate) fn see_other(to: &str) -> Response {
    let mut response = empty(StatusCode::SEE_OTHER);
    set(&mut response.headers, "location", to);
    response
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: Code,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [bodega_domain::failure::FieldFailure],
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#final: Option<bool>,
    request_id: &'a str,
}

/// A refusal, for programs or for people.
pub(crate) async fn refusal<P: Platform>(visit: &Visit<'_, P>, failure: &Failure) -> Response {
    let mut response = match visit.face {
        Face::Json => problem(&visit.id, failure),
        Face::Page => page(status(failure.code.http_status()), pages::trouble::show(visit, failure).await),
    };
    if let Some(seconds) = failure.retry_after_s.or_else(|| retry_after_s(failure.code)) {
        set(&mut response.headers, "retry-after", &seconds.to_string());
    }
    if let (Code::MethodNotAllowed, Some(allow)) = (failure.code, &failure.about) {
        set(&mut response.headers, "allow", allow);
    }
    response
}

/// Retriable refusals say when, also when their maker did not.
fn retry_after_s(code: Code) -> Option<u32> {
    match code {
        Code::CoreUnavailable | Code::Overloaded | Code::DeadlineExceeded | Code::EdgeNotReady => Some(2),
        Code::OutcomeUnknown => Some(1),
        Code::TooManyRequests | Code::TooManyUnpaid => Some(60),
        _ => None,
    }
}

/// `problem+json`.
pub(crate) fn problem(request_id: &str, failure: &Failure) -> Response {
    let code = failure.code;
    let problem = Problem {
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
    let bytes = serde_json::to_vec(&problem).unwrap_or_default();
    body(status(code.http_status()), "application/problem+json", bytes)
}

/// What every answer carries: the request's id, cookies, security headers; and the answer to `If-None-Match`. An answer to
/// `HEAD` keeps its body: the runtime tells its length and drops it.
pub(crate) fn finish<P: Platform>(visit: &Visit<'_, P>, mut response: Response) -> Response {
    let headers = &mut response.headers;
    set(headers, REQUEST_ID, &visit.id);
    set(headers, "x-content-type-options", "nosniff");
    for (name, value) in [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ] {
        if !headers.contains_key(name) {
            set(headers, name, value);
        }
    }
    if visit.origin().starts_with("https://") {
        set(headers, "strict-transport-security", "max-age=31536000");
    }
    for (name, value) in visit.take_answer_headers() {
        set(headers, name, &value);
    }
    for cookie in visit.take_set_cookies() {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    if visit.is_read() && response.status == StatusCode::OK && unchanged(visit, &response.headers) {
        response.status = StatusCode::NOT_MODIFIED;
        response.headers.remove(header::CONTENT_TYPE);
        response.body.clear();
    }
    response
}

fn unchanged<P: Platform>(visit: &Visit<'_, P>, headers: &HeaderMap) -> bool {
    let Some(ours) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    let Some(theirs) = visit.header("if-none-match") else { return false };
    theirs.trim() == "*" || theirs.split(',').any(|tag| tag.trim().trim_start_matches("W/") == ours)
}
