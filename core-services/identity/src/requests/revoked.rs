//! `identity.v1.revoked`

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::identity::{Revoked, RevokedPage},
};
use bodega_platform::Call;

use super::database;
use crate::{State, limits::REVOKED_PAGE_MAX, store};

pub(crate) async fn revoked(state: Arc<State>, _call: Call, request: Revoked) -> Result<RevokedPage, Failure> {
    let pool = state.context.postgres().pool();
    let entries = store::revoked(pool, request.after, REVOKED_PAGE_MAX).await.map_err(database)?;
    Ok(RevokedPage { entries })
}
