//! `catalog.v1.digests`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::catalog::{Digests, DigestsAnswer},
};
use bodega_platform::Call;

use super::database;
use crate::{State, sequencer, store::feed};

/// Looks for a moment at which every change has its position.
const LOOKS_MAX: usize = 20;

pub(crate) async fn digests(state: Arc<State>, _call: Call, _: Digests) -> Result<DigestsAnswer, Failure> {
    for _ in 0..LOOKS_MAX {
        if let Some(answer) = feed::digests(state.context.postgres().pool()).await.map_err(database)? {
            return Ok(answer);
        }
        sequencer::sequence(&state).await?;
        tokio::task::yield_now().await;
    }
    Err(Failure::from(Code::Overloaded).retry_after_s(1))
}
