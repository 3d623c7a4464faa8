//! `identity.v1.role_changes`: who gave whom which roles.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        identity::{RoleChange, RoleChanges},
    },
};
use bodega_platform::Call;

use super::database;
use crate::{State, store};

pub(crate) async fn role_changes(
    state: Arc<State>,
    _call: Call,
    request: RoleChanges,
) -> Result<Page<RoleChange>, Failure> {
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let wrong = |_| Failure::new(Code::BadRequest, "The cursor is not one of ours.");
    let before = request.cursor.as_deref().map(str::parse::<i64>).transpose().map_err(wrong)?;
    let pool = state.context.postgres().pool();
    let mut found = store::changes::page(pool, before, i64::from(limit) + 1).await.map_err(database)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    let next_cursor = found.last().filter(|_| more).map(|(n, _)| n.to_string());
    Ok(Page { items: found.into_iter().map(|(_, change)| change).collect(), next_cursor })
}
