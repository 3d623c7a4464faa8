//! SQL of the sagas that are tables: begun with what they are about, locked, led on, leased when they are due.

use bodega_domain::{
    Failure, Timestamp,
    id::OrderId,
    saga::table::{Run, Way},
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{json, order_id, timestamp, uuid, word};
use crate::runs::Work;

/// A run with what it is about.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    pub(crate) id: Uuid,
    pub(crate) order: OrderId,
    pub(crate) run: Run,
    pub(crate) work: Work,
    /// Why it goes back or is parked.
    pub(crate) reason: Option<Failure>,
    pub(crate) attempts: i32,
    pub(crate) begun_at: Timestamp,
    /// Whose key began it.
    pub(crate) who: String,
    pub(crate) key: String,
}

fn stored(row: &PgRow) -> Result<StoredRun, sqlx::Error> {
    let reason: Option<Json<Failure>> = row.try_get("reason")?;
    Ok(StoredRun {
        id: row.try_get("id")?,
        order: order_id(row, "order_id")?,
        run: Run {
            kind: word(row, "kind")?,
            at: u16::try_from(row.try_get::<i16, _>("at")?).unwrap_or(0),
            way: word(row, "way")?,
            since: timestamp(row, "since")?,
            told: row.try_get("told")?,
        },
        work: json(row, "work")?,
        reason: reason.map(|reason| reason.0),
        attempts: row.try_get("attempts")?,
        begun_at: timestamp(row, "begun_at")?,
        who: row.try_get("who")?,
        key: row.try_get("key")?,
    })
}

/// Writes a run that begins.
pub(crate) async fn insert(tx: &mut PgConnection, run: &StoredRun, due: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into run (id, order_id, kind, at, way, work, since, due, begun_at, who, key)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9, $10)",
    )
    .bind(run.id)
    .bind(uuid(run.order))
    .bind(run.run.kind.as_str())
    .bind(i16::try_from(run.run.at).unwrap_or(i16::MAX))
    .bind(run.run.way.as_str())
    .bind(Json(&run.work))
    .bind(OffsetDateTime::from(run.run.since))
    .bind(OffsetDateTime::from(due))
    .bind(&run.who)
    .bind(&run.key)
    .execute(tx)
    .await?;
    Ok(())
}

/// A run as it is.
pub(crate) async fn read(pool: &PgPool, id: Uuid) -> Result<Option<StoredRun>, sqlx::Error> {
    let row = sqlx::query("select * from run where id = $1").bind(id).fetch_optional(pool).await?;
    row.as_ref().map(stored).transpose()
}

/// A run under its lock; its order is locked already.
pub(crate) async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<Option<StoredRun>, sqlx::Error> {
    let row = sqlx::query("select * from run where id = $1 for update").bind(id).fetch_optional(tx).await?;
    row.as_ref().map(stored).transpose()
}

/// Writes a run as it is now.
pub(crate) async fn update(tx: &mut PgConnection, run: &StoredRun, due: Option<Timestamp>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update run set at = $2, way = $3, since = $4, told = $5, reason = $6, due = $7, attempts = $8, work = $9
         where id = $1",
    )
    .bind(run.id)
    .bind(i16::try_from(run.run.at).unwrap_or(i16::MAX))
    .bind(run.run.way.as_str())
    .bind(OffsetDateTime::from(run.run.since))
    .bind(run.run.told)
    .bind(run.reason.as_ref().map(Json))
    .bind(due.map(OffsetDateTime::from))
    .bind(run.attempts)
    .bind(Json(&run.work))
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether a run of this order has not come to its end.
pub(crate) async fn any_open(tx: &mut PgConnection, order: OrderId) -> Result<bool, sqlx::Error> {
    // Index: run_of_order.
    sqlx::query_scalar("select exists (select from run where order_id = $1 and way not in ('done', 'undone'))")
        .bind(uuid(order))
        .fetch_one(tx)
        .await
}

/// Whether nothing came of any run that this one's key began.
pub(crate) async fn all_undone(tx: &mut PgConnection, run: &StoredRun) -> Result<bool, sqlx::Error> {
    // Index: run_begun_with.
    sqlx::query_scalar("select bool_and(way = 'undone') from run where order_id = $1 and who = $2 and key = $3")
        .bind(uuid(run.order))
        .bind(&run.who)
        .bind(&run.key)
        .fetch_one(tx)
        .await
}

/// Takes runs that are due, so that no other process takes them for a while.
pub(crate) async fn lease(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    // Index: run_due. Skipping locked rows is fine: whoever holds them is leading them on.
    sqlx::query_scalar(
        "update run set due = $2 where id in
            (select id from run where due <= $1 order by due limit $3 for update skip locked)
         returning id",
    )
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(until))
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Runs that have not come to their end, oldest first, after a position.
pub(crate) async fn open(
    pool: &PgPool,
    parked: bool,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<StoredRun>, sqlx::Error> {
    let (at, id) = after.unwrap_or((Timestamp::from_unix_ms(0), Uuid::nil()));
    let only = if parked { vec![Way::Parked.as_str(), Way::ParkedBack.as_str()] } else { Vec::new() };
    // Index: run_open.
    let rows = sqlx::query(
        "select * from run where way not in ('done', 'undone') and (begun_at, id) > ($1, $2)
           and (cardinality($3::text[]) = 0 or way = any($3))
         order by begun_at, id limit $4",
    )
    .bind(OffsetDateTime::from(at))
    .bind(id)
    .bind(only)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(stored).collect()
}
