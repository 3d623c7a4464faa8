//! All SQL of carts.

use std::collections::BTreeMap;

use bodega_domain::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// A cart as it is kept. An empty state is a cart that was never written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) state: Vec<u8>,
    pub(crate) account: Option<Uuid>,
    /// How often it was changed.
    pub(crate) version: u64,
}

/// A row's columns `state, account, version`.
type Columns = (Vec<u8>, Option<Uuid>, i64);

impl From<Columns> for Row {
    fn from((state, account, version): Columns) -> Self {
        // A CHECK keeps the column from being negative.
        Self { state, account, version: version.unsigned_abs() }
    }
}

/// One cart.
pub(crate) async fn read(pool: &PgPool, cart: &str) -> Result<Option<Row>, sqlx::Error> {
    let row: Option<Columns> = sqlx::query_as("select state, account, version from cart where cart = $1")
        .bind(cart)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(Row::from))
}

/// Makes sure that these carts are there, and locks and reads them. `carts` is sorted, so that transactions wait for
/// each other instead of deadlocking.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    carts: &[&str],
    now: Timestamp,
) -> Result<BTreeMap<String, Row>, sqlx::Error> {
    sqlx::query(
        "insert into cart (cart, state, updated) select cart, '', $2 from unnest($1::text[]) as cart
         on conflict do nothing",
    )
    .bind(carts)
    .bind(OffsetDateTime::from(now))
    .execute(&mut *connection)
    .await?;
    // A new statement sees what others committed while this one waited.
    let rows: Vec<(String, Vec<u8>, Option<Uuid>, i64)> =
        sqlx::query_as("select cart, state, account, version from cart where cart = any($1) order by cart for update")
            .bind(carts)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(cart, state, account, version)| (cart, (state, account, version).into())).collect())
}

/// Notes guests' carts as adopted and gives back those that were not before. `guests` is sorted.
pub(crate) async fn note_adopted(
    connection: &mut PgConnection,
    guests: &[&str],
    now: Timestamp,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "insert into adopted (guest, adopted_at) select guest, $2 from unnest($1::text[]) as guest
         on conflict do nothing returning guest",
    )
    .bind(guests)
    .bind(OffsetDateTime::from(now))
    .fetch_all(connection)
    .await
}

/// Writes carts that are locked; each one's version is one more than before.
pub(crate) async fn write(
    connection: &mut PgConnection,
    carts: &[(&str, &Row)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update cart set state = n.state, account = n.account, version = version + 1, updated = $4
         from unnest($1::text[], $2::bytea[], $3::uuid[]) as n (cart, state, account) where cart.cart = n.cart",
    )
    .bind(carts.iter().map(|(cart, _)| *cart).collect::<Vec<_>>())
    .bind(carts.iter().map(|(_, row)| row.state.as_slice()).collect::<Vec<_>>())
    .bind(carts.iter().map(|(_, row)| row.account).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(connection)
    .await
    .map(|_| ())
}

/// Deletes guests' carts that nobody touched since, and notes of adoption as old. Gives the number of carts.
pub(crate) async fn delete_abandoned(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, sqlx::Error> {
    let before = OffsetDateTime::from(before);
    // Indexes: cart_abandoned, adopted_old.
    let carts = sqlx::query(
        "delete from cart where cart in (
            select cart from cart where account is null and updated < $1 order by cart limit $2 for update skip locked)",
    )
    .bind(before)
    .bind(limit)
    .execute(pool)
    .await?;
    sqlx::query("delete from adopted where guest in (select guest from adopted where adopted_at < $1 limit $2)")
        .bind(before)
        .bind(limit)
        .execute(pool)
        .await?;
    Ok(carts.rows_affected())
}
