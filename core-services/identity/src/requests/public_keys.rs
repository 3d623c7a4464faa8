//! `identity.v1.public_keys`

use std::sync::Arc;

use bodega_domain::{Failure, message::identity::PublicKeys, token::PublicKey};
use bodega_platform::Call;

use crate::State;

pub(crate) async fn public_keys(state: Arc<State>, _call: Call, _: PublicKeys) -> Result<Vec<PublicKey>, Failure> {
    Ok(state.context.config().keys.account_keys())
}
