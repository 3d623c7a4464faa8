//! `catalog.v1.views`

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::catalog::{Views, ViewsPage},
};
use bodega_platform::Call;

use super::database;
use crate::{State, limits::VIEWS_PAGE_MAX, store::feed};

pub(crate) async fn views(state: Arc<State>, _call: Call, request: Views) -> Result<ViewsPage, Failure> {
    let limit = request.limit.clamp(1, VIEWS_PAGE_MAX);
    feed::page(state.context.postgres().pool(), request.after.max(0), limit, request.live_only).await.map_err(database)
}
