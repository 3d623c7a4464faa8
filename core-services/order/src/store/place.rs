//! SQL of placing orders: keys, claims, and the rows of a batch.

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

use super::{order_id, quotas::used_sql, uuid, uuids};
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

impl ClaimOutcome {
    const fn read(stored: i64) -> Self {
        if stored == 1 { ClaimOutcome::Placed } else { ClaimOutcome::Abandoned }
    }
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
            let outcome = i64::from(row.try_get::<i16, _>("outcome")?);
            Ok((order_id(row, "order_id")?, ClaimOutcome::read(outcome)))
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

/// What a batch of checkouts asks about before anything is held or written.
pub(crate) struct Look {
    pub(crate) keys: Vec<(String, String)>,
    pub(crate) orders: Vec<OrderId>,
    pub(crate) quotas: Vec<String>,
    pub(crate) attempts: Vec<String>,
    pub(crate) attempts_since: Timestamp,
}

/// What is known of it.
pub(crate) struct Looked {
    pub(crate) known: BTreeMap<(String, String), KnownKey>,
    pub(crate) claims: BTreeMap<OrderId, ClaimOutcome>,
    /// Of quotas, and attempts of the last hour, by key.
    pub(crate) used: BTreeMap<String, i64>,
}

/// Everything in one read and without a lock: whoever commits looks again.
pub(crate) async fn look(pool: &PgPool, look: &Look) -> Result<Looked, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "select owner, key, order_id, fingerprint, null::bigint as n from checkout_key
         where (owner, key) in (select * from unnest($4::text[], $5::text[]))
         union all
         select null, null, order_id, null, outcome from claim where order_id = any($6)
         union all
         select null, key, null, null, used from (",
        used_sql!(),
        ") as counted"
    ))
    .bind(&look.quotas)
    .bind(&look.attempts)
    .bind(OffsetDateTime::from(look.attempts_since))
    .bind(look.keys.iter().map(|(owner, _)| owner.as_str()).collect::<Vec<_>>())
    .bind(look.keys.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>())
    .bind(uuids(&look.orders))
    .fetch_all(pool)
    .await?;
    let mut looked = Looked { known: BTreeMap::new(), claims: BTreeMap::new(), used: BTreeMap::new() };
    for row in &rows {
        let (owner, key): (Option<String>, Option<String>) = (row.try_get("owner")?, row.try_get("key")?);
        match (owner, key) {
            (Some(owner), Some(key)) => {
                let known = KnownKey { order: order_id(row, "order_id")?, fingerprint: row.try_get("fingerprint")? };
                looked.known.insert((owner, key), known);
            }
            (_, Some(key)) => drop(looked.used.insert(key, row.try_get("n")?)),
            (_, None) => drop(looked.claims.insert(order_id(row, "order_id")?, ClaimOutcome::read(row.try_get("n")?))),
        }
    }
    Ok(looked)
}

/// Writes the orders of a batch in one statement, however many they are and whatever is in them.
pub(crate) async fn insert_orders(
    tx: &mut PgConnection,
    orders: &[&NewOrder],
    saga: &Saga,
    due: Timestamp,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|o| uuid(o.id())).collect();
    let parts: Vec<_> =
        orders.iter().flat_map(|o| content::parts(&o.content).into_iter().map(|part| (o.id(), part))).collect();
    let lines: Vec<_> =
        orders.iter().flat_map(|o| o.content.lines.iter().zip(0_i16..).map(|(line, n)| (o.id(), n, line))).collect();
    // Arrays of arrays have one length in Postgres; lists of quotas are joined, and keys never contain a line break.
    let joined = |quotas: &[content::Quota]| quotas.iter().map(|q| q.key.as_str()).collect::<Vec<_>>().join("\n");
    sqlx::query(
        "with new_orders as (
             insert into orders (id, number, owner, status, currency, total, content, payment, reinstates, placed_at)
             select i, n, o, 'awaiting_payment', c, t, q, p, r, $2
             from unnest($1::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::jsonb[], $8::jsonb[], $9::uuid[])
                  as u (i, n, o, c, t, q, p, r)),
         new_contacts as (
             insert into contact (order_id, email, name, shipping, billing)
             select * from unnest($1::uuid[], $10::text[], $11::text[], $12::jsonb[], $13::jsonb[])),
         new_sagas as (
             insert into saga (order_id, step, placed_at, pay_by, due, open, unpaid_quotas, budget_quotas)
             select i, $14, $2, $15, $16, a, string_to_array(u, E'\\n'), string_to_array(b, E'\\n')
             from unnest($1::uuid[], $17::jsonb[], $18::text[], $19::text[]) as t (i, a, u, b)),
         new_parts as (
             insert into order_part (order_id, merchant, total)
             select * from unnest($20::uuid[], $21::uuid[], $22::bigint[]))
         insert into order_line (order_id, n, sku_no, merchant, quantity, unit_price, discount, tax, total)
         select * from unnest($23::uuid[], $24::smallint[], $25::bigint[], $26::uuid[], $27::integer[], $28::bigint[],
                              $29::bigint[], $30::bigint[], $31::bigint[])",
    )
    .bind(&ids)
    .bind(OffsetDateTime::from(saga.placed_at))
    .bind(orders.iter().map(|o| content::number(o.id())).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.owner()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.content.currency.to_string()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.content.totals.total.amount()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| Json(&o.content)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| Json(&o.payment)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.again.as_ref().map(|again| uuid(again.of))).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.contact.email.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.contact.name.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| Json(&o.shipping)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.billing.as_ref().map(Json)).collect::<Vec<_>>())
    .bind(Json(saga.step))
    .bind(OffsetDateTime::from(saga.pay_by))
    .bind(OffsetDateTime::from(due))
    .bind(orders.iter().map(|o| Json(&o.open)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| joined(&o.unpaid)).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| joined(&o.budget)).collect::<Vec<_>>())
    .bind(parts.iter().map(|(order, _)| uuid(*order)).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, part)| Uuid::from_u128(part.merchant.as_u128())).collect::<Vec<_>>())
    .bind(parts.iter().map(|(_, part)| part.total.amount()).collect::<Vec<_>>())
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
