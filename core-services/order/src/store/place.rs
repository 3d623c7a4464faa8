//! SQL of placing orders: keys, claims, quotas, and the rows of a batch.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    address::{Address, Contact},
    id::OrderId,
    message::payment::OpenAsk,
    order::PaymentView,
    quote::QuoteContent,
    saga::Saga,
};
use sqlx::{PgConnection, PgPool, Row as _, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{order_id, uuid, uuids};
use crate::content;

/// A remembered idempotency key.
#[derive(Clone, Debug)]
pub(crate) struct KnownKey {
    pub(crate) order: OrderId,
    pub(crate) fingerprint: Vec<u8>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimOutcome {
    Placed,
    Abandoned,
}

/// The known ones of these (owner, key) pairs.
pub(crate) async fn known_keys(
    connection: impl sqlx::PgExecutor<'_>,
    keys: &[(String, String)],
) -> Result<BTreeMap<(String, String), KnownKey>, sqlx::Error> {
    let rows = sqlx::query(
        "select owner, key, order_id, fingerprint from checkout_key
         where (owner, key) in (select * from unnest($1::text[], $2::text[]))",
    )
    .bind(keys.iter().map(|(owner, _)| owner.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let known = KnownKey { order: order_id(row, "order_id")?, fingerprint: row.try_get("fingerprint")? };
            Ok(((row.try_get("owner")?, row.try_get("key")?), known))
        })
        .collect()
}

/// The claimed ones of these order ids.
pub(crate) async fn claims(
    connection: impl sqlx::PgExecutor<'_>,
    orders: &[OrderId],
) -> Result<BTreeMap<OrderId, ClaimOutcome>, sqlx::Error> {
    let rows = sqlx::query("select order_id, outcome from claim where order_id = any($1)")
        .bind(uuids(orders))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let outcome =
                if row.try_get::<i16, _>("outcome")? == 1 { ClaimOutcome::Placed } else { ClaimOutcome::Abandoned };
            Ok((order_id(row, "order_id")?, outcome))
        })
        .collect()
}

/// One order to be written.
pub(crate) struct NewOrder {
    pub(crate) key: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) content: QuoteContent,
    pub(crate) contact: Contact,
    pub(crate) shipping: Address,
    pub(crate) billing: Option<Address>,
    pub(crate) open: OpenAsk,
    pub(crate) payment: PaymentView,
    pub(crate) unpaid: Vec<content::Quota>,
    pub(crate) budget: Vec<content::Quota>,
    /// Attempts of the last hour; nothing gives them back.
    pub(crate) attempts: Vec<content::Quota>,
    /// No checkout but an ended order that is made again.
    pub(crate) again: Option<Again>,
}

/// Which order is made again, and who does it.
pub(crate) struct Again {
    pub(crate) of: OrderId,
    pub(crate) who: String,
}

impl NewOrder {
    pub(crate) fn id(&self) -> OrderId {
        self.content.order_id
    }

    fn owner(&self) -> String {
        self.content.owner.to_string()
    }

    /// Every counter that it takes one of, and gives back when it is over.
    pub(crate) fn quotas(&self) -> impl Iterator<Item = &content::Quota> {
        self.unpaid.iter().chain(&self.budget)
    }

    /// What makes its checkout one.
    pub(crate) fn owner_and_key(&self) -> (String, String) {
        (self.owner(), self.key.clone())
    }
}

/// Remembers keys; returns the orders whose key was new.
pub(crate) async fn insert_keys(tx: &mut PgConnection, orders: &[&NewOrder]) -> Result<Vec<OrderId>, sqlx::Error> {
    let mut sorted = orders.to_vec();
    sorted.sort_by_key(|order| (order.owner(), order.key.clone()));
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "insert into checkout_key (owner, key, order_id, fingerprint)
         select * from unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[])
         on conflict do nothing returning order_id",
    )
    .bind(sorted.iter().map(|o| o.owner()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|o| o.key.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|o| uuid(o.id())).collect::<Vec<_>>())
    .bind(sorted.iter().map(|o| o.fingerprint.as_slice()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// Forgets keys of orders that did not come about after all: only success is remembered.
pub(crate) async fn delete_keys(tx: &mut PgConnection, orders: &[&NewOrder]) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "delete from checkout_key
         where (owner, key, order_id) in (select * from unnest($1::text[], $2::text[], $3::uuid[]))",
    )
    .bind(orders.iter().map(|o| o.owner()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.key.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| uuid(o.id())).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives claims back that were made in this very transaction and not used.
pub(crate) async fn delete_claims(tx: &mut PgConnection, orders: &[OrderId]) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query("delete from claim where order_id = any($1)").bind(uuids(orders)).execute(tx).await?;
    Ok(())
}

/// Claims order ids, for orders (1) or as tombstones (2); returns the ones that were free.
pub(crate) async fn insert_claims(
    tx: &mut PgConnection,
    orders: &[OrderId],
    outcome: ClaimOutcome,
    now: Timestamp,
) -> Result<Vec<OrderId>, sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "insert into claim (order_id, outcome, at)
         select o, $2, $3 from unnest($1::uuid[]) as t(o) order by o
         on conflict do nothing returning order_id",
    )
    .bind(uuids(orders))
    .bind(if outcome == ClaimOutcome::Placed { 1_i16 } else { 2_i16 })
    .bind(OffsetDateTime::from(now))
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// Bounds every later statement of this transaction, in milliseconds.
pub(crate) async fn bound_statements(tx: &mut PgConnection, ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('statement_timeout', $1, true)").bind(ms.to_string()).execute(tx).await?;
    Ok(())
}

/// Locks quotas, making those that are missing, and reads how much of each is used.
pub(crate) async fn lock_quotas(tx: &mut PgConnection, keys: &[String]) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    sqlx::query(
        "insert into quota (key, used) select k, 0 from unnest($1::text[]) as t(k) order by k on conflict do nothing",
    )
    .bind(keys)
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query("select key, used from quota where key = any($1) order by key for update")
        .bind(keys)
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("key")?, i64::from(row.try_get::<i32, _>("used")?)))).collect()
}

/// How much of each quota is used, without a lock.
pub(crate) async fn quotas(pool: &PgPool, keys: &[String]) -> Result<BTreeMap<String, i64>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query("select key, used from quota where key = any($1)").bind(keys).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((row.try_get("key")?, i64::from(row.try_get::<i32, _>("used")?)))).collect()
}

/// Adds to locked quotas. Never below zero: a quota that is given back twice stays at zero.
pub(crate) async fn add_to_quotas(tx: &mut PgConnection, deltas: &BTreeMap<String, i64>) -> Result<(), sqlx::Error> {
    if deltas.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update quota q set used = greatest(0, q.used + d.delta)
         from unnest($1::text[], $2::bigint[]) as d(key, delta) where q.key = d.key",
    )
    .bind(deltas.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(deltas.values().copied().collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the orders of a batch: seven statements, however many they are.
pub(crate) async fn insert_orders(
    tx: &mut PgConnection,
    orders: &[&NewOrder],
    saga: &Saga,
    due: Timestamp,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|o| uuid(o.id())).collect();
    sqlx::query(
        "insert into orders (id, number, owner, status, currency, total, content, payment, reinstates, placed_at)
         select i, n, o, 'awaiting_payment', c, t, q, p, r, $8
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::jsonb[], $7::jsonb[], $9::uuid[])
              as u(i, n, o, c, t, q, p, r)",
    )
    .bind(&ids)
    .bind(orders.iter().map(|o| content::number(o.id())).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.owner()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.content.currency.to_string()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.content.totals.total.amount()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| Json(&o.content)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| Json(&o.payment)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(saga.placed_at))
    .bind(orders.iter().map(|o| o.again.as_ref().map(|again| uuid(again.of))).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    insert_parts_and_lines(tx, orders).await?;
    sqlx::query(
        "insert into contact (order_id, email, name, shipping, billing)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[])",
    )
    .bind(&ids)
    .bind(orders.iter().map(|o| o.contact.email.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.contact.name.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| Json(&o.shipping)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.billing.as_ref().map(Json)).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    // Arrays of arrays have one length in Postgres; lists of quotas are joined, and keys never contain a line break.
    let joined = |quotas: &[content::Quota]| quotas.iter().map(|q| q.key.as_str()).collect::<Vec<_>>().join("\n");
    sqlx::query(
        "insert into saga (order_id, step, placed_at, pay_by, due, open, unpaid_quotas, budget_quotas)
         select i, $2, $3, $4, $5, a, string_to_array(u, E'\\n'), string_to_array(b, E'\\n')
         from unnest($1::uuid[], $6::jsonb[], $7::text[], $8::text[]) as t(i, a, u, b)",
    )
    .bind(&ids)
    .bind(Json(saga.step))
    .bind(OffsetDateTime::from(saga.placed_at))
    .bind(OffsetDateTime::from(saga.pay_by))
    .bind(OffsetDateTime::from(due))
    .bind(orders.iter().map(|o| Json(&o.open)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| joined(&o.unpaid)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| joined(&o.budget)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_parts_and_lines(tx: &mut PgConnection, orders: &[&NewOrder]) -> Result<(), sqlx::Error> {
    let parts: Vec<_> =
        orders.iter().flat_map(|o| content::parts(&o.content).into_iter().map(|part| (o.id(), part))).collect();
    sqlx::query(
        "insert into order_part (order_id, merchant, total) select * from unnest($1::uuid[], $2::uuid[], $3::bigint[])",
    )
    .bind(parts.iter().map(|(order, _)| uuid(*order)).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, part)| Uuid::from_u128(part.merchant.as_u128())).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, part)| part.total.amount()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    let lines: Vec<_> =
        orders.iter().flat_map(|o| o.content.lines.iter().zip(0_i16..).map(|(line, n)| (o.id(), n, line))).collect();
    sqlx::query(
        "insert into order_line (order_id, n, sku_no, merchant, quantity, unit_price, discount, tax, total)
         select * from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::uuid[], $5::integer[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[])",
    )
    .bind(lines.iter().map(|(order, ..)| uuid(*order)).collect::<Vec<_>>())
    .bind(lines.iter().map(|(_, n, _)| *n).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| i64::from(line.sku_no)).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| Uuid::from_u128(line.merchant.as_u128())).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| i32::try_from(line.quantity).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| line.unit_price.amount()).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| line.discount.amount()).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| line.tax.amount()).collect::<Vec<_>>())
    .bind(lines.iter().map(|(.., line)| line.total.amount()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
