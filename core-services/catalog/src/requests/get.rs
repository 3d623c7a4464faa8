//! `catalog.v1.get`

use std::sync::Arc;

use bodega_domain::{Code, Failure, catalog::ProductView, message::catalog::Get};
use bodega_platform::Call;

use super::database;
use crate::{State, store::read};

pub(crate) async fn get(state: Arc<State>, _call: Call, request: Get) -> Result<ProductView, Failure> {
    // Also keeps what cannot be bound as text away from the database.
    if !crate::validate::is_slug(&request.slug) {
        return Err(Code::ProductNotFound.into());
    }
    let found = read::product(state.context.postgres().pool(), &request.slug).await.map_err(database)?;
    found.ok_or_else(|| Code::ProductNotFound.into())
}
