//! The change log: positions for committed views, pages of it, digests.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    catalog::ViewEntry,
    message::catalog::{DigestsAnswer, ViewsPage},
};
use sqlx::{PgConnection, PgPool, Row as _};
use time::OffsetDateTime;

use crate::limits::{SEQUENCE_BATCH_MAX, VIEWS_PAGE_BYTES_MAX};

/// What a run of the sequencer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequenced {
    /// The last position.
    pub(crate) head: i64,
    /// Views that got one.
    pub(crate) given: i64,
}

/// Gives committed views their positions, dense and in one order. `None` while another process does.
///
/// Rows that a transaction is changing right now are passed over: they get a position after its commit.
pub(crate) async fn sequence(connection: &mut PgConnection, now: Timestamp) -> Result<Option<Sequenced>, sqlx::Error> {
    let head: Option<i64> =
        sqlx::query_scalar("select head from feed for update skip locked").fetch_optional(&mut *connection).await?;
    let Some(head) = head else { return Ok(None) };
    // Index: view_pending.
    let given = sqlx::query(
        "with pending as (
            select kind, key from view where position is null order by kind, key limit $2 for update skip locked),
         numbered as (select kind, key, row_number() over (order by kind, key) as n from pending)
         update view set position = $1 + n, deleted_at = case when deleted then $3::timestamptz end from numbered where view.kind = numbered.kind and view.key = numbered.key",
    )
    .bind(head)
    .bind(SEQUENCE_BATCH_MAX)
    .bind(OffsetDateTime::from(now))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let given = i64::try_from(given).unwrap_or(0);
    if given > 0 {
        sqlx::query("update feed set head = $1").bind(head + given).execute(connection).await?;
    }
    Ok(Some(Sequenced { head: head + given, given }))
}

/// Views after a position. One statement, so that head and entries are of one moment.
pub(crate) async fn page(pool: &PgPool, after: i64, limit: u32, live_only: bool) -> Result<ViewsPage, sqlx::Error> {
    // Index: view_position.
    let rows = sqlx::query(
        "select f.head, f.epoch, f.horizon, v.position, v.kind, v.key, v.version, v.body::text
         from feed f left join lateral (
            select * from (
                select w.*, sum(bytes) over (order by position) - bytes as before
                from (select position, kind, key, version, body, bytes from view
                      where position > $1 and not (deleted and $3) order by position limit $2) w) x
            where before < $4) v on true
         order by v.position",
    )
    .bind(after)
    .bind(i64::from(limit))
    .bind(live_only)
    .bind(VIEWS_PAGE_BYTES_MAX)
    .fetch_all(pool)
    .await?;
    let mut page = ViewsPage { entries: Vec::with_capacity(rows.len()), head: 0, epoch: String::new(), horizon: 0 };
    for row in &rows {
        page.head = row.try_get(0)?;
        page.epoch = row.try_get(1)?;
        page.horizon = row.try_get(2)?;
        let Some(position) = row.try_get::<Option<i64>, _>(3)? else { continue };
        let body: Option<String> = row.try_get(7)?;
        let body = body.map(|text| serde_json::from_str(&text)).transpose();
        let body = body.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let entry = ViewEntry { kind: row.try_get(4)?, key: row.try_get(5)?, version: row.try_get(6)?, body };
        page.entries.push((position, entry));
    }
    Ok(page)
}

/// Digests of all kinds at the head; `None` while a change waits for its position, because the state before it is gone.
pub(crate) async fn digests(pool: &PgPool) -> Result<Option<DigestsAnswer>, sqlx::Error> {
    let rows = sqlx::query(
        "select f.head, f.epoch, d.kind, d.keys, d.digest, d.pending
         from feed f left join (
            select kind, count(*) filter (where not deleted) as keys, bool_or(position is null) as pending,
                   mod(mod(sum(digest::numeric), 18446744073709551616) + 18446744073709551616,
                       18446744073709551616)::text as digest
            from view group by kind) d on true",
    )
    .fetch_all(pool)
    .await?;
    let mut answer = DigestsAnswer { position: 0, epoch: String::new(), kinds: BTreeMap::new() };
    for row in &rows {
        answer.position = row.try_get(0)?;
        answer.epoch = row.try_get(1)?;
        let Some(kind) = row.try_get::<Option<String>, _>(2)? else { continue };
        if row.try_get(5)? {
            return Ok(None);
        }
        let digest: u64 = row.try_get::<String, _>(4)?.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        answer.kinds.insert(kind, (row.try_get(3)?, format!("{digest:016x}")));
    }
    Ok(Some(answer))
}

/// Forgets deletions that were made before a moment, and from then on does not tell them: the horizon moves up to the
/// last of them. Gives their number.
///
/// A key that is made again after that begins at version 1, in no generation of any edge's snapshot: whoever was behind
/// the horizon begins anew.
pub(crate) async fn forget_deletions(
    connection: &mut PgConnection,
    before: Timestamp,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    // The sequencer's lock: the horizon moves while nobody gives positions.
    sqlx::query("select from feed for update").execute(&mut *connection).await?;
    // Index: view_deleted.
    let forgotten: Option<i64> = sqlx::query_scalar(
        "with old as (
            select kind, key from view where deleted and deleted_at < $1 and position is not null
            order by kind, key limit $2 for update skip locked),
         gone as (
            delete from view using old where view.kind = old.kind and view.key = old.key returning position),
         moved as (
            update feed set horizon = greatest(horizon, (select max(position) from gone))
            where exists (select from gone))
         select count(*) from gone",
    )
    .bind(OffsetDateTime::from(before))
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok(forgotten.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// Begins another epoch: positions that edges have mean nothing any more, and each gets a snapshot. What follows a
/// restore of the database.
pub(crate) async fn renew_epoch(connection: &mut PgConnection, epoch: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update feed set epoch = $1").bind(epoch).execute(connection).await.map(|_| ())
}
