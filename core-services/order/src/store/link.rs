//! SQL of guests' order links, and of orders that pass from a guest to an account.

use bodega_domain::{Timestamp, id::OrderId};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{uuid, uuids};

/// Orders of one guest that are adopted at once, at most: the newest.
const ADOPTED_MAX: i64 = 200;

/// The next generation of an order's link.
pub(crate) async fn renew(tx: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query("update orders set link_generation = link_generation + 1 where id = $1")
        .bind(uuid(order))
        .execute(tx)
        .await?;
    Ok(())
}

/// The e-mail that an order was placed with, unless it was forgotten.
pub(crate) async fn email(pool: &PgPool, order: OrderId) -> Result<Option<String>, sqlx::Error> {
    let email: Option<Option<String>> = sqlx::query_scalar("select email from contact where order_id = $1")
        .bind(uuid(order))
        .fetch_optional(pool)
        .await?;
    Ok(email.flatten())
}

/// Counts a try to tell an order's e-mail, and says how many there have been; those begun before `since` are forgotten.
pub(crate) async fn count_try(
    pool: &PgPool,
    order: OrderId,
    now: Timestamp,
    since: Timestamp,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar(
        "insert into link_guess as g (order_id, since, wrong) values ($1, $2, 1)
         on conflict (order_id) do update
            set wrong = case when g.since <= $3 then 1 else least(g.wrong, 1000000) + 1 end,
                since = case when g.since <= $3 then $2 else g.since end
         returning wrong",
    )
    .bind(uuid(order))
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(since))
    .fetch_one(pool)
    .await
}

/// Forgets the tries: the last one was right.
pub(crate) async fn forget_tries(pool: &PgPool, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query("delete from link_guess where order_id = $1").bind(uuid(order)).execute(pool).await?;
    Ok(())
}

/// A guest's orders whose e-mail is still known, with it.
pub(crate) async fn with_email(pool: &PgPool, guest: &str) -> Result<Vec<(OrderId, String)>, sqlx::Error> {
    // Index: orders_of_owner.
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select o.id, c.email from orders o join contact c on c.order_id = o.id
         where o.owner = $1 and c.email is not null order by o.placed_at desc, o.id desc limit $2",
    )
    .bind(guest)
    .bind(ADOPTED_MAX)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(id, email)| (OrderId::from_u128(id.as_u128()), email)).collect())
}

/// Makes those of these orders an account's that are still this guest's, and says which.
pub(crate) async fn take_over(
    tx: &mut PgConnection,
    orders: &[OrderId],
    guest: &str,
    account: &str,
) -> Result<Vec<OrderId>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    // Locked in the order of their ids, as sagas lock them.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "update orders set owner = $3 where id in
            (select id from orders where id = any($1) and owner = $2 order by id for update)
         returning id",
    )
    .bind(uuids(orders))
    .bind(guest)
    .bind(account)
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}
