//! The shop itself, for any edge runtime: routes, pages, sessions, carts, checkout forwarding.
//!
//! [`handle`] answers one request and never panics: whatever comes in, from shoppers, from storage or from the core, has
//! an answer. A runtime brings a [`platform::Platform`] and passes [`cell::merge`] to its atomic cells.
//!
//! * Reads come from the edge's key-value store, which replication fills; after a complete snapshot nothing is asked of
//!   the core to show a page.
//! * Commands go to the core by request and reply with the shopper's own token; nothing is queued here.
//! * Carts are merged in an atomic cell and travel in a signed cookie as well, so that they survive the loss of either.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::todo,
    clippy::unimplemented
)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

mod accounts;
mod api;
mod cart;
mod catalog;
pub mod cell;
mod checkout;
mod core_link;
mod ingest;
mod keys;
mod limits;
mod media;
mod orders;
mod pages;
pub mod platform;
mod read;
mod respond;
mod router;
mod session;
mod visit;

use bodega_domain::{Code, Failure};
use platform::{Platform, Request, Response};
use visit::Visit;

/// Answers one request.
pub async fn handle<P: Platform>(platform: &P, request: Request) -> Response {
    let visit = Visit::new(platform, &request);
    let (name, result) = match limits::check(&request) {
        Err(failure) => ("-", Err(failure)),
        Ok(()) => match router::find(&request.path) {
            None => ("-", Err(Failure::new(Code::NotFound, "There is nothing at this address."))),
            Some(found) => (found.pattern, router::answer(&visit, &found).await),
        },
    };
    let response = match result {
        Ok(response) => response,
        Err(failure) => respond::refusal(&visit, &failure).await,
    };
    let response = respond::finish(&visit, response);
    visit.log_answer(name, response.status);
    response
}
