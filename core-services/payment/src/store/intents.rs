//! `intent`: read under its lock, written back whole.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Timestamp,
    id::{AttemptId, IntentId, OrderId},
    ledger::Booked,
    money::Money,
    order::{AtShipment, PaymentStatus},
    payment::Facts,
};
use bodega_platform::Tx;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, uuid, uuids};
use crate::intent::{Intent, parcels::Parcels};

/// The columns, as they come and go. Times are RFC 3339 where they go as JSON.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    order_id: Uuid,
    buyer: String,
    provider: String,
    provider_ref: Option<String>,
    amount: i64,
    currency: String,
    authorised: i64,
    captured: i64,
    refunded: i64,
    disputed: i64,
    cancelled: bool,
    mismatch: bool,
    refused: Json<BTreeSet<String>>,
    challenged: Json<BTreeMap<String, String>>,
    capture_claimed: i64,
    refund_claimed: i64,
    booked_captured: i64,
    booked_applied: i64,
    booked_refunded: i64,
    booked_applied_refunded: i64,
    booked_disputed: i64,
    closing: bool,
    capture_failed: bool,
    late_returned: bool,
    late_held_until: Option<OffsetDateTime>,
    at_shipment: Json<Vec<AtShipment>>,
    at_posting: i64,
    waiting: i64,
    forgone: i64,
    released: bool,
    in_parts: bool,
    capture_before: Option<OffsetDateTime>,
    attempts: i32,
    last_attempt: Option<Uuid>,
    last_attempted_at: Option<OffsetDateTime>,
    last_reference: Option<String>,
    last_unknown: bool,
    status: String,
    revision: i64,
}

/// What changes of a row, as `jsonb_to_recordset` reads it.
#[derive(Debug, Serialize)]
struct Change<'a> {
    id: Uuid,
    provider: &'a str,
    provider_ref: Option<&'a str>,
    authorised: i64,
    captured: i64,
    refunded: i64,
    disputed: i64,
    cancelled: bool,
    mismatch: bool,
    refused: &'a BTreeSet<String>,
    challenged: &'a BTreeMap<String, String>,
    capture_claimed: i64,
    refund_claimed: i64,
    booked_captured: i64,
    booked_applied: i64,
    booked_refunded: i64,
    booked_applied_refunded: i64,
    booked_disputed: i64,
    closing: bool,
    capture_failed: bool,
    late_returned: bool,
    late_held_until: Option<Timestamp>,
    at_shipment: &'a [AtShipment],
    at_posting: i64,
    waiting: i64,
    forgone: i64,
    released: bool,
    in_parts: bool,
    capture_before: Option<Timestamp>,
    attempts: i32,
    last_attempt: Option<Uuid>,
    last_attempted_at: Option<Timestamp>,
    last_reference: Option<&'a str>,
    last_unknown: bool,
    status: PaymentStatus,
    revision: i64,
}

impl TryFrom<Row> for Intent {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let currency = row.currency.parse().map_err(|_| damaged("intent.currency"))?;
        Ok(Self {
            id: IntentId::from_u128(row.id.as_u128()),
            order: OrderId::from_u128(row.order_id.as_u128()),
            buyer: row.buyer,
            provider: row.provider,
            reference: row.provider_ref,
            amount: Money::new(row.amount, currency).map_err(|_| damaged("intent.amount"))?,
            facts: Facts {
                authorised: row.authorised,
                captured: row.captured,
                refunded: row.refunded,
                cancelled: row.cancelled,
                refused: row.refused.0,
                challenged: row.challenged.0,
                disputed: row.disputed,
                mismatch: row.mismatch,
            },
            capture_claimed: row.capture_claimed,
            refund_claimed: row.refund_claimed,
            booked: Booked {
                captured: row.booked_captured,
                applied: row.booked_applied,
                refunded: row.booked_refunded,
                applied_refunded: row.booked_applied_refunded,
                disputed: row.booked_disputed,
            },
            closing: row.closing,
            capture_failed: row.capture_failed,
            late_returned: row.late_returned,
            late_held_until: row.late_held_until.map(Timestamp::from),
            parcels: Parcels {
                at_shipment: row.at_shipment.0,
                at_posting: row.at_posting,
                waiting: row.waiting,
                forgone: row.forgone,
                released: row.released,
                in_parts: row.in_parts,
                capture_before: row.capture_before.map(Timestamp::from),
            },
            attempts: row.attempts,
            last_attempt: row.last_attempt.map(|id| AttemptId::from_u128(id.as_u128())),
            last_attempted_at: row.last_attempted_at.map(Timestamp::from),
            last_reference: row.last_reference,
            last_unknown: row.last_unknown,
            status: read_status(&row.status)?,
            revision: row.revision,
        })
    }
}

/// As stored: the name that others see.
pub(crate) fn status_text(status: PaymentStatus) -> String {
    match serde_json::to_value(status) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

fn read_status(text: &str) -> Result<PaymentStatus, sqlx::Error> {
    let text = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    PaymentStatus::deserialize(text).map_err(|_| damaged("intent.status"))
}

fn read(rows: Vec<Row>) -> Result<Vec<Intent>, sqlx::Error> {
    rows.into_iter().map(Intent::try_from).collect()
}

/// Ids of the intents that providers know under these references, in the order of `references`.
pub(crate) async fn find_by_reference(
    tx: &mut Tx<'_, '_>,
    references: &[(&str, &str)],
) -> Result<BTreeMap<(String, String), IntentId>, sqlx::Error> {
    if references.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (providers, references): (Vec<&str>, Vec<&str>) = references.iter().copied().unzip();
    // Index: intent_by_reference.
    let rows: Vec<(String, String, Uuid)> = sqlx::query_as(
        "select i.provider, i.provider_ref, i.id
         from unnest($1::text[], $2::text[]) as asked (provider, reference)
         join intent i on i.provider = asked.provider and i.provider_ref = asked.reference",
    )
    .bind(providers)
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(p, r, id)| ((p, r), IntentId::from_u128(id.as_u128()))).collect())
}

/// Locks intents, by their own or their order's id, in the order that everybody locks them.
pub(crate) async fn lock(
    tx: &mut Tx<'_, '_>,
    ids: impl IntoIterator<Item = IntentId>,
    orders: impl IntoIterator<Item = OrderId>,
) -> Result<Vec<Intent>, sqlx::Error> {
    let rows = sqlx::query_as("select * from intent where id = any($1) or order_id = any($2) order by id for update")
        .bind(uuids(ids.into_iter().map(IntentId::as_u128)))
        .bind(uuids(orders.into_iter().map(OrderId::as_u128)))
        .fetch_all(&mut **tx)
        .await?;
    read(rows)
}

/// The same inside a transaction, without a lock.
pub(crate) async fn of_orders_in(tx: &mut Tx<'_, '_>, orders: &[OrderId]) -> Result<Vec<Intent>, sqlx::Error> {
    let rows = sqlx::query_as("select * from intent where order_id = any($1)")
        .bind(uuids(orders.iter().map(|order| order.as_u128())))
        .fetch_all(&mut **tx)
        .await?;
    read(rows)
}

/// Intents of orders as they are now.
pub(crate) async fn of_orders(pool: &PgPool, orders: &[OrderId]) -> Result<Vec<Intent>, sqlx::Error> {
    let rows = sqlx::query_as("select * from intent where order_id = any($1)")
        .bind(uuids(orders.iter().map(|order| order.as_u128())))
        .fetch_all(pool)
        .await?;
    read(rows)
}

/// Writes locked intents back. One that has news to tell is told again from `tell_at` on, unless it is told before.
pub(crate) async fn save(tx: &mut Tx<'_, '_>, intents: &[&Intent], tell_at: Timestamp) -> Result<(), sqlx::Error> {
    if intents.is_empty() {
        return Ok(());
    }
    let changes: Vec<Change<'_>> = intents.iter().map(|intent| change(intent)).collect();
    sqlx::query(
        "update intent set
             provider = x.provider, provider_ref = x.provider_ref,
             authorised = x.authorised, captured = x.captured, refunded = x.refunded, disputed = x.disputed,
             cancelled = x.cancelled, mismatch = x.mismatch, refused = x.refused, challenged = x.challenged,
             capture_claimed = x.capture_claimed, refund_claimed = x.refund_claimed,
             booked_captured = x.booked_captured, booked_applied = x.booked_applied,
             booked_refunded = x.booked_refunded, booked_applied_refunded = x.booked_applied_refunded,
             booked_disputed = x.booked_disputed,
             closing = x.closing, capture_failed = x.capture_failed, late_returned = x.late_returned,
             late_held_until = x.late_held_until,
             at_shipment = x.at_shipment, at_posting = x.at_posting,
             waiting = x.waiting, forgone = x.forgone, released = x.released,
             in_parts = x.in_parts, capture_before = x.capture_before,
             attempts = x.attempts, last_attempt = x.last_attempt, last_attempted_at = x.last_attempted_at,
             last_reference = x.last_reference, last_unknown = x.last_unknown,
             status = x.status, revision = x.revision,
             tell_at = case when x.revision > intent.revision then $2 else intent.tell_at end,
             tell_tries = case when x.revision > intent.revision then 0 else intent.tell_tries end
         from jsonb_to_recordset($1) as x (
             id uuid, provider text, provider_ref text,
             authorised bigint, captured bigint, refunded bigint, disputed bigint,
             cancelled boolean, mismatch boolean, refused jsonb, challenged jsonb,
             capture_claimed bigint, refund_claimed bigint,
             booked_captured bigint, booked_applied bigint, booked_refunded bigint, booked_applied_refunded bigint,
             booked_disputed bigint,
             closing boolean, capture_failed boolean, late_returned boolean,
             late_held_until timestamptz,
             at_shipment jsonb, at_posting bigint, waiting bigint, forgone bigint, released boolean,
             in_parts boolean, capture_before timestamptz,
             attempts integer, last_attempt uuid, last_attempted_at timestamptz,
             last_reference text, last_unknown boolean, status text, revision bigint)
         where intent.id = x.id",
    )
    .bind(Json(changes))
    .bind(OffsetDateTime::from(tell_at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn change(intent: &Intent) -> Change<'_> {
    let Intent { facts, booked, parcels, .. } = intent;
    Change {
        id: uuid!(intent.id),
        provider: &intent.provider,
        provider_ref: intent.reference.as_deref(),
        authorised: facts.authorised,
        captured: facts.captured,
        refunded: facts.refunded,
        disputed: facts.disputed,
        cancelled: facts.cancelled,
        mismatch: facts.mismatch,
        refused: &facts.refused,
        challenged: &facts.challenged,
        capture_claimed: intent.capture_claimed,
        refund_claimed: intent.refund_claimed,
        booked_captured: booked.captured,
        booked_applied: booked.applied,
        booked_refunded: booked.refunded,
        booked_applied_refunded: booked.applied_refunded,
        booked_disputed: booked.disputed,
        closing: intent.closing,
        capture_failed: intent.capture_failed,
        late_returned: intent.late_returned,
        late_held_until: intent.late_held_until,
        at_shipment: &parcels.at_shipment,
        at_posting: parcels.at_posting,
        waiting: parcels.waiting,
        forgone: parcels.forgone,
        released: parcels.released,
        in_parts: parcels.in_parts,
        capture_before: parcels.capture_before,
        attempts: intent.attempts,
        last_attempt: intent.last_attempt.map(|id| uuid!(id)),
        last_attempted_at: intent.last_attempted_at,
        last_reference: intent.last_reference.as_deref(),
        last_unknown: intent.last_unknown,
        status: intent.status,
        revision: intent.revision,
    }
}

/// Notes that intents pay other orders than before.
pub(crate) async fn give_to_their_orders(tx: &mut Tx<'_, '_>, intents: &[&Intent]) -> Result<(), sqlx::Error> {
    if intents.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update intent set order_id = x.order_id, buyer = x.buyer
         from unnest($1::uuid[], $2::uuid[], $3::text[]) as x (id, order_id, buyer) where intent.id = x.id",
    )
    .bind(intents.iter().map(|intent| uuid!(intent.id)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| uuid!(intent.order)).collect::<Vec<_>>())
    .bind(intents.iter().map(|intent| intent.buyer.as_str()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Intents whose late money has waited long enough.
pub(crate) async fn held_long_enough(pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<IntentId>, sqlx::Error> {
    // Index: intent_late_held.
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select id from intent where late_held_until <= $1 order by late_held_until limit $2")
            .bind(OffsetDateTime::from(now))
            .bind(limit)
            .fetch_all(pool)
            .await?;
    Ok(ids.into_iter().map(|id| IntentId::from_u128(id.as_u128())).collect())
}

/// Notes which revisions the order service has acknowledged.
pub(crate) async fn mark_told(pool: &PgPool, told: &[(IntentId, i64)]) -> Result<(), sqlx::Error> {
    // Locked in the order of everybody else; `update … from` would take what comes first.
    sqlx::query(
        "with told as materialized (
             select i.id, t.revision from unnest($1::uuid[], $2::bigint[]) as t (id, revision)
             join intent i using (id) order by i.id for update of i)
         update intent set told_revision = greatest(told_revision, told.revision) from told where intent.id = told.id",
    )
    .bind(uuids(told.iter().map(|(id, _)| id.as_u128())))
    .bind(told.iter().map(|(_, revision)| *revision).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes intents whose news nobody has acknowledged, and puts their next telling off.
pub(crate) async fn take_untold(
    pool: &PgPool,
    now: Timestamp,
    pause: (i64, i64),
    limit: i64,
) -> Result<Vec<Intent>, sqlx::Error> {
    // Index: intent_to_tell.
    let rows = sqlx::query_as(
        "update intent set
             tell_tries = tell_tries + 1,
             tell_at = $1 + least($2 * (1 << least(tell_tries, 16)), $3) * interval '1 millisecond'
         where id in (
             select id from intent where told_revision < revision and tell_at <= $1
             order by tell_at limit $4 for update skip locked)
         returning *",
    )
    .bind(OffsetDateTime::from(now))
    .bind(pause.0)
    .bind(pause.1)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    read(rows)
}
