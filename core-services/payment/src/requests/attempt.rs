//! `payment.v1.attempt`: one more attempt to pay.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::AttemptId,
    message::payment::{Attempt, IntentState},
};
use bodega_platform::Call;

use super::{name, printable, state_of};
use crate::{State, engine::Command, intent::AttemptAsk};

pub(crate) async fn attempt(state: Arc<State>, _call: Call, request: Attempt) -> Result<IntentState, Failure> {
    let mut validation = Validation::new();
    name(&mut validation, "/provider", &request.provider);
    name(&mut validation, "/method", &request.method);
    name(&mut validation, "/attempt_key", &request.attempt_key);
    printable(&mut validation, "/return_url", request.return_url.as_deref().unwrap_or_default());
    validation.finish()?;
    if state.providers.get(&request.provider).is_none() {
        return Err(Code::PaymentMethodUnknown.into());
    }
    let ask = AttemptAsk {
        id: AttemptId::new(state.context.clock().now().unix_ms(), state.context.entropy().bytes()),
        buyer: request.owner.to_string(),
        provider: request.provider,
        method: request.method,
        key: request.attempt_key,
        return_url: request.return_url,
    };
    state_of(state.command(Command::Attempt(request.order, ask)).await?)
}
