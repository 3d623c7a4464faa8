//! `identity.v1.account`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::identity::{Account, AccountView},
};
use bodega_platform::Call;

use super::{asker, database};
use crate::{State, store};

pub(crate) async fn account(state: Arc<State>, call: Call, _: Account) -> Result<AccountView, Failure> {
    let (account, _) = asker(&call)?;
    let row = store::by_id(state.context.postgres().pool(), account).await.map_err(database)?;
    // A token without an account outlived it.
    Ok(row.ok_or(Code::SessionExpired)?.view())
}
