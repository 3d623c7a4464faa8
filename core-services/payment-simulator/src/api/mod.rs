//! The Stripe-shaped API: form-encoded requests, JSON answers, a bearer key, one effect per idempotency key.

mod intents;
mod refunds;
mod reports;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::App;
use crate::book::Answer;
use crate::control::{Fault, FaultMode};
use crate::desk::{self, Desk, fresh_id};
use crate::form::Form;
use crate::refusal::Refusal;

/// Longest idempotency key, characters.
const KEY_LENGTH_MAX: usize = 255;
/// Entries of a page when the caller does not say.
const PAGE_DEFAULT: i64 = 10;
/// Most entries of a page.
const PAGE_MAX: i64 = 100;

/// The routes of the API.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/payment_intents", post(intents::create).get(intents::list))
        .route("/v1/payment_intents/search", get(intents::search))
        .route("/v1/payment_intents/{id}", get(intents::retrieve))
        .route("/v1/payment_intents/{id}/confirm", post(intents::confirm))
        .route("/v1/payment_intents/{id}/capture", post(intents::capture))
        .route("/v1/payment_intents/{id}/cancel", post(intents::cancel))
        .route("/v1/refunds", post(refunds::create).get(refunds::list))
        .route("/v1/balance_transactions", get(reports::transactions))
        .route("/v1/disputes", get(reports::disputes))
}

/// One call: what it is for fault injection, and its raw parts.
pub(crate) struct Call<'a> {
    /// `create`, `retrieve`, `confirm`, `capture`, `cancel`, `refund`, `list`, `report`.
    pub(crate) operation: &'static str,
    /// Method and path, part of the fingerprint.
    pub(crate) path: &'a str,
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
    /// Body of a post, query string of a get.
    pub(crate) raw: &'a [u8],
}

/// Authenticates, honours the idempotency key, runs `act` on the book, misbehaves as ordered.
pub(crate) async fn answer(
    app: &Arc<App>,
    call: Call<'_>,
    act: impl FnOnce(&mut Desk<'_>, &Form) -> Result<Value, Refusal>,
) -> Response {
    if !authorised(app, call.headers) {
        return render(Err(Refusal::unauthorized()));
    }
    let fault = app.switches().fault_for(call.operation);
    if let Some(fault) = &fault
        && let Some(refusal) = before(fault).await
    {
        return render(Err(refusal));
    }
    let postponed = fault.as_ref().is_some_and(|fault| fault.mode == FaultMode::Postpone);
    let result = execute(app, &call, |desk, form| {
        if postponed { desk.intent(call.path).map(|intent| desk.render_for(&intent, form)) } else { act(desk, form) }
    });
    match fault.map(|fault| (fault.mode, fault.hang_ms)) {
        Some((FaultMode::DropResponse, _)) => cut(),
        Some((FaultMode::HangAfter, hang_ms)) => {
            tokio::time::sleep(Duration::from_millis(hang_ms)).await;
            result
        }
        _ => result,
    }
}

async fn before(fault: &Fault) -> Option<Refusal> {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match fault.mode {
        FaultMode::Refuse => Some(Refusal::broken(status)),
        FaultMode::HangBefore => {
            tokio::time::sleep(Duration::from_millis(fault.hang_ms)).await;
            Some(Refusal::broken(StatusCode::GATEWAY_TIMEOUT))
        }
        FaultMode::DropResponse | FaultMode::HangAfter | FaultMode::Postpone => None,
    }
}

fn execute(
    app: &Arc<App>,
    call: &Call<'_>,
    act: impl FnOnce(&mut Desk<'_>, &Form) -> Result<Value, Refusal>,
) -> Response {
    let form = match Form::parse(call.raw) {
        Ok(form) => form,
        Err(refusal) => return render(Err(refusal)),
    };
    let key = match idempotency_key(call.headers) {
        Ok(key) => key,
        Err(refusal) => return render(Err(refusal)),
    };
    let Some(key) = key else { return render(desk::change(app, |desk| act(desk, &form))) };
    let fingerprint = fingerprint(call);
    desk::change(app, |desk| {
        if let Some(known) = desk.book.answer(&key) {
            if known.fingerprint != fingerprint {
                return render(Err(Refusal::reused_key()));
            }
            let status = StatusCode::from_u16(known.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = json_response(status, &known.body);
            response
                .headers_mut()
                .insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
            return response;
        }
        let result = act(desk, &form);
        let (status, body) = parts(result);
        // What was refused before it was tried may be tried again with the same key.
        if status.is_success() || status == StatusCode::PAYMENT_REQUIRED {
            desk.book.add_answer(key, Answer { fingerprint, status: status.as_u16(), body: body.clone() });
        }
        json_response(status, &body)
    })
}

fn authorised(app: &App, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let Some(key) = value.strip_prefix("Bearer ") else { return false };
    bool::from(key.as_bytes().ct_eq(app.options.api_key.as_bytes()))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_LENGTH_MAX => Ok(Some(key.to_owned())),
        _ => Err(Refusal::invalid("parameter_invalid_string_empty", "Idempotency-Key", "1 to 255 characters")),
    }
}

fn fingerprint(call: &Call<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(call.operation.as_bytes());
    hash.update([0]);
    hash.update(call.path.as_bytes());
    hash.update([0]);
    hash.update(call.raw);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parts(result: Result<Value, Refusal>) -> (StatusCode, Value) {
    match result {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => (refusal.status, refusal.body()),
    }
}

fn render(result: Result<Value, Refusal>) -> Response {
    let (status, body) = parts(result);
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    if let Ok(id) = HeaderValue::from_str(&fresh_id("req")) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    response
}

/// Promises a body and breaks off: the caller cannot know what happened.
fn cut() -> Response {
    let broken = futures::stream::once(async { Err::<bytes::Bytes, _>(std::io::Error::other("cut on request")) });
    ([(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "4096")], Body::from_stream(broken))
        .into_response()
}

/// A page of `all` (newest first), by `limit` and `starting_after`.
fn page(url: &str, all: Vec<Value>, form: &Form) -> Result<Value, Refusal> {
    let limit = form.integer("limit")?.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::invalid("parameter_invalid_integer", "limit", "1 to 100"));
    }
    let limit = usize::try_from(limit).unwrap_or(1);
    let from = match form.text("starting_after") {
        None => 0,
        Some(id) => {
            let at = all.iter().position(|value| value["id"] == id);
            at.ok_or_else(|| Refusal::missing("starting_after", id))? + 1
        }
    };
    let has_more = all.len() > from + limit;
    let data: Vec<_> = all.into_iter().skip(from).take(limit).collect();
    Ok(json!({"object": "list", "url": url, "has_more": has_more, "data": data}))
}

/// Whether `created` (seconds) lies within `created[gte|gt|lte|lt]`.
fn created_within(form: &Form, created: i64) -> Result<bool, Refusal> {
    let holds = |name: &str, test: fn(i64, i64) -> bool| {
        Ok::<_, Refusal>(form.integer(&format!("created[{name}]"))?.is_none_or(|limit| test(created, limit)))
    };
    Ok(holds("gte", |a, b| a >= b)?
        && holds("gt", |a, b| a > b)?
        && holds("lte", |a, b| a <= b)?
        && holds("lt", |a, b| a < b)?)
}
