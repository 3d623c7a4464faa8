//! SQL of what merchants are told of their stock.

use bodega_domain::{
    Timestamp,
    catalog::SkuNo,
    id::MerchantId,
    message::inventory::{StockAlert, StockLevel},
};
use sqlx::{PgConnection, PgPool, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

const fn number(level: StockLevel) -> i16 {
    match level {
        StockLevel::Out => 0,
        StockLevel::Low => 1,
        StockLevel::Enough => 2,
    }
}

const fn level(number: i16) -> StockLevel {
    match number {
        0 => StockLevel::Out,
        1 => StockLevel::Low,
        _ => StockLevel::Enough,
    }
}

fn uuid(merchant: MerchantId) -> Uuid {
    Uuid::from_u128(merchant.as_u128())
}

/// Notes how SKUs stand, each word once and the newest last, and that their merchants are to be told at that time, or when
/// they are to be told already. It waits for whoever has just told one, see [`told`].
pub(crate) async fn note(
    tx: &mut PgConnection,
    alerts: &[&StockAlert],
    due: Timestamp,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with word as (
             select distinct on (s) s, m, l, a, v
             from unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[]) as t (s, m, l, a, v)
             order by s, v desc),
         noted as (
             insert into stock_word as w (sku_no, merchant, level, available, version) select s, m, l, a, v from word
             on conflict (sku_no) do update
                 set merchant = excluded.merchant, level = excluded.level, available = excluded.available,
                     version = excluded.version
                 where w.version < excluded.version
             returning merchant)
         insert into stock_mail (merchant, due, since) select distinct merchant, $6::timestamptz, $7::timestamptz
         from noted order by merchant
         on conflict (merchant) do update set due = least(stock_mail.due, excluded.due)",
    )
    .bind(alerts.iter().map(|alert| i64::from(alert.sku_no)).collect::<Vec<_>>())
    .bind(alerts.iter().map(|alert| uuid(alert.merchant)).collect::<Vec<_>>())
    .bind(alerts.iter().map(|alert| number(alert.level)).collect::<Vec<_>>())
    .bind(alerts.iter().map(|alert| alert.available).collect::<Vec<_>>())
    .bind(alerts.iter().map(|alert| alert.version).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(due))
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// A merchant that is to be told.
pub(crate) struct StockMail {
    pub(crate) merchant: MerchantId,
    pub(crate) attempts: u32,
    pub(crate) since: Timestamp,
}

/// Takes merchants that are to be told now, so that no other process takes them for a while.
pub(crate) async fn lease(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<StockMail>, sqlx::Error> {
    // Index: stock_mail_due.
    let rows = sqlx::query(
        "update stock_mail set due = $2, attempts = attempts + 1 where merchant in
            (select merchant from stock_mail where due <= $1 order by due limit $3 for update skip locked)
         returning merchant, attempts, since",
    )
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(until))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(StockMail {
                merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
                attempts: u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or(0),
                since: row.try_get::<OffsetDateTime, _>("since")?.into(),
            })
        })
        .collect()
}

/// What a merchant has to be told of one SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) sku_no: SkuNo,
    pub(crate) level: StockLevel,
    pub(crate) available: i64,
}

/// What a merchant was not told yet. That something is enough is news only where something else was told before.
pub(crate) async fn untold(pool: &PgPool, merchant: MerchantId, limit: i64) -> Result<Vec<Word>, sqlx::Error> {
    // Index: stock_untold.
    let rows = sqlx::query(
        "select sku_no, level, available from stock_word
         where merchant = $1 and told is distinct from level and not (told is null and level = 2)
         order by level, sku_no limit $2",
    )
    .bind(uuid(merchant))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Word {
                sku_no: SkuNo::try_from(row.try_get::<i64, _>("sku_no")?).map_err(|error| {
                    sqlx::Error::ColumnDecode { index: "sku_no".to_owned(), source: Box::new(error) }
                })?,
                level: level(row.try_get("level")?),
                available: row.try_get("available")?,
            })
        })
        .collect()
}

/// These words were told, or nobody wants to hear them. What has changed since, or was too much for one mail, is told at
/// that time.
pub(crate) async fn told(
    pool: &PgPool,
    merchant: MerchantId,
    words: &[Word],
    again: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "update stock_word w set told = t.level from unnest($1::bigint[], $2::smallint[]) as t (sku_no, level)
         where w.sku_no = t.sku_no",
    )
    .bind(words.iter().map(|word| i64::from(word.sku_no)).collect::<Vec<_>>())
    .bind(words.iter().map(|word| number(word.level)).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    // Locked before it is looked at: whoever notes a word meanwhile finds the row, or finds it gone and makes it anew.
    sqlx::query("select from stock_mail where merchant = $1 for update").bind(uuid(merchant)).execute(&mut *tx).await?;
    let left = sqlx::query(
        "update stock_mail set due = $2, attempts = 0 where merchant = $1 and exists (
             select from stock_word where merchant = $1 and told is distinct from level and not (told is null and level = 2))",
    )
    .bind(uuid(merchant))
    .bind(OffsetDateTime::from(again))
    .execute(&mut *tx)
    .await?;
    if left.rows_affected() == 0 {
        sqlx::query("delete from stock_mail where merchant = $1").bind(uuid(merchant)).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// It is tried again then.
pub(crate) async fn later(pool: &PgPool, merchant: MerchantId, due: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("update stock_mail set due = $2 where merchant = $1")
        .bind(uuid(merchant))
        .bind(OffsetDateTime::from(due))
        .execute(pool)
        .await?;
    Ok(())
}
