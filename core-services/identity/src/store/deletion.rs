//! `deletion`: accounts that are gone, and what has to be asked for because of it.

use bodega_domain::{Timestamp, id::AccountId, token::Role};
use sqlx::{PgConnection, PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

/// What decides about an account, locked.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct LockedAccount {
    pub(crate) password: Option<String>,
    pub(crate) roles: Json<Vec<Role>>,
}

/// An account. Whoever opens a session or changes roles locks this row too.
pub(crate) async fn lock(connection: &mut PgConnection, account: Uuid) -> Result<Option<LockedAccount>, sqlx::Error> {
    sqlx::query_as("select password, roles from account where id = $1 for update")
        .bind(account)
        .fetch_optional(connection)
        .await
}

/// Takes everything personal away from a locked account, and notes what has to be asked for.
pub(crate) async fn delete(connection: &mut PgConnection, account: Uuid, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("delete from profile where account = $1").bind(account).execute(&mut *connection).await?;
    sqlx::query("update account set password = null where id = $1").bind(account).execute(&mut *connection).await?;
    sqlx::query("insert into deletion (account, asked, due) values ($1, $2, $2) on conflict do nothing")
        .bind(account)
        .bind(OffsetDateTime::from(now))
        .execute(connection)
        .await
        .map(|_| ())
}

/// A deletion that the order service has to hear of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) account: AccountId,
    pub(crate) asked: Timestamp,
}

/// Takes deletions that are due, so many at most. Each is due again after a pause of so many seconds, doubled with each
/// try up to a longest one: who takes it may die.
pub(crate) async fn take(
    pool: &PgPool,
    now: Timestamp,
    (pause_s, pause_max_s): (i64, i64),
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    // Index: deletion_due.
    let rows: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(
        "update deletion set
             tries = tries + 1,
             due = $1 + least($2 * (1 << least(tries, 16)), $3) * interval '1 second'
         where account in (
             select account from deletion where done is null and due <= $1
             order by due limit $4 for update skip locked)
         returning account, asked",
    )
    .bind(OffsetDateTime::from(now))
    .bind(pause_s)
    .bind(pause_max_s)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let due = |(account, asked): (Uuid, OffsetDateTime)| Due {
        account: AccountId::from_u128(account.as_u128()),
        asked: asked.into(),
    };
    Ok(rows.into_iter().map(due).collect())
}

/// The order service has heard: done, or to be asked once more then.
pub(crate) async fn heard(
    pool: &PgPool,
    account: AccountId,
    now: Timestamp,
    again: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update deletion set
             tries = 0, due = coalesce($3, due), done = case when $3::timestamptz is null then $2 else done end
         where account = $1",
    )
    .bind(Uuid::from_u128(account.as_u128()))
    .bind(OffsetDateTime::from(now))
    .bind(again.map(OffsetDateTime::from))
    .execute(pool)
    .await
    .map(|_| ())
}
