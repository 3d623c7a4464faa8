//! SQL of goods that are on their way.

use bodega_domain::{
    Timestamp,
    id::{IncomingId, LocationId, MerchantId},
    message::inventory::{Announced, IncomingView},
};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{decode_sku, uuid};

fn view(row: &PgRow) -> Result<IncomingView, sqlx::Error> {
    let closed_at: Option<OffsetDateTime> = row.try_get("closed_at")?;
    Ok(IncomingView {
        id: IncomingId::from_u128(row.try_get::<Uuid, _>("id")?.as_u128()),
        sku_no: decode_sku(row, "sku_no")?,
        location: LocationId::from_u128(row.try_get::<Uuid, _>("location")?.as_u128()),
        location_name: row.try_get("name")?,
        merchant: MerchantId::from_u128(row.try_get::<Uuid, _>("merchant")?.as_u128()),
        quantity: row.try_get("quantity")?,
        received: row.try_get("received")?,
        expected_on: row.try_get::<Option<Date>, _>("expected_on")?.map(|day| day.to_string()),
        reference: row.try_get("reference")?,
        closed_at: closed_at.map(Timestamp::from),
        announced_at: row.try_get::<OffsetDateTime, _>("announced_at")?.into(),
        who: row.try_get("who")?,
    })
}

/// Writes announced goods, each with its id and its day, and returns what is known under their references then, in their
/// order: what was announced before stays as it is.
pub(crate) async fn announce(
    tx: &mut PgConnection,
    goods: &[(IncomingId, &Announced, Option<Date>)],
    who: &str,
    now: Timestamp,
) -> Result<Vec<IncomingView>, sqlx::Error> {
    let merchants: Vec<Uuid> = goods.iter().map(|(_, one, _)| uuid(one.merchant.as_u128())).collect();
    let references: Vec<&str> = goods.iter().map(|(_, one, _)| one.reference.as_str()).collect();
    sqlx::query(
        "insert into incoming (id, sku_no, location, merchant, quantity, expected_on, reference, announced_at, who)
         select i, s, l, m, q, e, r, $8, $9
         from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::date[], $7::text[])
              as t (i, s, l, m, q, e, r)
         order by m, r on conflict (merchant, reference) do nothing",
    )
    .bind(goods.iter().map(|(id, ..)| uuid(id.as_u128())).collect::<Vec<_>>())
    .bind(goods.iter().map(|(_, one, _)| i64::from(one.sku_no)).collect::<Vec<_>>())
    .bind(goods.iter().map(|(_, one, _)| uuid(one.location.as_u128())).collect::<Vec<_>>())
    .bind(&merchants)
    .bind(goods.iter().map(|(_, one, _)| i64::from(one.quantity)).collect::<Vec<_>>())
    .bind(goods.iter().map(|(.., day)| *day).collect::<Vec<_>>())
    .bind(&references)
    .bind(OffsetDateTime::from(now))
    .bind(who)
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query(
        "select i.*, l.name from unnest($1::uuid[], $2::text[]) with ordinality as t (merchant, reference, n)
         join incoming i on i.merchant = t.merchant and i.reference = t.reference
         join location l on l.id = i.location order by t.n",
    )
    .bind(&merchants)
    .bind(&references)
    .fetch_all(tx)
    .await?;
    rows.iter().map(view).collect()
}

/// Announced goods as they are, without a lock.
pub(crate) async fn find(pool: &PgPool, id: IncomingId) -> Result<Option<IncomingView>, sqlx::Error> {
    let row = sqlx::query("select i.*, l.name from incoming i join location l on l.id = i.location where i.id = $1")
        .bind(uuid(id.as_u128()))
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(view).transpose()
}

/// Notes that so many have come; with the last of them, or when as many have come as were announced, none is expected any
/// more. What is closed stays closed.
pub(crate) async fn receive(
    tx: &mut PgConnection,
    id: IncomingId,
    quantity: i64,
    last: bool,
    now: Timestamp,
) -> Result<IncomingView, sqlx::Error> {
    let row = sqlx::query(
        "update incoming i set received = i.received + $2,
                closed_at = case when i.closed_at is null and ($3 or i.received + $2 >= i.quantity) then $4 else i.closed_at end
         from location l where i.id = $1 and l.id = i.location returning i.*, l.name",
    )
    .bind(uuid(id.as_u128()))
    .bind(quantity)
    .bind(last)
    .bind(OffsetDateTime::from(now))
    .fetch_one(tx)
    .await?;
    view(&row)
}

/// What to list.
pub(crate) struct IncomingQuery {
    /// Empty for all merchants.
    pub(crate) merchants: Vec<MerchantId>,
    /// Also what is closed.
    pub(crate) all: bool,
    pub(crate) before: Option<IncomingId>,
    pub(crate) limit: i64,
}

/// Announced goods, newest first: the ids grow with time.
pub(crate) async fn list(pool: &PgPool, query: &IncomingQuery) -> Result<Vec<IncomingView>, sqlx::Error> {
    // Indexes: incoming_of_merchant, else the primary key.
    let rows = sqlx::query(
        "select i.*, l.name from incoming i join location l on l.id = i.location
         where (cardinality($1::uuid[]) = 0 or i.merchant = any($1)) and ($2 or i.closed_at is null)
           and ($3::uuid is null or i.id < $3)
         order by i.id desc limit $4",
    )
    .bind(query.merchants.iter().map(|merchant| uuid(merchant.as_u128())).collect::<Vec<_>>())
    .bind(query.all)
    .bind(query.before.map(|id| uuid(id.as_u128())))
    .bind(query.limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(view).collect()
}
