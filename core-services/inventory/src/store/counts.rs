//! Counts that were taken in, and what is kept back.

use bodega_domain::{Timestamp, id::LocationId, message::inventory::CountAnswer};
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;

use super::{SkuNo, uuid};

/// A count under the same key: whether it was the same, and what came of it.
pub(crate) struct KnownCount {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) answer: CountAnswer,
}

/// Remembers a count. When its key is known, nothing is written and what came of it then is returned.
pub(crate) async fn remember(
    tx: &mut PgConnection,
    (who, key): (&str, &str),
    fingerprint: &[u8],
    answer: CountAnswer,
    now: Timestamp,
) -> Result<Option<KnownCount>, sqlx::Error> {
    let done = sqlx::query(
        "insert into stock_count (who, key, fingerprint, changed, same, at) values ($1, $2, $3, $4, $5, $6)
         on conflict do nothing",
    )
    .bind(who)
    .bind(key)
    .bind(fingerprint)
    .bind(i32::try_from(answer.changed).unwrap_or(i32::MAX))
    .bind(i32::try_from(answer.same).unwrap_or(i32::MAX))
    .bind(OffsetDateTime::from(now))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 { Ok(None) } else { known(tx, who, key).await }
}

/// What came of a count under this key.
pub(crate) async fn known(tx: &mut PgConnection, who: &str, key: &str) -> Result<Option<KnownCount>, sqlx::Error> {
    let row = sqlx::query("select fingerprint, changed, same from stock_count where who = $1 and key = $2")
        .bind(who)
        .bind(key)
        .fetch_optional(tx)
        .await?;
    row.map(|row| {
        let count = |column: &str| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i32, _>(column)?).unwrap_or(0));
        let answer = CountAnswer { changed: count("changed")?, same: count("same")? };
        Ok(KnownCount { fingerprint: row.try_get("fingerprint")?, answer })
    })
    .transpose()
}

/// Keeps so many units of a locked row back, and notes who said so.
pub(crate) async fn set_safety(
    tx: &mut PgConnection,
    sku_no: SkuNo,
    location: LocationId,
    safety: i64,
    who: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("update stock set safety = $3 where sku_no = $1 and location = $2")
        .bind(i64::from(sku_no))
        .bind(uuid(location.as_u128()))
        .bind(safety)
        .execute(&mut *tx)
        .await?;
    sqlx::query("insert into safety_change (sku_no, location, safety, at, who) values ($1, $2, $3, $4, $5)")
        .bind(i64::from(sku_no))
        .bind(uuid(location.as_u128()))
        .bind(safety)
        .bind(OffsetDateTime::from(now))
        .bind(who)
        .execute(tx)
        .await?;
    Ok(())
}
