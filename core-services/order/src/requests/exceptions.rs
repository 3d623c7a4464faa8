//! `order.v1.{exceptions,close_exception}`: orders that a person has to look at.

use bodega_domain::{
    Code, Failure,
    message::{
        Done, Page,
        order::{CloseException, Exceptions, OrderException},
    },
};
use bodega_platform::{Call, DatabaseError};

use crate::{Orders, store};

/// Items of a page.
const PAGE_MAX: i64 = 50;

pub(crate) async fn exceptions(
    orders: Orders,
    _call: Call,
    request: Exceptions,
) -> Result<Page<OrderException>, Failure> {
    let wrong = |_| Failure::new(Code::BadRequest, "This cursor is not one of ours.");
    let before = request.cursor.as_deref().map(str::parse::<i64>).transpose().map_err(wrong)?;
    let pool = orders.context.postgres().pool();
    let mut items = store::exceptions::open(pool, before, PAGE_MAX + 1).await.map_err(DatabaseError::from)?;
    let page = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
    let more = items.len() > page;
    items.truncate(page);
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Page { items, next_cursor })
}

/// Closed by whoever closed it first; the same again changes nothing.
pub(crate) async fn close(orders: Orders, call: Call, request: CloseException) -> Result<Done, Failure> {
    let id: i64 = request.exception.parse().map_err(|_| Failure::from(Code::NotFound))?;
    let who = call.principal.who();
    let now = orders.context.clock().now();
    let known = store::exceptions::close(orders.context.postgres().pool(), id, &who, now).await;
    if known.map_err(DatabaseError::from)? { Ok(Done {}) } else { Err(Code::NotFound.into()) }
}
