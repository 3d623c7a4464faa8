//! `identity.v1.users`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    id::AccountId,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        identity::{AccountView, Users},
    },
};
use bodega_platform::Call;
use uuid::Uuid;

use super::database;
use crate::{
    State,
    store::{self, AccountRow},
};

pub(crate) async fn users(state: Arc<State>, _call: Call, request: Users) -> Result<Page<AccountView>, Failure> {
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let after = match request.cursor.as_deref().map(str::parse::<AccountId>) {
        None => Uuid::nil(),
        Some(Ok(id)) => Uuid::from_u128(id.as_u128()),
        Some(Err(_)) => return Err(Failure::new(Code::BadRequest, "The cursor is not one of ours.")),
    };
    let mut rows = store::page(state.context.postgres().pool(), after, i64::from(limit) + 1).await.map_err(database)?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let items: Vec<AccountView> = rows.into_iter().map(AccountRow::view).collect();
    let next_cursor = items.last().filter(|_| more).map(|account| account.id.to_string());
    Ok(Page { items, next_cursor })
}
