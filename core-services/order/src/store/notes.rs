//! SQL of notes: written once, emptied when their order's buyer is forgotten.

use bodega_domain::{
    Timestamp,
    id::{MerchantId, NoteId, OrderId},
    message::note::Note,
};
use sqlx::{PgConnection, PgExecutor, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{timestamp, uuid};

/// Writes a note. `false` when the order has as many as it may have; its row is locked by the caller.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    order: OrderId,
    note: &Note,
    at: Timestamp,
    most: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "insert into note (id, order_id, merchant, who, at, text)
         select $1, $2, $3, $4, $5, $6 where (select count(*) from note where order_id = $2) < $7",
    )
    .bind(Uuid::from_u128(note.id.as_u128()))
    .bind(uuid(order))
    .bind(note.merchant.map(|merchant| Uuid::from_u128(merchant.as_u128())))
    .bind(&note.who)
    .bind(OffsetDateTime::from(at))
    .bind(&note.text)
    .bind(most)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The notes of an order, oldest first; of these merchants only, or of everybody when none is named.
pub(crate) async fn of(
    executor: impl PgExecutor<'_>,
    order: OrderId,
    merchants: Option<&[MerchantId]>,
) -> Result<Vec<Note>, sqlx::Error> {
    // Index: note_of_order.
    let rows = sqlx::query(
        "select id, merchant, who, at, text from note
         where order_id = $1 and ($2::uuid[] is null or merchant = any($2)) order by at, id",
    )
    .bind(uuid(order))
    .bind(merchants.map(|all| all.iter().map(|merchant| Uuid::from_u128(merchant.as_u128())).collect::<Vec<_>>()))
    .fetch_all(executor)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Note, sqlx::Error> {
    let merchant: Option<Uuid> = row.try_get("merchant")?;
    Ok(Note {
        id: NoteId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
        at: timestamp(row, "at")?,
        who: row.try_get("who")?,
        merchant: merchant.map(|id| MerchantId::from_u128(id.as_u128())),
        text: row.try_get("text")?,
    })
}
