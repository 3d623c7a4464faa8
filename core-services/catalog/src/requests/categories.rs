//! `catalog.v1.categories`

use std::sync::Arc;

use bodega_domain::{Failure, catalog::CategoryView, message::catalog::Categories};
use bodega_platform::Call;

use super::database;
use crate::{State, store::read};

pub(crate) async fn categories(state: Arc<State>, _call: Call, _: Categories) -> Result<Vec<CategoryView>, Failure> {
    read::categories(state.context.postgres().pool()).await.map_err(database)
}
