//! `payment.v1.open`: intents for a batch of orders, each with its first attempt.
//!
//! A buyer who has begun too many attempts gets an intent without one: `pending`, `attempts: 0`.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    failure::Validation,
    id::{AttemptId, IntentId},
    message::payment::{IntentState, Open, OpenAsk},
};
use bodega_platform::Call;

use super::{few_enough, name, printable};
use crate::{State, engine::Opening};

pub(crate) async fn open(state: Arc<State>, _call: Call, request: Open) -> Result<Vec<IntentState>, Failure> {
    few_enough(request.asks.len(), "/asks")?;
    let openings = request.asks.into_iter().map(|ask| check(&state, ask)).collect::<Result<Vec<_>, _>>()?;
    let opened = openings.into_iter().map(|opening| state.openings.submit(opening));
    futures::future::join_all(opened).await.into_iter().map(|opened| opened?).collect()
}

fn check(state: &State, ask: OpenAsk) -> Result<Opening, Failure> {
    let mut validation = Validation::new();
    name(&mut validation, "/provider", &ask.provider);
    name(&mut validation, "/method", &ask.method);
    name(&mut validation, "/attempt_key", &ask.attempt_key);
    printable(&mut validation, "/return_url", ask.return_url.as_deref().unwrap_or_default());
    validation.finish()?;
    let (now, entropy) = (state.context.clock().now().unix_ms(), state.context.entropy());
    Opening::check(ask, IntentId::new(now, entropy.bytes()), AttemptId::new(now, entropy.bytes()))
}
