//! `payment.v1.{balances,transfers_of,exceptions,close_exception}`: what the books say, and what a person has to look at.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::{
        Done, Page,
        payment::{Balance, Balances, CloseException, Exception, Exceptions, TransferView, TransfersOf},
    },
};
use bodega_platform::{Call, DatabaseError};
use uuid::Uuid;

use super::position;
use crate::{State, limits::PAGE_MAX, store};

pub(crate) async fn balances(state: Arc<State>, _call: Call, request: Balances) -> Result<Vec<Balance>, Failure> {
    let pool = state.context.postgres().pool();
    Ok(store::ledger::balances(pool, request.merchant).await.map_err(DatabaseError::from)?)
}

pub(crate) async fn transfers_of(
    state: Arc<State>,
    _call: Call,
    request: TransfersOf,
) -> Result<Vec<TransferView>, Failure> {
    let pool = state.context.postgres().pool();
    Ok(store::ledger::transfers_of(pool, request.order).await.map_err(DatabaseError::from)?)
}

pub(crate) async fn exceptions(
    state: Arc<State>,
    _call: Call,
    request: Exceptions,
) -> Result<Page<Exception>, Failure> {
    let before = position(request.cursor.as_deref())?;
    let pool = state.context.postgres().pool();
    let found = store::records::exceptions(pool, before, PAGE_MAX).await.map_err(DatabaseError::from)?;
    let full = i64::try_from(found.len()).is_ok_and(|count| count == PAGE_MAX);
    let next_cursor = found.last().filter(|_| full).map(|(id, _)| id.to_string());
    Ok(Page { items: found.into_iter().map(|(_, exception)| exception).collect(), next_cursor })
}

/// Closed by whoever closed it first; the same again changes nothing.
pub(crate) async fn close_exception(state: Arc<State>, call: Call, request: CloseException) -> Result<Done, Failure> {
    let id = Uuid::try_parse(&request.exception).map_err(|_| Failure::from(Code::NotFound))?;
    let who = call.principal.who();
    let now = state.context.clock().now();
    let known = store::records::close_exception(state.context.postgres().pool(), id, &who, now).await;
    if known.map_err(DatabaseError::from)? { Ok(Done {}) } else { Err(Code::NotFound.into()) }
}
