//! From an HTTP request to a message on the bus, and back.

use std::{collections::HashMap, future::Future, pin::Pin};

use axum::{
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bodega_domain::{
    Code, Failure,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, MESSAGE_BYTES_MAX},
    message::{Reply, Request as Message},
    token::sha256_hex,
};
use bodega_platform::{
    Context, RequestContext,
    operation::{Idempotency, Operation},
};
use serde_json::{Map, Value, value::RawValue};

use super::{Endpoint, Source};
use crate::{
    exchange::{Exchange, REQUEST_TIMEOUT_MS, read},
    problem::Problem,
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Asks the subject with a body that was checked against its message type; gives the answer's JSON.
pub(crate) type Forward =
    fn(Context, RequestContext, Value) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send>>;

/// The [`Forward`] of a message.
pub(super) fn forward<R: Message + Sync>(
    context: Context,
    asked: RequestContext,
    fields: Value,
) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send>> {
    Box::pin(async move {
        // Parsed here once more, so that a wrong field is told without a journey, and nothing unknown goes on.
        let message: R = serde_json::from_value(fields).map_err(|error| {
            Failure::new(Code::ValidationFailed, format!("The request could not be understood: {error}."))
        })?;
        let body = serde_json::to_vec(&message).map_err(|_| Failure::internal())?;
        let reply = context.bus().request_bytes(R::SUBJECT, body.into(), &asked).await?;
        // The answer passes as it is; only the envelope is read.
        match serde_json::from_slice::<Reply<&RawValue>>(&reply) {
            Ok(Reply::Ok(answer)) => Ok(page_of(answer.get())),
            Ok(Reply::Failure(failure)) => Err(failure),
            Err(error) => {
                tracing::error!(%error, subject = R::SUBJECT, "a reply could not be read");
                Err(Failure::internal())
            }
        }
    })
}

/// A list that the bus carries whole is one page here: clients read every list alike.
fn page_of(answer: &str) -> Vec<u8> {
    let is_list = answer.starts_with('[');
    let page = if is_list { format!("{{\"items\":{answer},\"next_cursor\":null}}") } else { answer.to_owned() };
    page.into_bytes()
}

/// Answers one request of an endpoint.
pub(super) async fn answer(
    endpoint: Endpoint,
    State(context): State<Context>,
    exchange: Exchange,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    match ask(endpoint, &context, &exchange, request).await {
        Ok(json) => json_response(endpoint, &headers, json),
        Err(failure) => Problem::new(failure, &exchange).into_response(),
    }
}

async fn ask(endpoint: Endpoint, context: &Context, exchange: &Exchange, request: Request) -> Result<Vec<u8>, Failure> {
    let operation = Operation::find(endpoint.subject).ok_or_else(Failure::internal)?;
    let principal = context.authenticator().principal(exchange.token.as_deref())?;
    operation.admit(&principal)?;
    let fields = fields(endpoint, operation, request).await?;
    let asked = RequestContext::bearer(exchange.request_id, exchange.token.clone())
        .with_deadline(context.clock().now().plus_ms(REQUEST_TIMEOUT_MS));
    let work = (endpoint.forward)(context.clone(), asked, Value::Object(fields));
    if operation.idempotency == Idempotency::Read {
        return work.await;
    }
    // A write is finished whether or not the client waits for it.
    context.tasks().request(work).await.map_err(|_| Failure::internal())?
}

/// The message's fields: the body's, and over them what path, query and headers say.
async fn fields(endpoint: Endpoint, operation: Operation, request: Request) -> Result<Map<String, Value>, Failure> {
    let (mut parts, body) = request.into_parts();
    let mut fields = if endpoint.method.has_body() { json_object(&parts.headers, body).await? } else { Map::new() };
    let bad = |what: String| Failure::new(Code::BadRequest, what);
    let path =
        <Path<HashMap<String, String>> as axum::extract::FromRequestParts<()>>::from_request_parts(&mut parts, &())
            .await
            .map(|Path(values)| values)
            .unwrap_or_default();
    let Query(mut query) = Query::<HashMap<String, String>>::try_from_uri(&parts.uri)
        .map_err(|_| bad("The query of the address could not be read.".to_owned()))?;
    for (name, source) in endpoint.fields {
        let value = match source {
            Source::Path => path.get(*name).cloned().map(Value::String),
            Source::Part(part) => path.get(*part).cloned().map(Value::String),
            Source::Text => query.remove(*name).map(Value::String),
            Source::Number => query
                .remove(*name)
                .map(|text| {
                    text.parse::<u32>().map(Value::from).map_err(|_| bad(format!("`{name}` is a whole number.")))
                })
                .transpose()?,
            Source::Numbers => query
                .remove(*name)
                .map(|text| {
                    let numbers: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
                    numbers.map(Value::from).map_err(|_| bad(format!("`{name}` is a list of whole numbers: 1,2,3.")))
                })
                .transpose()?,
            Source::Flag => query
                .remove(*name)
                .map(|text| {
                    text.parse::<bool>().map(Value::from).map_err(|_| bad(format!("`{name}` is true or false.")))
                })
                .transpose()?,
        };
        if let Some(value) = value {
            fields.insert((*name).to_owned(), value);
        }
    }
    if let Some(unknown) = query.keys().next() {
        return Err(bad(format!("There is no parameter `{unknown}` here.")));
    }
    match operation.idempotency {
        Idempotency::OptionalKey if !parts.headers.contains_key(IDEMPOTENCY_KEY) => drop(fields.remove("key")),
        Idempotency::Key | Idempotency::OptionalKey => {
            fields.insert("key".to_owned(), Value::String(idempotency_key(&parts.headers)?));
        }
        _ => {}
    }
    Ok(fields)
}

async fn json_object(headers: &HeaderMap, body: axum::body::Body) -> Result<Map<String, Value>, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let body = read(body, MESSAGE_BYTES_MAX).await?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Code::UnsupportedMediaType.into());
    }
    serde_json::from_slice(&body)
        .map_err(|error| Failure::new(Code::MalformedBody, format!("The body is not a JSON object: {error}.")))
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Failure> {
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok()).map(str::trim).unwrap_or_default();
    if key.is_empty() {
        return Err(Code::IdempotencyKeyMissing.into());
    }
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Failure::new(
            Code::BadRequest,
            format!("An Idempotency-Key has at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes."),
        ));
    }
    Ok(key.to_owned())
}

/// A read carries an `ETag`, so that a client that has it already is told so.
fn json_response(endpoint: Endpoint, asked: &HeaderMap, json: Vec<u8>) -> Response {
    let tag = (endpoint.method == super::Method::Get).then(|| format!("\"{}\"", &sha256_hex(&json)[..32]));
    let known = |tag: &str| {
        let list = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        list.split(',').any(|one| matches!(one.trim().trim_start_matches("W/"), one if one == tag || one == "*"))
    };
    let mut response = match &tag {
        Some(tag) if known(tag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => {
            let mut response = json.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    };
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_list_is_a_page_and_everything_else_stays_as_it_is() {
        let read = |answer| serde_json::from_slice::<Value>(&page_of(answer)).unwrap();
        assert_eq!(read("[1, [2]]"), serde_json::json!({"items": [1, [2]], "next_cursor": null}));
        assert_eq!(read("[]"), serde_json::json!({"items": [], "next_cursor": null}));
        assert_eq!(read(r#"{"items": [1], "next_cursor": "1"}"#)["next_cursor"], "1");
        assert_eq!(read(r#"{"id": "[x]"}"#), serde_json::json!({"id": "[x]"}));
    }
}
