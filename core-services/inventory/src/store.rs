//! All SQL of inventory. Lock order everywhere: stock rows by (SKU, location), then holds by order, then
//! their parts.

pub(crate) mod alerts;
pub(crate) mod counts;
pub(crate) mod exceptions;
pub(crate) mod incoming;
pub(crate) mod movements;
pub(crate) mod parts;
pub(crate) mod policies;

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    catalog::{Band, SkuNo},
    id::{LocationId, MerchantId, OrderId},
    message::inventory::{HoldAsk, HoldState, Level, Location},
    stock::{Allocation, REORDER_POINT, StockRow},
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

fn uuid(bits: u128) -> Uuid {
    Uuid::from_u128(bits)
}

fn decode_sku(row: &PgRow, column: &str) -> Result<SkuNo, sqlx::Error> {
    SkuNo::try_from(row.try_get::<i64, _>(column)?)
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

fn decode_order(row: &PgRow) -> Result<OrderId, sqlx::Error> {
    Ok(OrderId::from_u128(row.try_get::<Uuid, _>("order_id")?.as_u128()))
}

const fn state_number(state: HoldState) -> i16 {
    match state {
        HoldState::Pending => 0,
        HoldState::Posted => 1,
        HoldState::Voided | HoldState::None => 2,
    }
}

const fn state_of(number: i16) -> HoldState {
    match number {
        0 => HoldState::Pending,
        1 => HoldState::Posted,
        _ => HoldState::Voided,
    }
}

const fn band_number(band: Band) -> i16 {
    match band {
        Band::Out => 0,
        Band::Low => 1,
        Band::InStock => 2,
    }
}

const fn band_of(number: i16) -> Band {
    match number {
        0 => Band::Out,
        1 => Band::Low,
        _ => Band::InStock,
    }
}

fn stock_row(row: &PgRow) -> Result<StockRow, sqlx::Error> {
    Ok(StockRow {
        sku_no: decode_sku(row, "sku_no")?,
        location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
        priority: row.try_get("priority")?,
        merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
        on_hand: row.try_get("on_hand")?,
        pending: row.try_get("pending")?,
        posted: row.try_get("posted")?,
        short: row.try_get("short")?,
        safety: row.try_get("safety")?,
        reorder_point: row.try_get("reorder_point")?,
    })
}

/// Locks all stock rows of these SKUs, in one order, and reads them as they are under the lock.
pub(crate) async fn lock_stock(tx: &mut PgConnection, skus: &[SkuNo]) -> Result<Vec<StockRow>, sqlx::Error> {
    let skus: Vec<i64> = skus.iter().map(|sku| i64::from(*sku)).collect();
    let rows = sqlx::query(
        "select s.sku_no, s.location, s.merchant, s.on_hand, s.pending, s.posted, s.short, s.safety, s.reorder_point, l.priority
         from stock s join location l on l.id = s.location
         where s.sku_no = any($1)
         order by s.sku_no, s.location
         for update of s",
    )
    .bind(skus)
    .fetch_all(tx)
    .await?;
    rows.iter().map(stock_row).collect()
}

/// As [`lock_stock`], of all SKUs that these orders hold. A hold that comes while this waits is not among them.
pub(crate) async fn lock_stock_of(tx: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<StockRow>, sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|order| uuid(order.as_u128())).collect();
    // An array, read once: both primary keys serve it.
    let rows = sqlx::query(
        "select s.sku_no, s.location, s.merchant, s.on_hand, s.pending, s.posted, s.short, s.safety, s.reorder_point, l.priority
         from stock s join location l on l.id = s.location
         where s.sku_no = any(array(select distinct sku_no from hold_line where order_id = any($1)))
         order by s.sku_no, s.location
         for update of s",
    )
    .bind(ids)
    .fetch_all(tx)
    .await?;
    rows.iter().map(stock_row).collect()
}

/// The states of these orders' holds; an order without one is absent. Read after the stock lock, in its own statement.
pub(crate) async fn hold_states(
    tx: &mut PgConnection,
    orders: &[OrderId],
    lock: bool,
) -> Result<BTreeMap<OrderId, HoldState>, sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|order| uuid(order.as_u128())).collect();
    let query = if lock {
        sqlx::query("select order_id, state from hold where order_id = any($1) order by order_id for update")
    } else {
        sqlx::query("select order_id, state from hold where order_id = any($1)")
    };
    let rows = query.bind(ids).fetch_all(tx).await?;
    rows.iter().map(|row| Ok((decode_order(row)?, state_of(row.try_get("state")?)))).collect()
}

/// Writes pending holds with their lines, and takes them of locked rows: (SKU, location) → units. Says how many holds were
/// new: fewer than asked means that a tombstone came in between, and that all of it has to be rolled back.
pub(crate) async fn insert_holds(
    tx: &mut PgConnection,
    asks: &[&HoldAsk],
    allocations: &[Allocation],
    pending: &BTreeMap<(SkuNo, LocationId), i64>,
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    let mut sorted: Vec<&&HoldAsk> = asks.iter().collect();
    sorted.sort_by_key(|ask| ask.order);
    let new: i64 = sqlx::query_scalar(
        "with new as (
             insert into hold (order_id, state, ask_at, created, changed)
             select o, 0, a, $3, $3 from unnest($1::uuid[], $2::timestamptz[]) as t (o, a)
             on conflict do nothing returning order_id),
         lines as (
             insert into hold_line (order_id, sku_no, location, merchant, quantity)
             select * from unnest($4::uuid[], $5::bigint[], $6::uuid[], $7::uuid[], $8::bigint[])
                           as l (order_id, sku_no, location, merchant, quantity)
             where order_id in (select order_id from new)),
         taken as (
             update stock s set pending = s.pending + d.pending
             from unnest($9::bigint[], $10::uuid[], $11::bigint[]) as d (sku_no, location, pending)
             where s.sku_no = d.sku_no and s.location = d.location)
         select count(*) from new",
    )
    .bind(sorted.iter().map(|ask| uuid(ask.order.as_u128())).collect::<Vec<_>>())
    .bind(sorted.iter().map(|ask| ask.ask_at.into()).collect::<Vec<OffsetDateTime>>())
    .bind(OffsetDateTime::from(now))
    .bind(allocations.iter().map(|a| uuid(a.order.as_u128())).collect::<Vec<_>>())
    .bind(allocations.iter().map(|a| i64::from(a.sku_no)).collect::<Vec<_>>())
    .bind(allocations.iter().map(|a| uuid(a.location.as_u128())).collect::<Vec<_>>())
    .bind(allocations.iter().map(|a| uuid(a.merchant.as_u128())).collect::<Vec<_>>())
    .bind(allocations.iter().map(|a| a.quantity).collect::<Vec<_>>())
    .bind(pending.keys().map(|(sku, _)| i64::from(*sku)).collect::<Vec<_>>())
    .bind(pending.keys().map(|(_, location)| uuid(location.as_u128())).collect::<Vec<_>>())
    .bind(pending.values().copied().collect::<Vec<_>>())
    .fetch_one(tx)
    .await?;
    Ok(usize::try_from(new).unwrap_or(usize::MAX))
}

/// What is left in these orders' holds, line by line. Read after the lock of the holds, in its own statement.
pub(crate) async fn hold_lines(tx: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<Allocation>, sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|order| uuid(order.as_u128())).collect();
    let rows = sqlx::query(
        "select order_id, sku_no, location, merchant, quantity - shipped - released as quantity
         from hold_line where order_id = any($1) and quantity > shipped + released",
    )
    .bind(ids)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Allocation {
                order: decode_order(row)?,
                sku_no: decode_sku(row, "sku_no")?,
                location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
                merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
                quantity: row.try_get("quantity")?,
            })
        })
        .collect()
}

/// Adds to pending and posted of locked rows: (SKU, location) → (pending, posted). What is given back closes `short`.
pub(crate) async fn move_stock(
    tx: &mut PgConnection,
    deltas: &BTreeMap<(SkuNo, LocationId), (i64, i64)>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update stock s set pending = s.pending + d.pending, posted = s.posted + d.posted,
                short = least(s.short, greatest(0, s.pending + d.pending + s.posted + d.posted - s.on_hand))
         from unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[]) as d(sku_no, location, pending, posted)
         where s.sku_no = d.sku_no and s.location = d.location",
    )
    .bind(deltas.keys().map(|(sku, _)| i64::from(*sku)).collect::<Vec<_>>())
    .bind(deltas.keys().map(|(_, location)| uuid(location.as_u128())).collect::<Vec<_>>())
    .bind(deltas.values().map(|(pending, _)| *pending).collect::<Vec<_>>())
    .bind(deltas.values().map(|(_, posted)| *posted).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets the states of locked holds.
pub(crate) async fn set_hold_states(
    tx: &mut PgConnection,
    changes: &[(OrderId, HoldState)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update hold h set state = d.state, changed = $3
         from unnest($1::uuid[], $2::smallint[]) as d(order_id, state) where h.order_id = d.order_id",
    )
    .bind(changes.iter().map(|(order, _)| uuid(order.as_u128())).collect::<Vec<_>>())
    .bind(changes.iter().map(|(_, state)| state_number(*state)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes tombstones where nothing was held and says how many were new.
pub(crate) async fn insert_tombstones(
    tx: &mut PgConnection,
    orders: &[OrderId],
    now: Timestamp,
) -> Result<usize, sqlx::Error> {
    let done = sqlx::query(
        "insert into hold (order_id, state, ask_at, created, changed)
         select o, 2, null, $2, $2 from unnest($1::uuid[]) as t(o) order by o
         on conflict do nothing",
    )
    .bind(orders.iter().map(|order| uuid(order.as_u128())).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// Stores bands and returns those that changed, with their versions.
pub(crate) async fn put_bands(
    tx: &mut PgConnection,
    bands: &BTreeMap<SkuNo, Band>,
) -> Result<Vec<(SkuNo, Band, i64)>, sqlx::Error> {
    let rows = sqlx::query(
        "insert into band as b (sku_no, band, version)
         select s, n, 1 from unnest($1::bigint[], $2::smallint[]) as t(s, n) order by s
         on conflict (sku_no) do update set band = excluded.band, version = b.version + 1 where b.band <> excluded.band
         returning sku_no, band, version",
    )
    .bind(bands.keys().map(|sku| i64::from(*sku)).collect::<Vec<_>>())
    .bind(bands.values().map(|band| band_number(*band)).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| Ok((decode_sku(row, "sku_no")?, band_of(row.try_get("band")?), row.try_get("version")?)))
        .collect()
}

/// Those of these SKUs that have been counted before, with whose they are.
pub(crate) async fn sellers_of(pool: &PgPool, skus: &[SkuNo]) -> Result<BTreeMap<SkuNo, MerchantId>, sqlx::Error> {
    let rows = sqlx::query("select distinct sku_no, merchant from stock where sku_no = any($1)")
        .bind(skus.iter().map(|sku| i64::from(*sku)).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let merchant = MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128());
            Ok((decode_sku(row, "sku_no")?, merchant))
        })
        .collect()
}

/// A shelf: what lies there, where, and whose it is.
pub(crate) type Shelf = (SkuNo, LocationId, MerchantId);

/// Makes missing stock rows with nothing on hand, so that they can be locked. A SKU's reorder point is the same everywhere.
pub(crate) async fn ensure_stock(tx: &mut PgConnection, shelves: &[Shelf]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into stock (sku_no, location, merchant, reorder_point)
         select distinct on (s, l) s, l, m, coalesce((select max(reorder_point) from stock where sku_no = s), $4)
         from unnest($1::bigint[], $2::uuid[], $3::uuid[]) as t(s, l, m) order by s, l
         on conflict do nothing",
    )
    .bind(shelves.iter().map(|(sku, ..)| i64::from(*sku)).collect::<Vec<_>>())
    .bind(shelves.iter().map(|(_, location, _)| uuid(location.as_u128())).collect::<Vec<_>>())
    .bind(shelves.iter().map(|(.., merchant)| uuid(merchant.as_u128())).collect::<Vec<_>>())
    .bind(REORDER_POINT)
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds to what is on hand of locked rows. What is promised beyond it afterwards becomes `short`; it closes by itself.
pub(crate) async fn count_stock(
    tx: &mut PgConnection,
    deltas: &BTreeMap<(SkuNo, LocationId), i64>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update stock s set on_hand = s.on_hand + d.delta,
                short = greatest(0, s.pending + s.posted - (s.on_hand + d.delta))
         from unnest($1::bigint[], $2::uuid[], $3::bigint[]) as d(sku_no, location, delta)
         where s.sku_no = d.sku_no and s.location = d.location",
    )
    .bind(deltas.keys().map(|(sku, _)| i64::from(*sku)).collect::<Vec<_>>())
    .bind(deltas.keys().map(|(_, location)| uuid(location.as_u128())).collect::<Vec<_>>())
    .bind(deltas.values().copied().collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes or renames locations.
pub(crate) async fn put_locations(pool: &PgPool, locations: &[Location]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into location (id, name, priority)
         select * from unnest($1::uuid[], $2::text[], $3::integer[])
         on conflict (id) do update set name = excluded.name, priority = excluded.priority",
    )
    .bind(locations.iter().map(|l| uuid(l.id.as_u128())).collect::<Vec<_>>())
    .bind(locations.iter().map(|l| l.name.as_str()).collect::<Vec<_>>())
    .bind(locations.iter().map(|l| l.priority).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(())
}

/// All locations, in the order of their allocation.
pub(crate) async fn locations(pool: &PgPool, limit: i64) -> Result<Vec<Location>, sqlx::Error> {
    let rows: Vec<(Uuid, String, i32)> =
        sqlx::query_as("select id, name, priority from location order by priority, id limit $1")
            .bind(limit)
            .fetch_all(pool)
            .await?;
    let read = |(id, name, priority): (Uuid, String, i32)| Location {
        id: LocationId::from_u128(id.as_u128()),
        name,
        priority,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Which of these locations there are.
pub(crate) async fn known_locations(pool: &PgPool, ids: &[LocationId]) -> Result<Vec<LocationId>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| uuid(id.as_u128())).collect();
    let known: Vec<Uuid> =
        sqlx::query_scalar("select id from location where id = any($1)").bind(ids).fetch_all(pool).await?;
    Ok(known.into_iter().map(|id| LocationId::from_u128(id.as_u128())).collect())
}

/// What to list.
pub(crate) struct LevelsQuery {
    pub(crate) skus: Vec<SkuNo>,
    /// Empty for all merchants.
    pub(crate) merchants: Vec<MerchantId>,
    pub(crate) after: Option<(SkuNo, LocationId)>,
    pub(crate) limit: i64,
}

/// Stock rows by SKU and location.
pub(crate) async fn levels(pool: &PgPool, query: &LevelsQuery) -> Result<Vec<Level>, sqlx::Error> {
    let (after_sku, after_location) = query.after.map_or((-1, Uuid::nil()), |(s, l)| (i64::from(s), uuid(l.as_u128())));
    let rows = sqlx::query(
        "select s.*, l.name, i.units as incoming from stock s join location l on l.id = s.location
         cross join lateral (
             select coalesce(sum(greatest(0, quantity - received)), 0)::bigint as units from incoming
             where sku_no = s.sku_no and location = s.location and closed_at is null) i
         where (cardinality($1::bigint[]) = 0 or s.sku_no = any($1))
           and (cardinality($2::uuid[]) = 0 or s.merchant = any($2))
           and (s.sku_no, s.location) > ($3, $4)
         order by s.sku_no, s.location limit $5",
    )
    .bind(query.skus.iter().map(|sku| i64::from(*sku)).collect::<Vec<_>>())
    .bind(query.merchants.iter().map(|m| uuid(m.as_u128())).collect::<Vec<_>>())
    .bind(after_sku)
    .bind(after_location)
    .bind(query.limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let (on_hand, pending): (i64, i64) = (row.try_get("on_hand")?, row.try_get("pending")?);
            let (posted, safety): (i64, i64) = (row.try_get("posted")?, row.try_get("safety")?);
            Ok(Level {
                sku_no: decode_sku(row, "sku_no")?,
                location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
                location_name: row.try_get("name")?,
                merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
                on_hand,
                pending,
                posted,
                short: row.try_get("short")?,
                safety,
                available: (on_hand - safety - pending - posted).max(0),
                incoming: row.try_get("incoming")?,
                reorder_point: row.try_get("reorder_point")?,
            })
        })
        .collect()
}

/// Pending holds whose order may be asked about, the oldest first.
pub(crate) async fn holds_to_ask(pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<OrderId>, sqlx::Error> {
    // Index: hold_to_ask.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select order_id from hold where state = 0 and ask_at is not null and ask_at <= $1 order by ask_at limit $2",
    )
    .bind(OffsetDateTime::from(now))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// These orders exist: their sagas alone decide from now on.
pub(crate) async fn stop_asking(pool: &PgPool, orders: &[OrderId]) -> Result<(), sqlx::Error> {
    sqlx::query("update hold set ask_at = null where order_id = any($1)")
        .bind(orders.iter().map(|order| uuid(order.as_u128())).collect::<Vec<_>>())
        .execute(pool)
        .await?;
    Ok(())
}
