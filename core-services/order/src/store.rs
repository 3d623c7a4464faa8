//! All SQL of the order service. Lock order everywhere: keys, claims, orders with their sagas,
//! what moves of them (lines, shipments, returns, runs), quotas; each sorted.

pub(crate) mod exceptions;
pub(crate) mod forget;
pub(crate) mod link;
pub(crate) mod notes;
pub(crate) mod place;
pub(crate) mod quotas;
pub(crate) mod read;
pub(crate) mod reinstate;
pub(crate) mod runs;
pub(crate) mod saga;
pub(crate) mod units;

use bodega_domain::{Timestamp, id::OrderId};
use sqlx::{Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) fn uuid(order: OrderId) -> Uuid {
    Uuid::from_u128(order.as_u128())
}

pub(crate) fn uuids(orders: &[OrderId]) -> Vec<Uuid> {
    orders.iter().copied().map(uuid).collect()
}

pub(crate) fn order_id(row: &PgRow, column: &str) -> Result<OrderId, sqlx::Error> {
    Ok(OrderId::from_u128(row.try_get::<Uuid, _>(column)?.as_u128()))
}

pub(crate) fn timestamp(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Ok(row.try_get::<OffsetDateTime, _>(column)?.into())
}

/// Reads a text column through serde, as it is written.
pub(crate) fn word<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

pub(crate) fn json<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: serde::de::DeserializeOwned + Send + Unpin + 'static,
{
    Ok(row.try_get::<Json<T>, _>(column)?.0)
}

/// Whether a statement was cancelled because it took too long.
pub(crate) fn timed_out(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "57014")
}

/// One entry of the append-only history.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) order: OrderId,
    pub(crate) what: &'static str,
    pub(crate) who: String,
    pub(crate) data: serde_json::Value,
}

/// Appends to the history of many orders.
pub(crate) async fn append_history(
    tx: &mut sqlx::PgConnection,
    entries: &[Entry],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into history (order_id, at, what, who, data)
         select o, $5, w, b, d from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) as t(o, w, b, d)",
    )
    .bind(entries.iter().map(|e| uuid(e.order)).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.what).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| e.who.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|e| Json(&e.data)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}
