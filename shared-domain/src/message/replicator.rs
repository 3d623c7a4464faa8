//! Replication: how far each edge is.

use serde::{Deserialize, Serialize};

use super::requests;
use crate::time::Timestamp;

/// How far each edge is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Edges {}

/// How far an edge is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState {
    /// The edge.
    pub edge: String,
    /// Where it is reached.
    pub url: String,
    /// The position it confirmed.
    pub position: i64,
    /// The last position there is.
    pub head: i64,
    /// When it confirmed last.
    pub confirmed_at: Option<Timestamp>,
    /// Milliseconds from the change to the edge's confirmation, for the last delta.
    pub lag_ms: Option<i64>,
    /// `snapshot`, `following`, `unreachable`.
    pub state: String,
    /// The last error, for operators.
    #[serde(default)]
    pub error: Option<String>,
}

requests! {
    Edges => "replicator.v1.edges", Vec<EdgeState>;
}
