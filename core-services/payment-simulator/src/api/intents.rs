//! `/v1/payment_intents`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use super::{Call, answer, created_within, page};
use crate::App;
use crate::desk::{Desk, fresh_id};
use crate::form::Form;
use crate::intent::{AMOUNT_MAX, Card, Intent, Status, Word};
use crate::refusal::Refusal;

pub(super) async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let call = Call { operation: "create", path: "/v1/payment_intents", headers: &headers, raw: &body };
    answer(&app, call, |desk, form| {
        let mut intent = new_intent(desk, form)?;
        if form.flag("confirm")?.unwrap_or(false) {
            return attempt(desk, form, intent);
        }
        intent.return_url = form.text("return_url").map(str::to_owned);
        desk.keep(&intent, None);
        Ok(desk.render_for(&intent, form))
    })
    .await
}

pub(super) async fn retrieve(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let raw = query.unwrap_or_default();
    let call = Call { operation: "retrieve", path: &id, headers: &headers, raw: raw.as_bytes() };
    answer(&app, call, |desk, form| desk.intent(&id).map(|intent| desk.render_for(&intent, form))).await
}

pub(super) async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let raw = query.unwrap_or_default();
    let path = "/v1/payment_intents";
    let call = Call { operation: "list", path, headers: &headers, raw: raw.as_bytes() };
    answer(&app, call, |desk, form| {
        let wanted = form.map("metadata")?;
        let mut found = Vec::new();
        for intent in desk.book.intents().rev() {
            let named = wanted.iter().all(|(name, value)| intent.metadata.get(name) == Some(value));
            if named && created_within(form, intent.created)? {
                found.push(desk.render_for(intent, form));
            }
        }
        page(path, found, form)
    })
    .await
}

/// `query=metadata["order_id"]:"ord_…" AND …`: the part of the search language that is about metadata.
pub(super) async fn search(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let raw = query.unwrap_or_default();
    let path = "/v1/payment_intents/search";
    let call = Call { operation: "list", path, headers: &headers, raw: raw.as_bytes() };
    answer(&app, call, |desk, form| {
        let wanted = form.required("query")?.split(" AND ").map(clause).collect::<Option<Vec<_>>>();
        let wanted =
            wanted.ok_or_else(|| Refusal::invalid("parameter_unknown", "query", "only metadata is searched"))?;
        let named =
            |intent: &&Intent| wanted.iter().all(|(key, value)| intent.metadata.get(*key).is_some_and(|v| v == value));
        let found = desk.book.intents().rev().filter(named).map(|intent| desk.render_for(intent, form)).collect();
        let mut found = page(path, found, form)?;
        found["object"] = "search_result".into();
        Ok(found)
    })
    .await
}

/// `metadata["key"]:"value"`, with either kind of quotes.
fn clause(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.trim().strip_prefix("metadata[")?.split_once("]:")?;
    let bare = |quoted: &'_ str| -> Option<(usize, usize)> {
        let quote = quoted.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        (quoted.len() > 1 && quoted.ends_with(quote)).then_some((1, quoted.len() - 1))
    };
    let ((from, to), (start, end)) = (bare(key)?, bare(value)?);
    Some((key.get(from..to)?, value.get(start..end)?))
}

pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { operation: "confirm", path: &id, headers: &headers, raw: &body };
    answer(&app, call, |desk, form| {
        let intent = desk.intent(&id)?;
        attempt(desk, form, intent)
    })
    .await
}

pub(super) async fn capture(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { operation: "capture", path: &id, headers: &headers, raw: &body };
    answer(&app, call, |desk, form| {
        let mut intent = desk.intent(&id)?;
        let amount = form.integer("amount_to_capture")?;
        let last = form.flag("final_capture")?.unwrap_or(true);
        let captured = intent.capture(amount, last, desk.moment);
        let (_, word) = captured.map_err(|refusal| refusal.about(desk.render(&intent)))?;
        desk.keep(&intent, Some(word));
        Ok(desk.render_for(&intent, form))
    })
    .await
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { operation: "cancel", path: &id, headers: &headers, raw: &body };
    answer(&app, call, |desk, form| {
        let mut intent = desk.intent(&id)?;
        let word = intent.cancel(desk.seconds()).map_err(|refusal| refusal.about(desk.render(&intent)))?;
        desk.keep(&intent, Some(word));
        Ok(desk.render_for(&intent, form))
    })
    .await
}

fn new_intent(desk: &Desk<'_>, form: &Form) -> Result<Intent, Refusal> {
    form.required("amount")?;
    let amount = form.integer("amount")?.unwrap_or_default();
    if !(1..=AMOUNT_MAX).contains(&amount) {
        return Err(Refusal::invalid("parameter_invalid_integer", "amount", "out of range"));
    }
    let currency = form.required("currency")?.to_ascii_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(Refusal::invalid("parameter_unknown", "currency", "three letters of ISO 4217"));
    }
    let manual_capture = match form.text("capture_method") {
        Some("manual") => true,
        None | Some("automatic" | "automatic_async") => false,
        Some(_) => return Err(Refusal::invalid("parameter_unknown", "capture_method", "manual or automatic")),
    };
    Ok(Intent {
        id: fresh_id("pi"),
        amount,
        currency,
        created: desk.seconds(),
        metadata: form.map("metadata")?,
        manual_capture,
        wants_parts: match form.text("payment_method_options[card][request_multicapture]") {
            Some("if_available") => true,
            None | Some("never") => false,
            Some(_) => {
                return Err(Refusal::invalid("parameter_unknown", "request_multicapture", "if_available or never"));
            }
        },
        status: Status::RequiresPaymentMethod,
        capturable: 0,
        received: 0,
        refunded: 0,
        card: None,
        charge: None,
        decline: None,
        return_url: None,
        speaks_at_ms: None,
        disputes_at_ms: None,
        disputed: false,
        canceled_at: None,
    })
}

fn attempt(desk: &mut Desk<'_>, form: &Form, mut intent: Intent) -> Result<Value, Refusal> {
    let name = form.required("payment_method")?;
    let card = Card::parse(name).ok_or_else(|| Refusal::missing("payment_method", name))?;
    if let Some(url) = form.text("return_url") {
        intent.return_url = Some(url.to_owned());
    }
    let charge = fresh_id("ch");
    let word = intent.confirm(card, charge, desk.moment).map_err(|refusal| refusal.about(desk.render(&intent)))?;
    desk.keep(&intent, word);
    match word {
        Some(Word::Failed) => {
            let rendered = desk.render(&intent);
            Err(Refusal::card("card_declined", "the card was declined").about(rendered))
        }
        _ => Ok(desk.render_for(&intent, form)),
    }
}
