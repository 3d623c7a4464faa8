//! All SQL of notification.

pub(crate) mod stock;

use bodega_domain::{
    Timestamp,
    id::{MailId, OrderId},
    message::notification::{MailKind, MailState, MailView},
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

/// A mail that is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewMail {
    pub(crate) id: Uuid,
    pub(crate) order: OrderId,
    pub(crate) kind: MailKind,
    pub(crate) about: Option<Uuid>,
    pub(crate) pieces: Vec<(String, u32)>,
    pub(crate) due: Timestamp,
}

/// A mail with what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) about: Option<Uuid>,
    pub(crate) pieces: Vec<(String, u32)>,
    pub(crate) view: MailView,
}

fn word<T: for<'de> serde::Deserialize<'de>>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    T::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&text))
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

fn read(row: &PgRow) -> Result<Mail, sqlx::Error> {
    let sent_at: Option<OffsetDateTime> = row.try_get("sent_at")?;
    let pieces: Option<Json<Vec<(String, u32)>>> = row.try_get("pieces")?;
    Ok(Mail {
        about: row.try_get("about")?,
        pieces: pieces.map(|pieces| pieces.0).unwrap_or_default(),
        view: MailView {
            id: MailId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
            order: OrderId::from_u128(row.try_get::<Uuid, _>("order_id")?.as_u128()),
            kind: word(row, "kind")?,
            state: word(row, "state")?,
            attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or(0),
            created_at: row.try_get::<OffsetDateTime, _>("created_at")?.into(),
            sent_at: sent_at.map(Timestamp::from),
            reason: row.try_get("reason")?,
        },
    })
}

/// Writes mails that are due. One event is one mail.
pub(crate) async fn insert(tx: &mut PgConnection, mails: &[NewMail], now: Timestamp) -> Result<(), sqlx::Error> {
    if mails.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into mail (id, order_id, kind, about, pieces, state, due, created_at)
         select i, o, k, a, p, 'due', d, $6
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $7::jsonb[]) as t (i, o, k, a, d, p)
         order by i on conflict do nothing",
    )
    .bind(mails.iter().map(|mail| mail.id).collect::<Vec<_>>())
    .bind(mails.iter().map(|mail| Uuid::from_u128(mail.order.as_u128())).collect::<Vec<_>>())
    .bind(mails.iter().map(|mail| mail.kind.as_str()).collect::<Vec<_>>())
    .bind(mails.iter().map(|mail| mail.about).collect::<Vec<_>>())
    .bind(mails.iter().map(|mail| OffsetDateTime::from(mail.due)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .bind(mails.iter().map(|mail| (!mail.pieces.is_empty()).then_some(Json(&mail.pieces))).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes mails that are due, so that no other process takes them for a while.
pub(crate) async fn lease(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Mail>, sqlx::Error> {
    // Index: mail_due. Skipping locked rows is fine: whoever holds them is sending them.
    let rows = sqlx::query(
        "update mail set due = $2, attempts = attempts + 1 where id in
            (select id from mail where due <= $1 order by due limit $3 for update skip locked)
         returning *",
    )
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(until))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

/// Writes what became of a mail, and when it is tried again.
pub(crate) async fn end(
    pool: &PgPool,
    id: MailId,
    state: MailState,
    reason: Option<&str>,
    due: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update mail set state = $2, reason = $3, due = $4, sent_at = case when $2 = 'sent' then $5 else sent_at end
         where id = $1",
    )
    .bind(Uuid::from_u128(id.as_u128()))
    .bind(state.as_str())
    .bind(reason)
    .bind(due.map(OffsetDateTime::from))
    .bind(OffsetDateTime::from(now))
    .execute(pool)
    .await?;
    Ok(())
}

/// Makes a mail due again, with all its tries. None when there is no such mail.
pub(crate) async fn again(pool: &PgPool, id: MailId, now: Timestamp) -> Result<Option<Mail>, sqlx::Error> {
    let row = sqlx::query(
        "update mail set state = 'due', due = $2, attempts = 0, created_at = $2, reason = null where id = $1 returning *",
    )
    .bind(Uuid::from_u128(id.as_u128()))
    .bind(OffsetDateTime::from(now))
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(read).transpose()
}

/// A page of mails, newest first, after a position.
pub(crate) async fn page(
    pool: &PgPool,
    order: Option<OrderId>,
    state: Option<MailState>,
    after: Option<(Timestamp, MailId)>,
    limit: i64,
) -> Result<Vec<Mail>, sqlx::Error> {
    let (at, id) = after.unwrap_or((Timestamp::MAX, MailId::from_u128(u128::MAX)));
    // Index: mail_recent, or mail_of_order.
    let rows = sqlx::query(
        "select * from mail where (created_at, id) < ($1, $2) and ($3::uuid is null or order_id = $3)
           and ($4::text is null or state = $4)
         order by created_at desc, id desc limit $5",
    )
    .bind(OffsetDateTime::from(at))
    .bind(Uuid::from_u128(id.as_u128()))
    .bind(order.map(|order| Uuid::from_u128(order.as_u128())))
    .bind(state.map(MailState::as_str))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}
