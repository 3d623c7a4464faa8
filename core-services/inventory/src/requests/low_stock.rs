//! `inventory.v1.{low_stock,set_reorder_point}`: what has to be ordered anew, and from when.

use bodega_domain::{
    Code, Failure, Timestamp,
    catalog::SkuNo,
    failure::Validation,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Done, Page,
        inventory::{LowStock, LowStockView, SetReorderPoint},
    },
    stock::standings,
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError};

use super::{adjust::ADJUSTMENT_UNITS_MAX, announce_standings, read::reads_of};
use crate::store::{self, alerts::LowStockQuery};

pub(crate) async fn low_stock(
    inventory: Context,
    call: Call,
    request: LowStock,
) -> Result<Page<LowStockView>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let before = request.cursor.as_deref().map(parse_cursor).transpose()?;
    let query = LowStockQuery { merchants, before, limit: i64::from(limit) + 1 };
    let mut items = store::alerts::low(inventory.postgres().pool(), &query).await.map_err(DatabaseError::from)?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > page;
    items.truncate(page);
    let next_cursor = items.last().filter(|_| more).map(|low| format!("{}~{}", low.since.unix_ms(), low.sku_no));
    Ok(Page { items, next_cursor })
}

fn parse_cursor(text: &str) -> Result<(Timestamp, SkuNo), Failure> {
    text.split_once('~')
        .and_then(|(since, sku)| Some((Timestamp::from_unix_ms(since.parse().ok()?), sku.parse().ok()?)))
        .ok_or_else(|| Failure::new(Code::BadRequest, "This cursor is not one of ours."))
}

pub(crate) async fn set_reorder_point(
    inventory: Context,
    call: Call,
    request: SetReorderPoint,
) -> Result<Done, Failure> {
    if !call.principal.acts_for(request.merchant) {
        return Err(Code::Forbidden.into());
    }
    let mut v = Validation::new();
    let fits = (0..=ADJUSTMENT_UNITS_MAX).contains(&request.units);
    v.check(fits, "/units", "out_of_range", "Between 0 and 10^9 units.");
    v.finish()?;
    let who = call.principal.who();
    let (inventory, who) = (&inventory, who.as_str());
    inventory
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let mut rows = store::lock_stock(&mut tx, &[request.sku_no]).await?;
                if rows.is_empty() || rows.iter().any(|row| row.merchant != request.merchant) {
                    let failure = Failure::new(Code::SkuNotFound, "This article has never been booked.");
                    return Err(TransactionError::Refused(failure));
                }
                if rows.iter().all(|row| row.reorder_point == request.units) {
                    return Ok(());
                }
                let before = standings(&rows);
                rows.iter_mut().for_each(|row| row.reorder_point = request.units);
                let now = inventory.clock().now();
                store::alerts::set_reorder_point(&mut tx, request.sku_no, request.units, who, now).await?;
                announce_standings(inventory, &mut tx, &before, &standings(&rows)).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    Ok(Done {})
}
