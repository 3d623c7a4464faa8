//! Movements: every change of what is on hand, with who asked for it and why. Written once, never changed.

use bodega_domain::{
    Timestamp,
    id::{LocationId, MerchantId},
    message::inventory::{Adjustment, MovementView},
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{SkuNo, decode_sku, uuid};

/// A movement as it was recorded.
pub(crate) struct Movement {
    pub(crate) merchant: MerchantId,
    pub(crate) reference: String,
    pub(crate) sku_no: SkuNo,
    pub(crate) location: LocationId,
    pub(crate) delta: i64,
}

fn movement(row: &PgRow) -> Result<Movement, sqlx::Error> {
    Ok(Movement {
        merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
        reference: row.try_get("reference")?,
        sku_no: decode_sku(row, "sku_no")?,
        location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
        delta: row.try_get("delta")?,
    })
}

/// Records movements under the name of who asked; a merchant's reference that is known already changes nothing. Returns the new ones.
pub(crate) async fn insert_movements(
    tx: &mut PgConnection,
    movements: &[(Uuid, &Adjustment)],
    who: &str,
    now: Timestamp,
) -> Result<Vec<Movement>, sqlx::Error> {
    let rows = sqlx::query(
        "insert into movement (id, sku_no, location, merchant, delta, reason, reference, at, who)
         select i, s, l, m, d, r, f, $8, $9
         from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[])
              as t(i, s, l, m, d, r, f)
         order by m, f
         on conflict (merchant, reference) do nothing
         returning merchant, reference, sku_no, location, delta",
    )
    .bind(movements.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(movements.iter().map(|(_, a)| i64::from(a.sku_no)).collect::<Vec<_>>())
    .bind(movements.iter().map(|(_, a)| uuid(a.location.as_u128())).collect::<Vec<_>>())
    .bind(movements.iter().map(|(_, a)| uuid(a.merchant.as_u128())).collect::<Vec<_>>())
    .bind(movements.iter().map(|(_, a)| a.delta).collect::<Vec<_>>())
    .bind(movements.iter().map(|(_, a)| a.reason.as_str()).collect::<Vec<_>>())
    .bind(movements.iter().map(|(_, a)| a.reference.as_str()).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .bind(who)
    .fetch_all(tx)
    .await?;
    rows.iter().map(movement).collect()
}

/// The movements of these adjustments' references, as they were recorded.
pub(crate) async fn movements_of(
    tx: &mut PgConnection,
    adjustments: &[&Adjustment],
) -> Result<Vec<Movement>, sqlx::Error> {
    let rows = sqlx::query(
        "select merchant, reference, sku_no, location, delta from movement
         where (merchant, reference) in (select * from unnest($1::uuid[], $2::text[]))",
    )
    .bind(adjustments.iter().map(|a| uuid(a.merchant.as_u128())).collect::<Vec<_>>())
    .bind(adjustments.iter().map(|a| a.reference.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter().map(movement).collect()
}

/// What to list.
pub(crate) struct MovementsQuery {
    pub(crate) skus: Vec<SkuNo>,
    /// Empty for all merchants.
    pub(crate) merchants: Vec<MerchantId>,
    /// Only those that were written before this one.
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: i64,
}

/// Movements with their ids, newest first: the ids grow with time.
pub(crate) async fn movements(pool: &PgPool, query: &MovementsQuery) -> Result<Vec<(Uuid, MovementView)>, sqlx::Error> {
    // Indexes: movement_by_merchant, movement_by_sku, else the primary key.
    let rows = sqlx::query(
        "select m.*, l.name from movement m join location l on l.id = m.location
         where (cardinality($1::bigint[]) = 0 or m.sku_no = any($1))
           and (cardinality($2::uuid[]) = 0 or m.merchant = any($2))
           and ($3::uuid is null or m.id < $3)
         order by m.id desc limit $4",
    )
    .bind(query.skus.iter().map(|sku| i64::from(*sku)).collect::<Vec<_>>())
    .bind(query.merchants.iter().map(|m| uuid(m.as_u128())).collect::<Vec<_>>())
    .bind(query.before)
    .bind(query.limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let view = MovementView {
                at: row.try_get::<OffsetDateTime, _>("at")?.into(),
                sku_no: decode_sku(row, "sku_no")?,
                location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
                location_name: row.try_get("name")?,
                merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
                delta: row.try_get("delta")?,
                reason: row.try_get("reason")?,
                reference: row.try_get("reference")?,
                who: row.try_get("who")?,
            };
            Ok((row.try_get("id")?, view))
        })
        .collect()
}
