//! `identity.v1.email_digest`: for the service that compares it with an order's.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    address::email_digest as digest,
    message::identity::{DigestOfEmail, EmailDigest},
};
use bodega_platform::Call;
use uuid::Uuid;

use super::database;
use crate::{State, store};

pub(crate) async fn email_digest(
    state: Arc<State>,
    _call: Call,
    request: EmailDigest,
) -> Result<DigestOfEmail, Failure> {
    let account = Uuid::from_u128(request.account.as_u128());
    let row = store::by_id(state.context.postgres().pool(), account).await.map_err(database)?;
    Ok(DigestOfEmail { digest: row.and_then(|row| digest(&state.ring, &row.email)) })
}
