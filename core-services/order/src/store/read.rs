//! SQL of reads: orders as their owners, merchants and admins see them.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    address::{Address, Contact},
    fulfilment::Units,
    id::{MerchantId, OrderId},
    message::order::HistoryEntry,
    order::{Fulfilment, OrderStatus, PaymentView, Returns},
    quote::QuoteContent,
};
use sqlx::{PgExecutor, PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    json, order_id, timestamp,
    units::{StoredReturn, StoredShipment},
    uuid, uuids, word,
};
use crate::waiters::Seen;

/// An order as stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredOrder {
    pub(crate) id: OrderId,
    pub(crate) number: String,
    pub(crate) owner: String,
    pub(crate) status: OrderStatus,
    pub(crate) fulfilment: Fulfilment,
    pub(crate) returns: Returns,
    pub(crate) content: QuoteContent,
    pub(crate) payment: PaymentView,
    pub(crate) payment_revision: i64,
    pub(crate) placed_at: Timestamp,
    pub(crate) link_generation: i32,
    /// The order that was made of this one's late money.
    pub(crate) reinstated_as: Option<OrderId>,
    /// The ended order whose late money pays this one.
    pub(crate) reinstates: Option<OrderId>,
    /// Whether anything has happened to its units; what, stands below.
    pub(crate) moved: bool,
    /// By the place of the line; those to which nothing has happened are absent.
    pub(crate) units: BTreeMap<u16, Units>,
    /// What went back of each merchant's part for pieces of theirs, minor units.
    pub(crate) part_refunds: BTreeMap<MerchantId, i64>,
    pub(crate) shipments: Vec<StoredShipment>,
    pub(crate) return_requests: Vec<StoredReturn>,
}

fn stored(row: &PgRow) -> Result<StoredOrder, sqlx::Error> {
    let another = |column: &str| {
        let id: Option<Uuid> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(id.map(|id| OrderId::from_u128(id.as_u128())))
    };
    Ok(StoredOrder {
        id: order_id(row, "id")?,
        number: row.try_get("number")?,
        owner: row.try_get("owner")?,
        status: word(row, "status")?,
        fulfilment: word(row, "fulfilment")?,
        returns: word(row, "returns")?,
        content: json(row, "content")?,
        payment: json(row, "payment")?,
        payment_revision: row.try_get("payment_revision")?,
        placed_at: timestamp(row, "placed_at")?,
        link_generation: row.try_get("link_generation")?,
        reinstated_as: another("reinstated_as")?,
        reinstates: another("reinstates")?,
        moved: row.try_get("moved")?,
        units: BTreeMap::new(),
        part_refunds: BTreeMap::new(),
        shipments: Vec::new(),
        return_requests: Vec::new(),
    })
}

/// Reads what happened to the units of those orders where something has: four statements, however many they are.
async fn with_what_moved(pool: &PgPool, mut orders: Vec<StoredOrder>) -> Result<Vec<StoredOrder>, sqlx::Error> {
    let moved: Vec<OrderId> = orders.iter().filter(|order| order.moved).map(|order| order.id).collect();
    if moved.is_empty() {
        return Ok(orders);
    }
    let mut at: BTreeMap<OrderId, &mut StoredOrder> =
        orders.iter_mut().filter(|order| order.moved).map(|order| (order.id, order)).collect();
    for (order, n, units) in super::units::units(pool, &moved).await? {
        if let Some(order) = at.get_mut(&order) {
            order.units.insert(n, units);
        }
    }
    for (order, merchant, refund) in super::units::part_refunds(pool, &moved).await? {
        if let Some(order) = at.get_mut(&order) {
            order.part_refunds.insert(merchant, refund);
        }
    }
    for (order, shipment) in super::units::shipments(pool, &moved).await? {
        if let Some(order) = at.get_mut(&order) {
            order.shipments.push(shipment);
        }
    }
    for (order, asked) in super::units::returns(pool, &moved).await? {
        if let Some(order) = at.get_mut(&order) {
            order.return_requests.push(asked);
        }
    }
    Ok(orders)
}

/// One order.
pub(crate) async fn order(pool: &PgPool, id: OrderId) -> Result<Option<StoredOrder>, sqlx::Error> {
    let order = order_alone(pool, id).await?;
    Ok(with_what_moved(pool, order.into_iter().collect()).await?.pop())
}

/// One order, without what happened to its units.
pub(crate) async fn order_alone(pool: &PgPool, id: OrderId) -> Result<Option<StoredOrder>, sqlx::Error> {
    let row = sqlx::query("select * from orders where id = $1").bind(uuid(id)).fetch_optional(pool).await?;
    row.as_ref().map(stored).transpose()
}

/// Where an order goes, while that is known.
pub(crate) async fn shipping_address(
    executor: impl PgExecutor<'_>,
    order: OrderId,
) -> Result<Option<Address>, sqlx::Error> {
    let shipping: Option<Option<Json<Address>>> =
        sqlx::query_scalar("select shipping from contact where order_id = $1")
            .bind(uuid(order))
            .fetch_optional(executor)
            .await?;
    Ok(shipping.flatten().map(|shipping| shipping.0))
}

/// Who ordered, while that is known.
pub(crate) async fn contact(pool: &PgPool, order: OrderId) -> Result<Option<Contact>, sqlx::Error> {
    let row: Option<(Option<String>, Option<String>)> =
        sqlx::query_as("select email, name from contact where order_id = $1")
            .bind(uuid(order))
            .fetch_optional(pool)
            .await?;
    Ok(row.and_then(|(email, name)| Some(Contact { email: email?, name: name? })))
}

/// Whether the history says this of somebody already.
pub(crate) async fn has_noted(
    executor: impl PgExecutor<'_>,
    order: OrderId,
    what: &str,
    who: &str,
) -> Result<bool, sqlx::Error> {
    // Index: history_of_order.
    sqlx::query_scalar("select exists (select from history where order_id = $1 and what = $2 and who = $3)")
        .bind(uuid(order))
        .bind(what)
        .bind(who)
        .fetch_one(executor)
        .await
}

/// Whose orders to list.
pub(crate) enum Whose {
    Everybodys,
    Owner(String),
    Merchants(Vec<MerchantId>),
}

/// These orders, by id.
pub(crate) async fn orders_of_ids(
    pool: &PgPool,
    ids: &[OrderId],
) -> Result<BTreeMap<OrderId, StoredOrder>, sqlx::Error> {
    let rows = sqlx::query("select * from orders where id = any($1)").bind(uuids(ids)).fetch_all(pool).await?;
    let orders = rows.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    Ok(with_what_moved(pool, orders).await?.into_iter().map(|order| (order.id, order)).collect())
}

/// Those of these orders that are otherwise now than they were seen.
pub(crate) async fn changed_since(pool: &PgPool, seen: &[Seen]) -> Result<Vec<OrderId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select o.id from unnest($1::uuid[], $2::bigint[], $3::text[]) as s(id, revision, status)
         join orders o on o.id = s.id where o.payment_revision <> s.revision or o.status <> s.status",
    )
    .bind(seen.iter().map(|seen| uuid(seen.order)).collect::<Vec<_>>())
    .bind(seen.iter().map(|seen| seen.payment_revision).collect::<Vec<_>>())
    .bind(seen.iter().map(|seen| seen.status.as_str()).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// A page of orders, newest first, after a position.
pub(crate) async fn orders(
    pool: &PgPool,
    whose: &Whose,
    status: Option<OrderStatus>,
    after: Option<(Timestamp, OrderId)>,
    limit: i64,
) -> Result<Vec<StoredOrder>, sqlx::Error> {
    let (at, id) = after.unwrap_or((Timestamp::MAX, OrderId::from_u128(u128::MAX)));
    let status = status.map(OrderStatus::as_str);
    let query = match whose {
        // Index: orders_of_owner.
        Whose::Owner(owner) => sqlx::query(
            "select * from orders where owner = $5 and (placed_at, id) < ($1, $2) and ($3::text is null or status = $3)
             order by placed_at desc, id desc limit $4",
        )
        .bind(OffsetDateTime::from(at))
        .bind(uuid(id))
        .bind(status)
        .bind(limit)
        .bind(owner.clone()),
        // Index: orders_recent.
        Whose::Everybodys => sqlx::query(
            "select * from orders where (placed_at, id) < ($1, $2) and ($3::text is null or status = $3)
             order by placed_at desc, id desc limit $4",
        )
        .bind(OffsetDateTime::from(at))
        .bind(uuid(id))
        .bind(status)
        .bind(limit),
        // Index: order_part_of_merchant.
        Whose::Merchants(merchants) => sqlx::query(
            "select * from orders o where (placed_at, id) < ($1, $2) and ($3::text is null or status = $3)
               and exists (select from order_part p where p.order_id = o.id and p.merchant = any($5))
             order by placed_at desc, id desc limit $4",
        )
        .bind(OffsetDateTime::from(at))
        .bind(uuid(id))
        .bind(status)
        .bind(limit)
        .bind(merchants.iter().map(|m| Uuid::from_u128(m.as_u128())).collect::<Vec<_>>()),
    };
    let orders = query.fetch_all(pool).await?.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    with_what_moved(pool, orders).await
}

/// An order's history, oldest first.
pub(crate) async fn history(pool: &PgPool, id: OrderId) -> Result<Vec<HistoryEntry>, sqlx::Error> {
    let rows = sqlx::query("select at, what, who, data from history where order_id = $1 order by n limit 1000")
        .bind(uuid(id))
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(HistoryEntry {
                at: timestamp(row, "at")?,
                what: row.try_get("what")?,
                who: row.try_get("who")?,
                data: json(row, "data")?,
            })
        })
        .collect()
}
