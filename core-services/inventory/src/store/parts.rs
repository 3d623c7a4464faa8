//! Parts of holds: what left the house, came back or was given back, and where. Written once; only undone afterwards.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    id::{LocationId, OrderId},
    message::inventory::Taken,
    stock::parts::{Moves, PartChange},
};
use sqlx::{PgConnection, Row as _, types::Json};
use time::OffsetDateTime;

use super::{SkuNo, decode_order, uuid};

/// A part as it was recorded.
pub(crate) struct Part {
    pub(crate) order: OrderId,
    pub(crate) change: PartChange,
    pub(crate) units: Vec<Taken>,
}

const fn kind_number(change: PartChange) -> i16 {
    match change {
        PartChange::Ship => 0,
        PartChange::Unship => 1,
        PartChange::Release => 2,
    }
}

const fn change_of(number: i16) -> PartChange {
    match number {
        0 => PartChange::Ship,
        1 => PartChange::Unship,
        _ => PartChange::Release,
    }
}

/// The part with this id. Read after the lock of its hold, in its own statement.
pub(crate) async fn part(tx: &mut PgConnection, id: u128) -> Result<Option<Part>, sqlx::Error> {
    let row = sqlx::query("select order_id, kind, units from hold_part where id = $1")
        .bind(uuid(id))
        .fetch_optional(tx)
        .await?;
    row.map(|row| {
        let Json(units) = row.try_get("units")?;
        Ok(Part { order: decode_order(&row)?, change: change_of(row.try_get("kind")?), units })
    })
    .transpose()
}

/// Writes a part and says whether it is new. If not, it came in between, and all has to be rolled back.
pub(crate) async fn insert(tx: &mut PgConnection, id: u128, part: &Part, now: Timestamp) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "insert into hold_part (id, order_id, kind, units, at) values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(uuid(id))
    .bind(uuid(part.order.as_u128()))
    .bind(kind_number(part.change))
    .bind(Json(&part.units))
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A shipment is undone. Its units stay: what came back is what had left.
pub(crate) async fn set_undone(tx: &mut PgConnection, id: u128) -> Result<(), sqlx::Error> {
    sqlx::query("update hold_part set kind = $2 where id = $1")
        .bind(uuid(id))
        .bind(kind_number(PartChange::Unship))
        .execute(tx)
        .await?;
    Ok(())
}

/// Moves units of locked stock rows and of a locked hold's lines: (SKU, location) → units. What is given back closes
/// `short`.
pub(crate) async fn move_units(
    tx: &mut PgConnection,
    order: OrderId,
    units: &BTreeMap<(SkuNo, LocationId), i64>,
    moves: Moves,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with d as (
             select * from unnest($1::bigint[], $2::uuid[], $3::bigint[]) as d (sku_no, location, units)),
         line as (
             update hold_line l set shipped = l.shipped + $5::bigint * d.units,
                    released = l.released + $6::bigint * d.units
             from d where l.order_id = $4 and l.sku_no = d.sku_no and l.location = d.location)
         update stock s set on_hand = s.on_hand + $7::bigint * d.units, posted = s.posted + $8::bigint * d.units,
                short = least(s.short, greatest(0, s.pending + s.posted + $8 * d.units - s.on_hand - $7 * d.units))
         from d where s.sku_no = d.sku_no and s.location = d.location",
    )
    .bind(units.keys().map(|(sku, _)| i64::from(*sku)).collect::<Vec<_>>())
    .bind(units.keys().map(|(_, location)| uuid(location.as_u128())).collect::<Vec<_>>())
    .bind(units.values().copied().collect::<Vec<_>>())
    .bind(uuid(order.as_u128()))
    .bind(moves.shipped)
    .bind(moves.released)
    .bind(moves.on_hand)
    .bind(moves.posted)
    .execute(tx)
    .await?;
    Ok(())
}
