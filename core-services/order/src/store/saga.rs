//! SQL of sagas: locked with their orders, changed set-based, leased when they are due.

use bodega_domain::{
    Timestamp,
    id::{MerchantId, OrderId},
    message::payment::OpenAsk,
    order::{OrderStatus, PaymentView},
    saga::{Saga, Step},
};
use sqlx::{PgConnection, PgPool, Row as _, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{json, order_id, timestamp, uuid, uuids, word};

/// A saga with what it needs of its order, both locked.
#[derive(Clone, Debug)]
pub(crate) struct LockedSaga {
    pub(crate) order: OrderId,
    pub(crate) status: OrderStatus,
    pub(crate) payment: PaymentView,
    pub(crate) payment_revision: i64,
    pub(crate) saga: Saga,
    pub(crate) attempts: i32,
    pub(crate) unpaid_quotas: Vec<String>,
    pub(crate) budget_quotas: Vec<String>,
}

/// Locks orders and their sagas by id.
pub(crate) async fn lock(tx: &mut PgConnection, orders: &[OrderId]) -> Result<Vec<LockedSaga>, sqlx::Error> {
    let rows = sqlx::query(
        "select o.id, o.status, o.payment, o.payment_revision, s.step, s.placed_at, s.pay_by, s.closing_since,
                s.waiting_since, s.attempts, s.unpaid_quotas, s.budget_quotas
         from orders o join saga s on s.order_id = o.id
         where o.id = any($1) order by o.id for update",
    )
    .bind(uuids(orders))
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let closing_since: Option<OffsetDateTime> = row.try_get("closing_since")?;
            let waiting_since: Option<OffsetDateTime> = row.try_get("waiting_since")?;
            Ok(LockedSaga {
                order: order_id(row, "id")?,
                status: word(row, "status")?,
                payment: json(row, "payment")?,
                payment_revision: row.try_get("payment_revision")?,
                saga: Saga {
                    step: json(row, "step")?,
                    placed_at: timestamp(row, "placed_at")?,
                    pay_by: timestamp(row, "pay_by")?,
                    closing_since: closing_since.map(Timestamp::from),
                    waiting_since: waiting_since.map(Timestamp::from),
                },
                attempts: row.try_get("attempts")?,
                unpaid_quotas: row.try_get("unpaid_quotas")?,
                budget_quotas: row.try_get("budget_quotas")?,
            })
        })
        .collect()
}

/// A saga as it is to be stored.
pub(crate) struct ChangedSaga {
    pub(crate) locked: LockedSaga,
    pub(crate) due: Option<Timestamp>,
}

/// Writes changed sagas and their orders.
pub(crate) async fn update(tx: &mut PgConnection, changed: &[ChangedSaga]) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changed.iter().map(|c| uuid(c.locked.order)).collect();
    sqlx::query(
        "update orders o set status = d.status, payment = d.payment, payment_revision = d.revision
         from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[]) as d(id, status, payment, revision)
         where o.id = d.id",
    )
    .bind(&ids)
    .bind(changed.iter().map(|c| c.locked.status.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| Json(&c.locked.payment)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.locked.payment_revision).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update saga s set step = d.step, pay_by = d.pay_by, closing_since = d.closing, due = d.due, attempts = d.attempts,
             waiting_since = d.waiting
         from unnest($1::uuid[], $2::jsonb[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::integer[],
                     $7::timestamptz[])
              as d(id, step, pay_by, closing, due, attempts, waiting)
         where s.order_id = d.id",
    )
    .bind(&ids)
    .bind(changed.iter().map(|c| Json(c.locked.saga.step)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| OffsetDateTime::from(c.locked.saga.pay_by)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.locked.saga.closing_since.map(OffsetDateTime::from)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.due.map(OffsetDateTime::from)).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.locked.attempts).collect::<Vec<_>>())
    .bind(changed.iter().map(|c| c.locked.saga.waiting_since.map(OffsetDateTime::from)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes sagas that are due, so that no other process takes them for a while.
pub(crate) async fn lease(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<OrderId>, sqlx::Error> {
    // Index: saga_due. Skipping locked rows is fine: whoever holds them is driving them.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "update saga set due = $2 where order_id in
            (select order_id from saga where due <= $1 order by due limit $3 for update skip locked)
         returning order_id",
    )
    .bind(OffsetDateTime::from(now))
    .bind(OffsetDateTime::from(until))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// Orders with parts of these merchants that may still be paid although their first attempt has ended without
/// authorisation: it was refused, or another one followed. Oldest first.
pub(crate) async fn unproven(pool: &PgPool, merchants: &[MerchantId], limit: i64) -> Result<Vec<OrderId>, sqlx::Error> {
    // Index: saga_due, which holds only what is under way.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select o.id from saga s join orders o on o.id = s.order_id
         where s.due is not null and s.step = $2 and o.status = 'awaiting_payment'
           and exists (select from order_part p where p.order_id = o.id and p.merchant = any($1))
           and (o.payment ->> 'status' = 'refused'
                or exists (select from attempt a where a.order_id = o.id and a.cause <> 'checkout'))
         order by o.placed_at, o.id limit $3",
    )
    .bind(merchants.iter().map(|merchant| Uuid::from_u128(merchant.as_u128())).collect::<Vec<_>>())
    .bind(Json(Step::Paying))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(|id| OrderId::from_u128(id.as_u128())).collect())
}

/// The messages that open these orders' payments.
pub(crate) async fn open_asks(pool: &PgPool, orders: &[OrderId]) -> Result<Vec<OpenAsk>, sqlx::Error> {
    let rows =
        sqlx::query("select open from saga where order_id = any($1)").bind(uuids(orders)).fetch_all(pool).await?;
    rows.iter().map(|row| json(row, "open")).collect()
}

/// Notes what somebody should look at.
pub(crate) async fn insert_exceptions(
    tx: &mut PgConnection,
    exceptions: &[(OrderId, &'static str)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if exceptions.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into exception (order_id, kind, opened_at) select o, k, $3 from unnest($1::uuid[], $2::text[]) as t(o, k)",
    )
    .bind(exceptions.iter().map(|(order, _)| uuid(*order)).collect::<Vec<_>>())
    .bind(exceptions.iter().map(|(_, kind)| *kind).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// What became of remembering an operation's key.
pub(crate) enum KeyOutcome {
    New,
    Same,
    Reused,
}

/// Remembers the key of an operation on an order.
pub(crate) async fn remember_key(
    tx: &mut PgConnection,
    owner: &str,
    key: &str,
    order: OrderId,
    fingerprint: &[u8],
) -> Result<KeyOutcome, sqlx::Error> {
    let done = sqlx::query(
        "insert into operation_key (owner, key, order_id, fingerprint) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(owner)
    .bind(key)
    .bind(uuid(order))
    .bind(fingerprint)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(KeyOutcome::New);
    }
    let row = sqlx::query("select order_id, fingerprint from operation_key where owner = $1 and key = $2")
        .bind(owner)
        .bind(key)
        .fetch_one(tx)
        .await?;
    let same = order_id(&row, "order_id")? == order && row.try_get::<Vec<u8>, _>("fingerprint")? == fingerprint;
    Ok(if same { KeyOutcome::Same } else { KeyOutcome::Reused })
}

/// Forgets the key of an operation that did not come about after all.
pub(crate) async fn forget_key(tx: &mut PgConnection, owner: &str, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from operation_key where owner = $1 and key = $2").bind(owner).bind(key).execute(tx).await?;
    Ok(())
}
