//! `payment.v1.state`: intents as they are now. Orders without an intent are left out.

use std::sync::Arc;

use bodega_domain::{Failure, message::payment};
use bodega_platform::{Call, DatabaseError};

use super::few_enough;
use crate::{State, store};

pub(crate) async fn state(
    state: Arc<State>,
    _call: Call,
    request: payment::State,
) -> Result<Vec<payment::IntentState>, Failure> {
    few_enough(request.orders.len(), "/orders")?;
    let found = store::intents::of_orders(state.context.postgres().pool(), &request.orders).await;
    let mut found: std::collections::BTreeMap<_, _> =
        found.map_err(DatabaseError::from)?.into_iter().map(|intent| (intent.order, intent.state())).collect();
    Ok(request.orders.iter().filter_map(|order| found.remove(order)).collect())
}
