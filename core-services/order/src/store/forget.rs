//! SQL of forgetting: which contacts are to be emptied, and emptying them.

use bodega_domain::{Timestamp, id::OrderId, order::OrderStatus};
use sqlx::{PgConnection, PgPool, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{order_id, uuid};

/// Orders that need nobody's name any more.
const ENDED: [OrderStatus; 4] =
    [OrderStatus::Cancelled, OrderStatus::Expired, OrderStatus::Delivered, OrderStatus::Completed];

/// The orders in question.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    All,
    Of(&'a str),
    One(OrderId),
}

impl<'a> Which<'a> {
    fn owner(self) -> Option<&'a str> {
        if let Which::Of(owner) = self { Some(owner) } else { None }
    }

    fn order(self) -> Option<Uuid> {
        if let Which::One(order) = self { Some(uuid(order)) } else { None }
    }
}

/// Remembers that contacts are to be emptied; gives the orders for which that is news.
pub(crate) async fn remember(
    tx: &mut PgConnection,
    which: Which<'_>,
    who: &str,
    now: Timestamp,
    latest: Timestamp,
) -> Result<Vec<OrderId>, sqlx::Error> {
    // Index: orders_of_owner, or the primary key.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "insert into forgotten (order_id, who, asked, latest)
         select o.id, $3, $4, $5 from orders o join contact c on c.order_id = o.id
         where (o.owner = $1 or o.id = $2)
           and (num_nonnulls(c.email, c.name, c.shipping, c.billing) > 0
                or exists (select from note n where n.order_id = o.id and n.text is not null)) order by o.id
         on conflict do nothing returning order_id",
    )
    .bind(which.owner())
    .bind(which.order())
    .bind(who)
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(latest))
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// Empties contacts that are to be emptied and whose order has ended, or has had its time; so many at most. Gives the
/// orders with who asked for it.
pub(crate) async fn empty(
    tx: &mut PgConnection,
    which: Which<'_>,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(OrderId, String)>, sqlx::Error> {
    // Skipping locked rows is fine: whoever holds them is emptying them.
    let rows = sqlx::query(
        "with due as (
             select f.order_id, f.who from forgotten f join orders o on o.id = f.order_id
             where (o.status = any($1)
                      and not exists (select from run r where r.order_id = o.id and r.way not in ('done', 'undone'))
                      and not exists (select from goods_return r where r.order_id = o.id
                                      and r.state in ('requested', 'approved', 'receiving'))
                    or f.latest <= $2)
               and ($3::text is null or o.owner = $3) and ($4::uuid is null or f.order_id = $4)
             order by f.order_id limit $5 for update of f skip locked),
         emptied as (
             update contact c set email = null, name = null, shipping = null, billing = null
             from due where c.order_id = due.order_id),
         unsaid as (update note n set text = null from due where n.order_id = due.order_id),
         unlabelled as (
             update shipment s set carrier = null, tracking = null from due where s.order_id = due.order_id),
         done as (delete from forgotten f using due where f.order_id = due.order_id)
         select order_id, who from due",
    )
    .bind(ENDED.map(OrderStatus::as_str).to_vec())
    .bind(OffsetDateTime::from(now))
    .bind(which.owner())
    .bind(which.order())
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((order_id(row, "order_id")?, row.try_get("who")?))).collect()
}

/// Whether an order's contact still waits for being emptied.
pub(crate) async fn waits(pool: &PgPool, order: OrderId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from forgotten where order_id = $1)")
        .bind(uuid(order))
        .fetch_one(pool)
        .await
}
