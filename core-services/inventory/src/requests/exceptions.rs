//! `inventory.v1.exceptions`: stock that is promised beyond what was counted, and what opens and closes it.

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    id::LocationId,
    message::{
        Page,
        inventory::{Exceptions, StockException},
    },
};
use bodega_platform::{Call, Context, DatabaseError, Tx};
use uuid::Uuid;

use crate::store;

/// Items of a page.
const PAGE_MAX: i64 = 50;

pub(crate) async fn exceptions(
    inventory: Context,
    _call: Call,
    request: Exceptions,
) -> Result<Page<StockException>, Failure> {
    let wrong = |_| Failure::new(Code::BadRequest, "This cursor is not one of ours.");
    let before = request.cursor.as_deref().map(Uuid::try_parse).transpose().map_err(wrong)?;
    let pool = inventory.postgres().pool();
    let mut found = store::exceptions::open(pool, before, PAGE_MAX + 1).await.map_err(DatabaseError::from)?;
    let page = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
    let more = found.len() > page;
    found.truncate(page);
    let next_cursor = found.last().filter(|_| more).map(|(id, _)| id.to_string());
    Ok(Page { items: found.into_iter().map(|(_, exception)| exception).collect(), next_cursor })
}

/// Opens and closes the exceptions of stock rows that were just written, in the same transaction.
pub(crate) async fn settle(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    rows: impl Iterator<Item = (SkuNo, LocationId)> + Send,
) -> Result<(), sqlx::Error> {
    let now = inventory.clock().now();
    let rows: Vec<_> = rows.map(|(sku, location)| (inventory.entropy().uuid(now), sku, location)).collect();
    if rows.is_empty() { Ok(()) } else { store::exceptions::settle(tx, &rows, now).await }
}
