//! `identity.v1.email_of`: for the service that compares it with an order's.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::identity::{AccountEmail, EmailOf},
};
use bodega_platform::Call;
use uuid::Uuid;

use super::database;
use crate::{State, store};

pub(crate) async fn email_of(state: Arc<State>, _call: Call, request: EmailOf) -> Result<AccountEmail, Failure> {
    let account = Uuid::from_u128(request.account.as_u128());
    let row = store::by_id(state.context.postgres().pool(), account).await.map_err(database)?;
    Ok(AccountEmail { email: row.map(|row| row.email) })
}
