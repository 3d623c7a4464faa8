//! `payment.v1.capture`: takes what was authorised, in full, for a batch of orders.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::payment::{Capture, IntentState},
};
use bodega_platform::Call;

use super::states;
use crate::{State, engine::Command};

pub(crate) async fn capture(state: Arc<State>, _call: Call, request: Capture) -> Result<Vec<IntentState>, Failure> {
    states(&state, request.orders, Command::Capture).await
}
