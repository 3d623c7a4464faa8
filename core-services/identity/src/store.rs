//! All SQL of identity.

pub(crate) mod changes;
pub(crate) mod deletion;

use bodega_domain::{
    Timestamp,
    address::Address,
    id::{AccountId, MerchantId, SessionId},
    message::identity::AccountView,
    token::Role,
};
use sqlx::{PgConnection, PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::session::{Issue, deny_until};

/// The round of the token that a session is opened with.
const FIRST_ROUND: i32 = 1;

/// An account with its profile.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct AccountRow {
    pub(crate) id: Uuid,
    pub(crate) password: Option<String>,
    pub(crate) roles: Json<Vec<Role>>,
    pub(crate) cart_secret: Vec<u8>,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) address: Option<Json<Address>>,
    pub(crate) stock_mails: bool,
}

impl AccountRow {
    /// As its owner sees it.
    pub(crate) fn view(self) -> AccountView {
        let for_merchants = self.roles.0.iter().any(|role| matches!(role, Role::Merchant(_)));
        AccountView {
            id: AccountId::from_u128(self.id.as_u128()),
            email: self.email,
            name: self.name,
            roles: self.roles.0,
            address: self.address.map(|address| address.0),
            stock_mails: for_merchants.then_some(self.stock_mails),
        }
    }
}

/// A refresh token with its session, locked.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct RefreshRow {
    pub(crate) session: Uuid,
    pub(crate) account: Uuid,
    /// The token's round.
    pub(crate) round: i32,
    /// The session's.
    pub(crate) current: i32,
    pub(crate) round_began: OffsetDateTime,
    pub(crate) ended: Option<OffsetDateTime>,
    pub(crate) refresh_expires: OffsetDateTime,
}

fn uuid_of(session: SessionId) -> Uuid {
    Uuid::from_u128(session.as_u128())
}

/// Writes a new account. A taken e-mail violates `profile_email`.
pub(crate) async fn insert_account(
    connection: &mut PgConnection,
    account: &AccountRow,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into account (id, password, roles, cart_secret, created) values ($1, $2, $3, $4, $5)")
        .bind(account.id)
        .bind(&account.password)
        .bind(&account.roles)
        .bind(&account.cart_secret)
        .bind(OffsetDateTime::from(now))
        .execute(&mut *connection)
        .await?;
    sqlx::query("insert into profile (account, email, name, address) values ($1, $2, $3, $4)")
        .bind(account.id)
        .bind(&account.email)
        .bind(&account.name)
        .bind(&account.address)
        .execute(connection)
        .await
        .map(|_| ())
}

/// The account of an e-mail, whatever its case.
pub(crate) async fn by_email(
    executor: impl sqlx::PgExecutor<'_>,
    email: &str,
) -> Result<Option<AccountRow>, sqlx::Error> {
    // Index: profile_email.
    sqlx::query_as(
        "select id, password, roles, cart_secret, email, name, address, stock_mails
         from profile join account on account.id = profile.account where lower(email) = lower($1)",
    )
    .bind(email)
    .fetch_optional(executor)
    .await
}

/// An account by its id.
pub(crate) async fn by_id(executor: impl sqlx::PgExecutor<'_>, id: Uuid) -> Result<Option<AccountRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, password, roles, cart_secret, email, name, address, stock_mails
         from account join profile on profile.account = account.id where id = $1",
    )
    .bind(id)
    .fetch_optional(executor)
    .await
}

/// Accounts after an id, by id.
pub(crate) async fn page(pool: &PgPool, after: Uuid, limit: i64) -> Result<Vec<AccountRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, password, roles, cart_secret, email, name, address, stock_mails
         from account join profile on profile.account = account.id where id > $1 order by id limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Changes what is given of a profile.
pub(crate) async fn update_profile(
    pool: &PgPool,
    account: Uuid,
    name: Option<&str>,
    address: Option<&Address>,
    stock_mails: Option<bool>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update profile set name = coalesce($2, name), address = coalesce($3, address),
                stock_mails = coalesce($4, stock_mails)
         where account = $1",
    )
    .bind(account)
    .bind(name)
    .bind(address.map(Json))
    .bind(stock_mails)
    .execute(pool)
    .await
    .map(|_| ())
}

/// Those who act for a merchant, the oldest accounts first.
pub(crate) async fn staff_of(pool: &PgPool, merchant: MerchantId, limit: i64) -> Result<Vec<AccountRow>, sqlx::Error> {
    // Index: account_staff.
    sqlx::query_as(
        "select id, password, roles, cart_secret, email, name, address, stock_mails
         from account join profile on profile.account = account.id where roles <> '[]' and roles @> $1
         order by id limit $2",
    )
    .bind(Json([Role::Merchant(merchant)]))
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Whether an account still has this password, and keeps it until the end of the transaction.
pub(crate) async fn keep_account(connection: &mut PgConnection, known: &AccountRow) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query("select from account where id = $1 and password = $2 for share")
        .bind(known.id)
        .bind(&known.password)
        .fetch_optional(connection)
        .await?;
    Ok(kept.is_some())
}

/// Writes what an admin may change of an account. `false` when it was deleted meanwhile; then nothing may be committed.
pub(crate) async fn update_account(connection: &mut PgConnection, account: &AccountRow) -> Result<bool, sqlx::Error> {
    sqlx::query("update account set password = $2, roles = $3 where id = $1")
        .bind(account.id)
        .bind(&account.password)
        .bind(&account.roles)
        .execute(&mut *connection)
        .await?;
    let named = sqlx::query("update profile set name = $2 where account = $1")
        .bind(account.id)
        .bind(&account.name)
        .execute(connection)
        .await?;
    Ok(named.rows_affected() == 1)
}

/// Counts an attempt to sign in and gives their number in the window, this one included.
pub(crate) async fn count_attempt(
    pool: &PgPool,
    who: &[u8],
    now: Timestamp,
    window_began: Timestamp,
) -> Result<(i32, Timestamp), sqlx::Error> {
    let (attempts, since): (i32, OffsetDateTime) = sqlx::query_as(
        "insert into sign_in_attempts as a (who, since, attempts) values ($1, $2, 1)
         on conflict (who) do update set
            attempts = case when a.since < $3 then 1 else a.attempts + 1 end,
            since = case when a.since < $3 then excluded.since else a.since end
         returning attempts, since",
    )
    .bind(who)
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(window_began))
    .fetch_one(pool)
    .await?;
    Ok((attempts, since.into()))
}

/// Forgets the attempts after one that succeeded.
pub(crate) async fn forget_attempts(connection: &mut PgConnection, who: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query("delete from sign_in_attempts where who = $1").bind(who).execute(connection).await.map(|_| ())
}

/// Opens a session.
pub(crate) async fn open_session(
    connection: &mut PgConnection,
    account: Uuid,
    issue: &Issue,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into session (id, account, opened, token_expires, refresh_expires, round, round_began)
         values ($1, $2, $3, $4, $5, $6, $3)",
    )
    .bind(uuid_of(issue.session))
    .bind(account)
    .bind(OffsetDateTime::from(issue.now))
    .bind(OffsetDateTime::from(issue.token_expires))
    .bind(OffsetDateTime::from(issue.refresh_expires))
    .bind(FIRST_ROUND)
    .execute(&mut *connection)
    .await?;
    insert_refresh(connection, issue, FIRST_ROUND).await
}

async fn insert_refresh(connection: &mut PgConnection, issue: &Issue, round: i32) -> Result<(), sqlx::Error> {
    sqlx::query("insert into refresh (hash, session, round) values ($1, $2, $3)")
        .bind(issue.refresh_hash.as_slice())
        .bind(uuid_of(issue.session))
        .bind(round)
        .execute(connection)
        .await
        .map(|_| ())
}

/// A refresh token with its session. The session's row is locked first and read after, so that of two uses at once the
/// second one sees the first.
pub(crate) async fn lock_refresh(
    connection: &mut PgConnection,
    hash: &[u8; 32],
) -> Result<Option<RefreshRow>, sqlx::Error> {
    sqlx::query("select from session where id = (select session from refresh where hash = $1) for update")
        .bind(hash.as_slice())
        .execute(&mut *connection)
        .await?;
    sqlx::query_as(
        "select session, account, refresh.round, session.round as current, round_began, ended, refresh_expires
         from refresh join session on session.id = refresh.session where hash = $1",
    )
    .bind(hash.as_slice())
    .fetch_optional(connection)
    .await
}

/// The session of a refresh token, of whichever round.
pub(crate) async fn session_of_refresh(pool: &PgPool, hash: &[u8; 32]) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select session from refresh where hash = $1").bind(hash.as_slice()).fetch_optional(pool).await
}

/// Gives a session its next tokens in a round, which begins now when it is a new one.
pub(crate) async fn carry_on(connection: &mut PgConnection, issue: &Issue, round: i32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update session set token_expires = $2, refresh_expires = $3,
            round_began = case when round < $4 then $5 else round_began end, round = greatest(round, $4) where id = $1",
    )
    .bind(uuid_of(issue.session))
    .bind(OffsetDateTime::from(issue.token_expires))
    .bind(OffsetDateTime::from(issue.refresh_expires))
    .bind(round)
    .bind(OffsetDateTime::from(issue.now))
    .execute(&mut *connection)
    .await?;
    insert_refresh(connection, issue, round).await
}

/// Sessions that an ending is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    One(Uuid),
    AllOf(Uuid),
}

/// Ends sessions and puts those whose token still counts on the deny list. Gives these with the time until which.
pub(crate) async fn end_sessions(
    connection: &mut PgConnection,
    which: Which,
    now: Timestamp,
) -> Result<Vec<(SessionId, Timestamp)>, sqlx::Error> {
    let (session, account) = match which {
        Which::One(session) => (Some(session), None),
        Which::AllOf(account) => (None, Some(account)),
    };
    let ended: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(
        "with live as (
            select id from session where (id = $1 or account = $2) and ended is null order by id for update)
         update session set ended = $3 from live where session.id = live.id returning session.id, token_expires",
    )
    .bind(session)
    .bind(account)
    .bind(OffsetDateTime::from(now))
    .fetch_all(&mut *connection)
    .await?;
    let denied: Vec<(SessionId, Timestamp)> = ended
        .into_iter()
        .map(|(id, expires)| (SessionId::from_u128(id.as_u128()), deny_until(expires.into())))
        .filter(|(_, until)| *until > now)
        .collect();
    if denied.is_empty() {
        return Ok(denied);
    }
    // Held until the commit: positions become visible in their order.
    let head: i64 = sqlx::query_scalar("select head from revocations for update").fetch_one(&mut *connection).await?;
    sqlx::query(
        "insert into revoked (position, session, until)
         select $1 + row_number() over (order by session), session, until
         from unnest($2::uuid[], $3::timestamptz[]) as r (session, until)
         on conflict (session) do nothing",
    )
    .bind(head)
    .bind(denied.iter().map(|(session, _)| uuid_of(*session)).collect::<Vec<_>>())
    .bind(denied.iter().map(|(_, until)| OffsetDateTime::from(*until)).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query("update revocations set head = $1")
        .bind(head + i64::try_from(denied.len()).unwrap_or(0))
        .execute(connection)
        .await?;
    Ok(denied)
}

/// The deny list after a position.
pub(crate) async fn revoked(
    pool: &PgPool,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, SessionId, Timestamp)>, sqlx::Error> {
    let rows: Vec<(i64, Uuid, OffsetDateTime)> =
        sqlx::query_as("select position, session, until from revoked where position > $1 order by position limit $2")
            .bind(after)
            .bind(limit)
            .fetch_all(pool)
            .await?;
    let entry = |(position, session, until): (i64, Uuid, OffsetDateTime)| {
        (position, SessionId::from_u128(session.as_u128()), until.into())
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// Deletes what has lost its meaning.
pub(crate) async fn sweep(pool: &PgPool, now: Timestamp, attempts_before: Timestamp) -> Result<(), sqlx::Error> {
    let now = OffsetDateTime::from(now);
    // Indexes: revoked_until, session_refresh_expires, sign_in_attempts_since.
    sqlx::query("delete from revoked where until < $1").bind(now).execute(pool).await?;
    sqlx::query("delete from session where refresh_expires < $1").bind(now).execute(pool).await?;
    sqlx::query("delete from sign_in_attempts where since < $1")
        .bind(OffsetDateTime::from(attempts_before))
        .execute(pool)
        .await
        .map(|_| ())
}
