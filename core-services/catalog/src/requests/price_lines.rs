//! `catalog.v1.price_lines`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::catalog::{PriceLines, PricedLines},
};
use bodega_platform::Call;

use super::database;
use crate::{State, limits::PRICE_LINES_MAX, store::read};

pub(crate) async fn price_lines(state: Arc<State>, _call: Call, request: PriceLines) -> Result<PricedLines, Failure> {
    if request.sku_nos.len() > PRICE_LINES_MAX {
        let failure = Failure::from(Code::ValidationFailed);
        return Err(failure.field("/sku_nos", "too_many", "At most as many as a cart has lines."));
    }
    let pool = state.context.postgres().pool();
    read::price_lines(pool, &request.sku_nos, request.currency).await.map_err(database)
}
