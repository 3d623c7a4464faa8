//! `promotion_audit`: written once.

use bodega_domain::{
    Timestamp,
    id::{MerchantId, PromotionId},
    message::pricing::PromotionChange,
};
use bodega_platform::DatabaseError;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{merchant, uuid};

/// Notes who did what to a promotion, in the transaction that does it.
pub(super) async fn note(
    tx: &mut PgConnection,
    id: PromotionId,
    (who, what): (&str, &str),
    data: &serde_json::Value,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into promotion_audit (promotion, at, who, what, data) values ($1, $2, $3, $4, $5)")
        .bind(uuid(id.as_u128()))
        .bind(OffsetDateTime::from(at))
        .bind(who)
        .bind(what)
        .bind(Json(data))
        .execute(tx)
        .await
        .map(|_| ())
}

/// Changes with their positions, newest first, before a position. Empty merchants: of all promotions.
pub(crate) async fn page(
    pool: &PgPool,
    merchants: &[MerchantId],
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<(i64, PromotionChange)>, DatabaseError> {
    // Indexes: the primary key, promotion_audit_of_promotion. A promotion is never deleted and keeps its merchant.
    let rows = sqlx::query(
        "select a.n, a.at, a.promotion, a.who, a.what, a.data, p.merchant, p.label
         from promotion_audit a join promotion p on p.id = a.promotion
         where ($2::bigint is null or a.n < $2) and (cardinality($1::uuid[]) = 0 or p.merchant = any($1))
         order by a.n desc limit $3",
    )
    .bind(merchants.iter().map(|m| uuid(m.as_u128())).collect::<Vec<_>>())
    .bind(before)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let read = |row: &PgRow| -> Result<(i64, PromotionChange), sqlx::Error> {
        let change = PromotionChange {
            at: row.try_get::<OffsetDateTime, _>("at")?.into(),
            promotion: PromotionId::from_u128(row.try_get::<Uuid, _>("promotion")?.as_u128()),
            merchant: merchant(row)?,
            label: row.try_get("label")?,
            what: row.try_get("what")?,
            who: row.try_get("who")?,
            data: row.try_get::<Json<serde_json::Value>, _>("data")?.0,
        };
        Ok((row.try_get("n")?, change))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}
