//! `role_change`: written once.

use bodega_domain::{Timestamp, id::AccountId, message::identity::RoleChange, token::Role};
use sqlx::{PgConnection, PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::AccountRow;

/// Notes that an account was made, or got other roles or another password, in the transaction that does it.
pub(crate) async fn note(
    connection: &mut PgConnection,
    who: &str,
    before: Option<&AccountRow>,
    after: &AccountRow,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let password = after.password.is_some() && before.is_none_or(|before| before.password != after.password);
    if !password && before.is_some_and(|before| before.roles.0 == after.roles.0) {
        return Ok(());
    }
    sqlx::query("insert into role_change (at, account, who, before, after, password) values ($1, $2, $3, $4, $5, $6)")
        .bind(OffsetDateTime::from(now))
        .bind(after.id)
        .bind(who)
        .bind(before.map(|before| &before.roles))
        .bind(&after.roles)
        .bind(password)
        .execute(connection)
        .await
        .map(|_| ())
}

type Row = (i64, OffsetDateTime, Uuid, String, Option<Json<Vec<Role>>>, Json<Vec<Role>>, bool);

/// Changes with their positions, newest first, before a position.
pub(crate) async fn page(
    pool: &PgPool,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<(i64, RoleChange)>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select n, at, account, who, before, after, password from role_change
         where $1::bigint is null or n < $1 order by n desc limit $2",
    )
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let read = |(n, at, account, who, before, after, password): Row| {
        let account = AccountId::from_u128(account.as_u128());
        let before = before.map(|roles| roles.0);
        (n, RoleChange { at: at.into(), account, who, before, after: after.0, password })
    };
    Ok(rows.into_iter().map(read).collect())
}
