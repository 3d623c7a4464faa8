//! The JSON API under `/api/v1`.

pub(crate) mod account;
pub(crate) mod cart;
pub(crate) mod checkout;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod session;

use crate::respond::{self, Answer};

/// Made by `tests/openapi.rs` from its tables, which are held against real answers there.
const DOCUMENT: &str = include_str!("../assets/openapi.json");

/// `GET /openapi.json`.
pub(crate) async fn document() -> Answer {
    Ok(respond::body(http::StatusCode::OK, "application/json", DOCUMENT.as_bytes().to_vec()))
}
