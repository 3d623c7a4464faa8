//! The page at which a shopper approves or declines a payment, as a bank would show it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::html;
use serde::Deserialize;

use crate::App;
use crate::control::page;
use crate::desk;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/challenge/{id}", get(show).post(decide))
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let Some(intent) = app.lock().intent(&id).cloned() else { return unknown() };
    let open = intent.status == crate::intent::Status::RequiresAction;
    let body = html! {
        h1 { "Your bank asks" }
        @if open {
            p { "Do you approve a payment of " strong { (page::amount(intent.amount, &intent.currency)) } "?" }
            form method="post" {
                button name="decision" value="approve" { "Approve" } " "
                button.quiet name="decision" value="decline" { "Decline" }
            }
        } @else {
            p { "This question has been answered." }
            @if let Some(url) = &intent.return_url { p { a href=(url) { "Back to the shop" } } }
        }
    };
    Html(page::frame("Approve a payment", &body).into_string()).into_response()
}

#[derive(Deserialize)]
struct Decision {
    decision: String,
}

async fn decide(State(app): State<Arc<App>>, Path(id): Path<String>, Form(form): Form<Decision>) -> Response {
    let decided = desk::change(&app, |desk| {
        let mut intent = desk.intent(&id)?;
        let word = intent.challenge(form.decision == "approve", desk.moment)?;
        desk.keep(&intent, Some(word));
        Ok::<_, crate::refusal::Refusal>(intent)
    });
    match decided {
        Ok(intent) => match intent.return_url {
            Some(url) => Redirect::to(&url).into_response(),
            None => Redirect::to(&format!("/challenge/{id}")).into_response(),
        },
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => unknown(),
        Err(_) => Redirect::to(&format!("/challenge/{id}")).into_response(),
    }
}

fn unknown() -> Response {
    let body = html! { h1 { "Unknown payment" } p { "The simulator does not know this payment." } };
    (StatusCode::NOT_FOUND, Html(page::frame("Unknown payment", &body).into_string())).into_response()
}
