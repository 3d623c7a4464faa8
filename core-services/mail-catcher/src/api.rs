//! The routes, and the JSON for tests. The pages for people are in [`crate::page`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::letterbox::{Letterbox, Refusal};
use crate::mail::Mail;
use crate::page;

pub(crate) fn router(letterbox: Arc<Letterbox>) -> Router {
    Router::new()
        .route("/", get(page::list))
        .route("/mails/{id}", get(page::mail))
        .route("/mails/{id}/html", get(page::body))
        .route("/healthz", get(|| async { "ok" }))
        .route("/api/mails", get(mails).delete(forget))
        .route("/api/refuse", post(refuse))
        .with_state(letterbox)
}

#[derive(Deserialize)]
struct Wanted {
    to: Option<String>,
}

async fn mails(State(letterbox): State<Arc<Letterbox>>, Query(wanted): Query<Wanted>) -> Response {
    let mails = letterbox.newest(wanted.to.as_deref());
    Json(mails.iter().map(AsRef::as_ref).collect::<Vec<&Mail>>()).into_response()
}

async fn forget(State(letterbox): State<Arc<Letterbox>>) -> StatusCode {
    letterbox.empty();
    StatusCode::NO_CONTENT
}

/// JSON alone is taken, which no page of another site can send here unasked.
async fn refuse(State(letterbox): State<Arc<Letterbox>>, Json(refusal): Json<Refusal>) -> StatusCode {
    letterbox.refuse(refusal);
    StatusCode::NO_CONTENT
}
