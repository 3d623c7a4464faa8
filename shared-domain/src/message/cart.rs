//! Carts behind the edge's cells.

use serde::{Deserialize, Serialize};

use super::requests;

/// Merges an edge's state of a cart into the core's and gives back the result. Commutative and idempotent, so that it
/// may be repeated and come in any order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Merge {
    /// Hash of the cart's secret, base64url: names the cart without giving it away.
    pub cart: String,
    /// The encoded state, base64url; empty to only read.
    pub state: String,
    /// On sign-in: the guest cart that goes into the account's cart, once.
    #[serde(default)]
    pub adopt: Option<Adopt>,
}

/// A guest cart that is taken over by an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adopt {
    /// Hash of the guest cart's secret.
    pub cart: String,
    /// Its encoded state, base64url.
    pub state: String,
}

/// Answer of [`Merge`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Merged {
    /// The encoded merged state, base64url.
    pub state: String,
}

requests! {
    Merge => "cart.v1.merge", Merged;
}
