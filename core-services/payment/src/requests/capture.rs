//! `payment.v1.capture`: takes what was authorised for a batch of orders, but for what waits until its goods leave.

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
