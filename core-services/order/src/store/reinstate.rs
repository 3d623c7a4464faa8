//! SQL of orders that are made again with money that came too late.

use bodega_domain::{
    Timestamp,
    address::{Address, Contact},
    id::OrderId,
};
use sqlx::{PgConnection, PgPool, Row as _, types::Json};
use time::OffsetDateTime;

use super::{order_id, uuid, uuids};

/// Who ordered, and where it goes.
pub(crate) struct Delivery {
    pub(crate) contact: Contact,
    pub(crate) shipping: Address,
    pub(crate) billing: Option<Address>,
}

/// Who ordered, unless that is forgotten or about to be.
pub(crate) async fn delivery(pool: &PgPool, order: OrderId) -> Result<Option<Delivery>, sqlx::Error> {
    let row = sqlx::query(
        "select email, name, shipping, billing from contact c
         where order_id = $1 and num_nulls(email, name, shipping) = 0
           and not exists (select from forgotten f where f.order_id = c.order_id)",
    )
    .bind(uuid(order))
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let contact = Contact { email: row.try_get("email")?, name: row.try_get("name")? };
        let shipping: Json<Address> = row.try_get("shipping")?;
        let billing: Option<Json<Address>> = row.try_get("billing")?;
        Ok(Delivery { contact, shipping: shipping.0, billing: billing.map(|billing| billing.0) })
    })
    .transpose()
}

/// The id that an order has when it is made again: `fresh` at the first try, and again once a tombstone lies under the
/// one before, because a try was too slow.
pub(crate) async fn plan(
    pool: &PgPool,
    order: OrderId,
    fresh: OrderId,
    who: &str,
    now: Timestamp,
) -> Result<OrderId, sqlx::Error> {
    let row = sqlx::query(
        "insert into reinstatement as r (order_id, new_order, who, at) values ($1, $2, $3, $4)
         on conflict (order_id) do update set new_order =
             case when exists (select from claim c where c.order_id = r.new_order and c.outcome = 2)
                  then excluded.new_order else r.new_order end
         returning new_order",
    )
    .bind(uuid(order))
    .bind(uuid(fresh))
    .bind(who)
    .bind(OffsetDateTime::from(now))
    .fetch_one(pool)
    .await?;
    order_id(&row, "new_order")
}

/// Notes in ended orders which were made of them, and that nobody has to look at their late money any more.
pub(crate) async fn mark(
    tx: &mut PgConnection,
    again: &[(OrderId, OrderId, &str)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    for (old, new, who) in again {
        sqlx::query(
            "with closed as (
                 update exception set closed_at = $3, closed_by = $4
                 where order_id = $1 and kind = 'late_money_held' and closed_at is null)
             update orders set reinstated_as = $2 where id = $1",
        )
        .bind(uuid(*old))
        .bind(uuid(*new))
        .bind(OffsetDateTime::from(now))
        .bind(*who)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// The late money of ended orders pays these now: nothing is left of it there, whatever is still told.
pub(crate) async fn empty_what_paid(tx: &mut PgConnection, orders: &[OrderId]) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update orders old set
             payment = jsonb_build_object('status', 'cancelled', 'amounts', (
                 select jsonb_object_agg(key, jsonb_set(value, '{amount}', '0')) from jsonb_each(old.payment -> 'amounts'))),
             payment_revision = 9223372036854775807
         from orders new where new.id = any($1) and old.id = new.reinstates",
    )
    .bind(uuids(orders))
    .execute(tx)
    .await?;
    Ok(())
}
