//! `catalog.v1.merchant`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::catalog::{Merchant, MerchantOf},
};
use bodega_platform::Call;

use super::database;
use crate::{State, store::read, validate::is_slug};

pub(crate) async fn merchant(state: Arc<State>, _call: Call, request: MerchantOf) -> Result<Merchant, Failure> {
    let found = if is_slug(&request.slug) {
        read::merchant(state.context.postgres().pool(), &request.slug).await.map_err(database)?
    } else {
        None
    };
    found.ok_or_else(|| Failure::new(Code::NotFound, "There is no merchant with this slug."))
}
