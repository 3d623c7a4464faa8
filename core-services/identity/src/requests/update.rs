//! `identity.v1.update`

use std::sync::Arc;

use bodega_domain::{
    Failure,
    address::line,
    failure::Validation,
    message::identity::{Account, AccountView, Update},
};
use bodega_platform::Call;

use super::{asker, database};
use crate::{State, store};

pub(crate) async fn update(state: Arc<State>, call: Call, request: Update) -> Result<AccountView, Failure> {
    let (account, _) = asker(&call)?;
    let name = request.name.as_deref().map(str::trim);
    let mut v = Validation::new();
    if let Some(name) = name {
        line(&mut v, "/name", name, true);
    }
    if let Some(address) = &request.address {
        address.validate("/address", &mut v);
    }
    v.finish()?;
    let pool = state.context.postgres().pool();
    store::update_profile(pool, account, name, request.address.as_ref(), request.stock_mails)
        .await
        .map_err(database)?;
    super::account::account(state, call, Account {}).await
}
