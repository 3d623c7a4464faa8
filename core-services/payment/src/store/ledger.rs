//! `transfer` and `intent_share`: written once, added up.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    id::{IntentId, JournalId, MerchantId, OrderId},
    ledger::{Account, Held, MerchantShare, Reason, Transfer},
    message::payment::{Balance, TransferView},
    money::Money,
};
use bodega_platform::{Entropy, Tx};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, uuid, uuids};
use crate::limits::TRANSFERS_MAX;

/// Shares of intents, by merchant in a fixed order.
pub(crate) async fn shares(
    tx: &mut Tx<'_, '_>,
    intents: &[IntentId],
) -> Result<BTreeMap<IntentId, Vec<MerchantShare>>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, i64, i64, i64)> = sqlx::query_as(
        "select intent, merchant, payable, tax, fee from intent_share where intent = any($1) order by intent, merchant",
    )
    .bind(uuids(intents.iter().map(|intent| intent.as_u128())))
    .fetch_all(&mut **tx)
    .await?;
    let mut shares: BTreeMap<IntentId, Vec<MerchantShare>> = BTreeMap::new();
    for (intent, merchant, payable, tax, fee) in rows {
        let share = MerchantShare { merchant: MerchantId::from_u128(merchant.as_u128()), payable, tax, fee };
        shares.entry(IntentId::from_u128(intent.as_u128())).or_default().push(share);
    }
    Ok(shares)
}

/// What merchants' accounts of an intent tell.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) held: Held,
    /// What they gave back out of their own merchant's sale.
    pub(crate) alone: Held,
    /// What they gave back in proportion with all others.
    pub(crate) together: Held,
}

/// Adds up the merchants' accounts of each intent.
pub(crate) async fn accounts(
    tx: &mut Tx<'_, '_>,
    intents: &[IntentId],
) -> Result<BTreeMap<IntentId, Accounts>, sqlx::Error> {
    let mut accounts: BTreeMap<IntentId, Accounts> = BTreeMap::new();
    if intents.is_empty() {
        return Ok(accounts);
    }
    // Index: transfer_by_intent.
    let rows: Vec<(Uuid, String, Uuid, i64, i64, i64)> = sqlx::query_as(
        "select intent, account, merchant, sum(amount)::bigint,
             coalesce(-sum(amount) filter (where reason = $2), 0)::bigint,
             coalesce(-sum(amount) filter (where reason = $3), 0)::bigint
         from (
             select intent, credit as account, merchant, amount, reason from transfer where intent = any($1)
             union all
             select intent, debit, merchant, -amount, reason from transfer where intent = any($1)) as side
         where merchant is not null group by intent, account, merchant",
    )
    .bind(uuids(intents.iter().map(|intent| intent.as_u128())))
    .bind(Reason::PartRefund.as_str())
    .bind(Reason::Refund.as_str())
    .fetch_all(&mut **tx)
    .await?;
    for (intent, account, merchant, held, alone, together) in rows {
        let account = Account::parse(&account).ok_or_else(|| damaged("transfer account"))?;
        if account.is_by_merchant() {
            let key = (account, MerchantId::from_u128(merchant.as_u128()));
            let of = accounts.entry(IntentId::from_u128(intent.as_u128())).or_default();
            of.held.insert(key, held);
            of.alone.insert(key, alone);
            of.together.insert(key, together);
        }
    }
    Ok(accounts)
}

/// Writes transfers; those of one intent and moment are one journal.
pub(crate) async fn insert(
    tx: &mut Tx<'_, '_>,
    transfers: &[(IntentId, OrderId, Transfer)],
    now: Timestamp,
    entropy: &Entropy,
) -> Result<(), sqlx::Error> {
    if transfers.is_empty() {
        return Ok(());
    }
    let mut journals: BTreeMap<IntentId, Uuid> = BTreeMap::new();
    let journal: Vec<Uuid> =
        transfers.iter().map(|(intent, ..)| *journals.entry(*intent).or_insert_with(|| entropy.uuid(now))).collect();
    sqlx::query(
        "insert into transfer (id, journal, intent, order_id, at, debit, credit, amount, currency, merchant, reason)
         select id, journal, intent, order_id, $11, debit, credit, amount, currency, merchant, reason
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[],
             $9::uuid[], $10::text[])
             as x (id, journal, intent, order_id, debit, credit, amount, currency, merchant, reason)",
    )
    .bind(transfers.iter().map(|_| entropy.uuid(now)).collect::<Vec<_>>())
    .bind(journal)
    .bind(transfers.iter().map(|(intent, ..)| uuid!(intent)).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(_, order, _)| uuid!(order)).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(.., transfer)| transfer.debit.as_str()).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(.., transfer)| transfer.credit.as_str()).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(.., transfer)| transfer.amount.amount()).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(.., transfer)| transfer.amount.currency().code().to_owned()).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(.., transfer)| transfer.merchant.map(|id| uuid!(id))).collect::<Vec<_>>())
    .bind(transfers.iter().map(|(.., transfer)| transfer.reason.as_str()).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Accounts with their balances (debits minus credits), added up from the transfers.
pub(crate) async fn balances(pool: &PgPool, merchant: Option<MerchantId>) -> Result<Vec<Balance>, sqlx::Error> {
    let by_merchant: Vec<&str> = Account::ALL.iter().filter(|a| a.is_by_merchant()).map(|a| a.as_str()).collect();
    let rows: Vec<(String, Option<Uuid>, String, i64)> = sqlx::query_as(
        "select account, case when account = any($1) then merchant end as whose, currency, sum(amount)::bigint from (
             select debit as account, merchant, currency, amount from transfer
             union all
             select credit, merchant, currency, -amount from transfer) as side
         where $2::uuid is null or (merchant = $2 and account = any($1))
         group by account, whose, currency order by account, whose, currency limit $3",
    )
    .bind(by_merchant)
    .bind(merchant.map(|id| uuid!(id)))
    .bind(TRANSFERS_MAX)
    .fetch_all(pool)
    .await?;
    let read = |(account, merchant, currency, amount): (String, Option<Uuid>, String, i64)| {
        let currency = currency.parse().map_err(|_| damaged("transfer.currency"))?;
        let balance = Money::new(amount, currency).map_err(|_| damaged("a balance"))?;
        Ok(Balance { account, merchant: merchant.map(|id| MerchantId::from_u128(id.as_u128())), balance })
    };
    rows.into_iter().map(read).collect()
}

type TransferRow = (Uuid, OffsetDateTime, String, String, i64, String, Option<Uuid>, String);

/// The transfers of an order, in the order they were written.
pub(crate) async fn transfers_of(pool: &PgPool, order: OrderId) -> Result<Vec<TransferView>, sqlx::Error> {
    // Index: transfer_by_order.
    let rows: Vec<TransferRow> = sqlx::query_as(
        "select journal, at, debit, credit, amount, currency, merchant, reason from transfer
         where order_id = $1 order by at, id limit $2",
    )
    .bind(uuid!(order))
    .bind(TRANSFERS_MAX)
    .fetch_all(pool)
    .await?;
    let read = |(journal, at, debit, credit, amount, currency, merchant, reason): TransferRow| {
        let currency = currency.parse().map_err(|_| damaged("transfer.currency"))?;
        Ok(TransferView {
            journal: JournalId::from_u128(journal.as_u128()),
            at: at.into(),
            debit,
            credit,
            amount: Money::new(amount, currency).map_err(|_| damaged("transfer.amount"))?,
            merchant: merchant.map(|id| MerchantId::from_u128(id.as_u128())),
            reason,
        })
    };
    rows.into_iter().map(read).collect()
}
