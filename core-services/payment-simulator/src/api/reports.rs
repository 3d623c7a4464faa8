//! `/v1/balance_transactions` (the settlement report) and `/v1/disputes`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::{Call, answer, created_within, page};
use crate::App;
use crate::objects;

pub(super) async fn transactions(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let raw = query.unwrap_or_default();
    let path = "/v1/balance_transactions";
    let call = Call { operation: "report", path, headers: &headers, raw: raw.as_bytes() };
    answer(&app, call, |desk, form| {
        let expand = form.expands("data.source");
        let mut found = Vec::new();
        for transaction in desk.book.transactions().iter().rev() {
            let kind = form.text("type").is_none_or(|kind| kind == transaction.kind);
            if kind && created_within(form, transaction.created)? {
                let of = desk.book.intent(&transaction.intent).filter(|_| expand);
                found.push(objects::transaction(transaction, of));
            }
        }
        page(path, found, form)
    })
    .await
}

pub(super) async fn disputes(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let raw = query.unwrap_or_default();
    let path = "/v1/disputes";
    let call = Call { operation: "report", path, headers: &headers, raw: raw.as_bytes() };
    answer(&app, call, |desk, form| {
        let wanted = form.text("payment_intent");
        let matching = desk.book.disputes().iter().rev();
        let matching = matching.filter(|dispute| wanted.is_none_or(|intent| dispute.intent == intent));
        let found = matching
            .filter_map(|dispute| desk.book.intent(&dispute.intent).map(|intent| objects::dispute(dispute, intent)))
            .collect();
        page(path, found, form)
    })
    .await
}
