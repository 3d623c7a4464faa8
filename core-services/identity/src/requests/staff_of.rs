//! `identity.v1.staff_of`: whom a merchant's mails are to.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::AccountId,
    message::identity::{Colleague, StaffOf},
};
use bodega_platform::Call;

use super::database;
use crate::{State, store};

/// People that one merchant's mails go to.
const STAFF_MAX: i64 = 50;

pub(crate) async fn staff_of(state: Arc<State>, _call: Call, request: StaffOf) -> Result<Vec<Colleague>, Failure> {
    let pool = state.context.postgres().pool();
    let rows = store::staff_of(pool, request.merchant, STAFF_MAX).await.map_err(database)?;
    let colleague = |row: store::AccountRow| Colleague {
        account: AccountId::from_u128(row.id.as_u128()),
        email: row.email,
        name: row.name,
        stock_mails: row.stock_mails,
    };
    Ok(rows.into_iter().map(colleague).collect())
}
