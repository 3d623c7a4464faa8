//! SQL of units: what became of the lines of paid orders, with their shipments and returns. Always under the order's lock.

use bodega_domain::{
    Timestamp,
    fulfilment::{Line, Units},
    id::{MerchantId, OrderId, ReturnId, ShipmentId},
    message::inventory::Taken,
    money::Money,
    order::{Fulfilment, OrderStatus, ReturnState, Returns, ShipmentState},
    quote::QuoteContent,
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{json, uuid, word};

/// Place of a line in its order, and how many of it.
pub(crate) type LineUnits = Vec<(u16, u32)>;

fn small(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    Ok(u32::try_from(row.try_get::<i32, _>(column)?).unwrap_or(0))
}

/// The place of a line in its order.
fn place(row: &PgRow) -> Result<u16, sqlx::Error> {
    Ok(u16::try_from(row.try_get::<i16, _>("n")?).unwrap_or(0))
}

fn units_of(row: &PgRow) -> Result<Units, sqlx::Error> {
    Ok(Units {
        cancelled: small(row, "cancelled")?,
        preparing: small(row, "preparing")?,
        shipped: small(row, "shipped")?,
        delivered: small(row, "delivered")?,
        returning: small(row, "coming_back")?,
        returned: small(row, "returned")?,
    })
}

fn optional(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let at: Option<OffsetDateTime> = row.try_get(column)?;
    Ok(at.map(Timestamp::from))
}

fn merchant(row: &PgRow) -> Result<MerchantId, sqlx::Error> {
    Ok(MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()))
}

/// The lines of an order as they are; its row is locked by the caller.
pub(crate) async fn lines(
    tx: &mut PgConnection,
    order: OrderId,
    content: &QuoteContent,
) -> Result<Vec<Line>, sqlx::Error> {
    let rows = sqlx::query(
        "select n, cancelled, preparing, shipped, delivered, coming_back, returned, refunded from order_line
         where order_id = $1 order by n",
    )
    .bind(uuid(order))
    .fetch_all(tx)
    .await?;
    let of = |row: &PgRow| {
        let n = place(row)?;
        let Some(line) = content.lines.get(usize::from(n)) else { return Ok(None) };
        let refunded = Money::new(row.try_get("refunded")?, line.total.currency()).unwrap_or(line.total);
        Ok(Some(Line {
            n,
            sku_no: line.sku_no,
            sku: line.sku.clone(),
            merchant: line.merchant,
            quantity: line.quantity,
            total: line.total,
            refunded,
            units: units_of(row)?,
        }))
    };
    rows.iter().filter_map(|row| of(row).transpose()).collect()
}

/// Writes lines as they are now.
pub(crate) async fn put_lines(tx: &mut PgConnection, order: OrderId, lines: &[Line]) -> Result<(), sqlx::Error> {
    let counts =
        |of: fn(&Units) -> u32| lines.iter().map(|l| i32::try_from(of(&l.units)).unwrap_or(i32::MAX)).collect();
    let (cancelled, preparing, shipped): (Vec<i32>, Vec<i32>, Vec<i32>) =
        (counts(|u| u.cancelled), counts(|u| u.preparing), counts(|u| u.shipped));
    let (delivered, returning, returned): (Vec<i32>, Vec<i32>, Vec<i32>) =
        (counts(|u| u.delivered), counts(|u| u.returning), counts(|u| u.returned));
    sqlx::query(
        "update order_line l set cancelled = d.cancelled, preparing = d.preparing, shipped = d.shipped,
             delivered = d.delivered, coming_back = d.coming_back, returned = d.returned, refunded = d.refunded
         from unnest($2::smallint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::integer[],
                     $8::integer[], $9::bigint[])
              as d (n, cancelled, preparing, shipped, delivered, coming_back, returned, refunded)
         where l.order_id = $1 and l.n = d.n",
    )
    .bind(uuid(order))
    .bind(lines.iter().map(|line| i16::try_from(line.n).unwrap_or(i16::MAX)).collect::<Vec<_>>())
    .bind(cancelled)
    .bind(preparing)
    .bind(shipped)
    .bind(delivered)
    .bind(returning)
    .bind(returned)
    .bind(lines.iter().map(|line| line.refunded.amount()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether anything of an order has left the house, or is about to.
pub(crate) async fn any_left(tx: &mut PgConnection, order: OrderId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from order_line where order_id = $1 and preparing + shipped > 0)")
        .bind(uuid(order))
        .fetch_one(tx)
        .await
}

/// Whether anything of other merchants has not been called off.
pub(crate) async fn any_others(tx: &mut PgConnection, order: OrderId, own: &[MerchantId]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from order_line where order_id = $1 and merchant <> all($2) and quantity > cancelled)",
    )
    .bind(uuid(order))
    .bind(own.iter().map(|merchant| Uuid::from_u128(merchant.as_u128())).collect::<Vec<_>>())
    .fetch_one(tx)
    .await
}

/// A merchant's part, minor units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredPart {
    /// What it costs, with its share of shipping.
    pub(crate) total: i64,
    /// What went back of it, or is not taken any more.
    pub(crate) refunded: i64,
    /// Its money is taken only as its goods leave.
    pub(crate) at_shipment: bool,
}

impl StoredPart {
    /// What is left that may go back.
    pub(crate) const fn left(self) -> i64 {
        self.total - self.refunded
    }
}

/// A merchant's part of an order that is locked.
pub(crate) async fn part(
    tx: &mut PgConnection,
    order: OrderId,
    merchant: MerchantId,
) -> Result<StoredPart, sqlx::Error> {
    let (total, refunded, at_shipment) =
        sqlx::query_as("select total, refunded, at_shipment from order_part where order_id = $1 and merchant = $2")
            .bind(uuid(order))
            .bind(Uuid::from_u128(merchant.as_u128()))
            .fetch_one(tx)
            .await?;
    Ok(StoredPart { total, refunded, at_shipment })
}

/// Notes whose money is taken only as the goods leave.
pub(crate) async fn take_at_shipment(
    tx: &mut PgConnection,
    parts: &[(OrderId, MerchantId)],
) -> Result<(), sqlx::Error> {
    if parts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update order_part p set at_shipment = true from unnest($1::uuid[], $2::uuid[]) as x (order_id, merchant)
         where p.order_id = x.order_id and p.merchant = x.merchant",
    )
    .bind(parts.iter().map(|(order, _)| uuid(*order)).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, merchant)| Uuid::from_u128(merchant.as_u128())).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds to what went back of a merchant's part.
pub(crate) async fn refund_part(
    tx: &mut PgConnection,
    order: OrderId,
    merchant: MerchantId,
    amount: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update order_part set refunded = refunded + $3 where order_id = $1 and merchant = $2")
        .bind(uuid(order))
        .bind(Uuid::from_u128(merchant.as_u128()))
        .bind(amount)
        .execute(tx)
        .await?;
    Ok(())
}

/// What went back of the parts of these orders.
pub(crate) async fn part_refunds(
    pool: &PgPool,
    orders: &[OrderId],
) -> Result<Vec<(OrderId, MerchantId, i64)>, sqlx::Error> {
    let rows =
        sqlx::query("select order_id, merchant, refunded from order_part where order_id = any($1) and refunded > 0")
            .bind(super::uuids(orders))
            .fetch_all(pool)
            .await?;
    rows.iter().map(|row| Ok((super::order_id(row, "order_id")?, merchant(row)?, row.try_get("refunded")?))).collect()
}

/// How far an order is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) status: OrderStatus,
    pub(crate) fulfilment: Fulfilment,
    pub(crate) returns: Returns,
}

/// Writes how far an order is. Once all of it has arrived, the time of that stays.
pub(crate) async fn put_standing(
    tx: &mut PgConnection,
    order: OrderId,
    standing: Standing,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update orders set moved = true, status = $2, fulfilment = $3, returns = $4,
                delivered_at = case when $3 = 'delivered' then coalesce(delivered_at, $5) end
         where id = $1",
    )
    .bind(uuid(order))
    .bind(standing.status.as_str())
    .bind(standing.fulfilment.as_str())
    .bind(standing.returns.as_str())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// A shipment as stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredShipment {
    pub(crate) id: ShipmentId,
    pub(crate) merchant: MerchantId,
    pub(crate) state: ShipmentState,
    pub(crate) units: LineUnits,
    pub(crate) taken: Vec<Taken>,
    pub(crate) carrier: Option<String>,
    pub(crate) tracking: Option<String>,
    pub(crate) shipped_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
}

/// Writes a shipment that is being prepared.
pub(crate) async fn insert_shipment(
    tx: &mut PgConnection,
    order: OrderId,
    shipment: &StoredShipment,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into shipment (id, order_id, merchant, state, units, carrier, tracking, created_at)
         values ($1, $2, $3, 'preparing', $4, $5, $6, $7)",
    )
    .bind(Uuid::from_u128(shipment.id.as_u128()))
    .bind(uuid(order))
    .bind(Uuid::from_u128(shipment.merchant.as_u128()))
    .bind(Json(&shipment.units))
    .bind(&shipment.carrier)
    .bind(&shipment.tracking)
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes what became of a shipment.
pub(crate) async fn put_shipment(tx: &mut PgConnection, shipment: &StoredShipment) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update shipment set state = $2, taken = $3, carrier = $4, tracking = $5, shipped_at = $6, delivered_at = $7
         where id = $1",
    )
    .bind(Uuid::from_u128(shipment.id.as_u128()))
    .bind(shipment.state.as_str())
    .bind((!shipment.taken.is_empty()).then_some(Json(&shipment.taken)))
    .bind(&shipment.carrier)
    .bind(&shipment.tracking)
    .bind(shipment.shipped_at.map(OffsetDateTime::from))
    .bind(shipment.delivered_at.map(OffsetDateTime::from))
    .execute(tx)
    .await?;
    Ok(())
}

/// The shipments of these orders, oldest first.
pub(crate) async fn shipments(
    executor: impl sqlx::PgExecutor<'_>,
    orders: &[OrderId],
) -> Result<Vec<(OrderId, StoredShipment)>, sqlx::Error> {
    // Index: shipment_of_order.
    let rows = sqlx::query("select * from shipment where order_id = any($1) order by created_at, id")
        .bind(super::uuids(orders))
        .fetch_all(executor)
        .await?;
    rows.iter()
        .map(|row| {
            let taken: Option<Json<Vec<Taken>>> = row.try_get("taken")?;
            let shipment = StoredShipment {
                id: ShipmentId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
                merchant: merchant(row)?,
                state: word(row, "state")?,
                units: json(row, "units")?,
                taken: taken.map(|taken| taken.0).unwrap_or_default(),
                carrier: row.try_get("carrier")?,
                tracking: row.try_get("tracking")?,
                shipped_at: optional(row, "shipped_at")?,
                delivered_at: optional(row, "delivered_at")?,
            };
            Ok((super::order_id(row, "order_id")?, shipment))
        })
        .collect()
}

/// A return as stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredReturn {
    pub(crate) id: ReturnId,
    pub(crate) merchant: MerchantId,
    pub(crate) state: ReturnState,
    pub(crate) units: LineUnits,
    pub(crate) reason: Option<String>,
    pub(crate) refund: Option<i64>,
    pub(crate) requested_at: Timestamp,
}

/// Writes returns that are asked for.
pub(crate) async fn insert_returns(
    tx: &mut PgConnection,
    order: OrderId,
    returns: &[StoredReturn],
) -> Result<(), sqlx::Error> {
    for asked in returns {
        sqlx::query(
            "insert into goods_return (id, order_id, merchant, state, units, reason, requested_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(Uuid::from_u128(asked.id.as_u128()))
        .bind(uuid(order))
        .bind(Uuid::from_u128(asked.merchant.as_u128()))
        .bind(asked.state.as_str())
        .bind(Json(&asked.units))
        .bind(&asked.reason)
        .bind(OffsetDateTime::from(asked.requested_at))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Writes what became of a return.
pub(crate) async fn put_return(tx: &mut PgConnection, asked: &StoredReturn) -> Result<(), sqlx::Error> {
    sqlx::query("update goods_return set state = $2, units = $3, refund = $4 where id = $1")
        .bind(Uuid::from_u128(asked.id.as_u128()))
        .bind(asked.state.as_str())
        .bind(Json(&asked.units))
        .bind(asked.refund)
        .execute(tx)
        .await?;
    Ok(())
}

fn stored_return(row: &PgRow) -> Result<StoredReturn, sqlx::Error> {
    Ok(StoredReturn {
        id: ReturnId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
        merchant: merchant(row)?,
        state: word(row, "state")?,
        units: json(row, "units")?,
        reason: row.try_get("reason")?,
        refund: row.try_get("refund")?,
        requested_at: super::timestamp(row, "requested_at")?,
    })
}

/// The returns of these orders, oldest first.
pub(crate) async fn returns(
    executor: impl sqlx::PgExecutor<'_>,
    orders: &[OrderId],
) -> Result<Vec<(OrderId, StoredReturn)>, sqlx::Error> {
    // Index: goods_return_of_order.
    let rows = sqlx::query("select * from goods_return where order_id = any($1) order by requested_at, id")
        .bind(super::uuids(orders))
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| Ok((super::order_id(row, "order_id")?, stored_return(row)?))).collect()
}

/// A page of returns, newest first, after a position; empty merchants for everybody's.
pub(crate) async fn returns_page(
    pool: &PgPool,
    merchants: &[MerchantId],
    state: Option<ReturnState>,
    after: Option<(Timestamp, ReturnId)>,
    limit: i64,
) -> Result<Vec<(OrderId, StoredReturn)>, sqlx::Error> {
    let (at, id) = after.unwrap_or((Timestamp::MAX, ReturnId::from_u128(u128::MAX)));
    // Index: goods_return_recent.
    let rows = sqlx::query(
        "select * from goods_return
         where (requested_at, id) < ($1, $2) and ($3::text is null or state = $3)
           and (cardinality($4::uuid[]) = 0 or merchant = any($4))
         order by requested_at desc, id desc limit $5",
    )
    .bind(OffsetDateTime::from(at))
    .bind(Uuid::from_u128(id.as_u128()))
    .bind(state.map(ReturnState::as_str))
    .bind(merchants.iter().map(|merchant| Uuid::from_u128(merchant.as_u128())).collect::<Vec<_>>())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Ok((super::order_id(row, "order_id")?, stored_return(row)?))).collect()
}

/// What became of the lines of these orders, by their place.
pub(crate) async fn units(pool: &PgPool, orders: &[OrderId]) -> Result<Vec<(OrderId, u16, Units)>, sqlx::Error> {
    let rows = sqlx::query(
        "select order_id, n, cancelled, preparing, shipped, delivered, coming_back, returned from order_line
         where order_id = any($1) and cancelled + preparing + shipped > 0",
    )
    .bind(super::uuids(orders))
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Ok((super::order_id(row, "order_id")?, place(row)?, units_of(row)?))).collect()
}

/// Completes orders that arrived before a moment and of which nothing is on its way any more; so many at most.
pub(crate) async fn complete(
    tx: &mut PgConnection,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<OrderId>, sqlx::Error> {
    // Index: orders_to_complete. Skipping locked rows is fine: something is happening to them. What may be open is looked for
    // in a statement of its own, which sees what was committed before the locks.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select id from orders where status = 'delivered' and delivered_at <= $1
         order by delivered_at limit $2 for update skip locked",
    )
    .bind(OffsetDateTime::from(before))
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "update orders o set status = 'completed' where id = any($1)
           and not exists (select from goods_return r where r.order_id = o.id
                           and r.state in ('requested', 'approved', 'receiving'))
           and not exists (select from run r where r.order_id = o.id and r.way not in ('done', 'undone'))
         returning id",
    )
    .bind(ids)
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}
