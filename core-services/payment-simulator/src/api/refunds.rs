//! `/v1/refunds`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::{Call, answer, page};
use crate::App;
use crate::book::Refund;
use crate::desk::fresh_id;
use crate::objects;

const PATH: &str = "/v1/refunds";

pub(super) async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let call = Call { operation: "refund", path: PATH, headers: &headers, raw: &body };
    answer(&app, call, |desk, form| {
        let mut intent = desk.intent(form.required("payment_intent")?)?;
        let metadata = form.map("metadata")?;
        let amount = intent.refund(form.integer("amount")?)?;
        let refund =
            Refund { id: fresh_id("re"), intent: intent.id.clone(), amount, created: desk.seconds(), metadata };
        let mut rendered = objects::refund(&refund, &intent);
        if form.expands("charge") {
            rendered["charge"] = objects::charge(&intent);
        }
        desk.refund(&intent, refund);
        Ok(rendered)
    })
    .await
}

pub(super) async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let raw = query.unwrap_or_default();
    let call = Call { operation: "list", path: PATH, headers: &headers, raw: raw.as_bytes() };
    answer(&app, call, |desk, form| {
        let wanted = form.text("payment_intent");
        let matching = desk.book.refunds().iter().rev();
        let matching = matching.filter(|refund| wanted.is_none_or(|intent| refund.intent == intent));
        let found = matching
            .filter_map(|refund| desk.book.intent(&refund.intent).map(|intent| objects::refund(refund, intent)))
            .collect();
        page(PATH, found, form)
    })
    .await
}
