//! `payment.v1.cancel`: no new attempts, and nothing authorised any more; `cancelled` tells when that is confirmed.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::payment::{CancelIntents, IntentState},
};
use bodega_platform::Call;

use super::states;
use crate::{State, engine::Command};

pub(crate) async fn cancel(
    state: Arc<State>,
    _call: Call,
    request: CancelIntents,
) -> Result<Vec<IntentState>, Failure> {
    states(&state, request.orders, Command::Close).await
}
