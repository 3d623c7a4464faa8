//! `replicator.v1.edges`: the configured edges, in their order.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::replicator::{EdgeState, Edges},
};
use bodega_platform::{Call, DatabaseError};

use crate::{State, store};

pub(crate) async fn edges(state: Arc<State>, _call: Call, _: Edges) -> Result<Vec<EdgeState>, Failure> {
    let mut known = store::edges(state.context.postgres().pool()).await.map_err(DatabaseError::from)?;
    let head = state.told.borrow().head;
    let configured = &state.context.config().replicator.edges;
    let state_of = |edge: &bodega_platform::config::Edge| {
        let mut found = known.remove(&edge.id).unwrap_or_else(|| EdgeState {
            edge: edge.id.clone(),
            url: String::new(),
            position: 0,
            head: 0,
            confirmed_at: None,
            lag_ms: None,
            state: "unreachable".to_owned(),
            error: None,
        });
        found.url.clone_from(&edge.url);
        found.head = found.head.max(head);
        found
    };
    Ok(configured.iter().map(state_of).collect())
}
