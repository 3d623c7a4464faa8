//! `transfer`, as one merchant sees it.

use std::collections::BTreeMap;

use bodega_domain::{
    Currency, Timestamp,
    id::{JournalId, MerchantId, OrderId},
    ledger::Account,
    message::payment::{Standing, StatementAccounts, StatementLine},
    money::Money,
};
use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{damaged, uuid};

/// Where a page of lines ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) at: Timestamp,
    pub(crate) journal: JournalId,
    pub(crate) reason: String,
}

/// A month of a merchant.
#[derive(Clone, Copy)]
pub(crate) struct Month {
    pub(crate) merchant: MerchantId,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// All statements of it see the books as they are now: the lines come to what the accounts say.
pub(crate) async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("begin isolation level repeatable read, read only").await
}

/// The accounts of each currency in which anything was booked before the end of the month.
pub(crate) async fn accounts(
    connection: &mut PgConnection,
    month: Month,
) -> Result<BTreeMap<Currency, StatementAccounts>, sqlx::Error> {
    // Index: transfer_by_merchant_and_time.
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "select currency, account, coalesce(sum(amount) filter (where at < $2), 0)::bigint, sum(amount)::bigint
         from (
             select currency, at, credit as account, amount from transfer where merchant = $1 and at < $3
             union all
             select currency, at, debit, -amount from transfer where merchant = $1 and at < $3) as side
         group by currency, account",
    )
    .bind(uuid!(month.merchant))
    .bind(OffsetDateTime::from(month.from))
    .bind(OffsetDateTime::from(month.until))
    .fetch_all(connection)
    .await?;
    let mut accounts: BTreeMap<Currency, StatementAccounts> = BTreeMap::new();
    for (currency, account, opening, closing) in rows {
        let currency: Currency = currency.parse().map_err(|_| damaged("transfer.currency"))?;
        let none = || StatementAccounts { opening: nothing(currency), closing: nothing(currency) };
        let of = accounts.entry(currency).or_insert_with(none);
        set(&mut of.opening, &account, opening)?;
        set(&mut of.closing, &account, closing)?;
    }
    Ok(accounts)
}

/// What was owed to the merchant when a page ended.
pub(crate) async fn payable_at(
    connection: &mut PgConnection,
    month: Month,
    currency: Currency,
    position: &Position,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select coalesce(sum(case when credit = $6 then amount when debit = $6 then -amount else 0 end), 0)::bigint
         from transfer
         where merchant = $1 and currency = $2 and (at, journal) <= ($3, $4)
           and (at < $3 or journal < $4 or reason <= $5)",
    )
    .bind(uuid!(month.merchant))
    .bind(currency.code())
    .bind(OffsetDateTime::from(position.at))
    .bind(uuid!(position.journal))
    .bind(position.reason.as_str())
    .bind(Account::MerchantPayable.as_str())
    .fetch_one(connection)
    .await
}

/// A page of the month's lines after a position, oldest first. `payable` is what was owed to the merchant there.
pub(crate) async fn lines(
    connection: &mut PgConnection,
    month: Month,
    currency: Currency,
    after: Option<&Position>,
    payable: i64,
    limit: i64,
) -> Result<Vec<StatementLine>, sqlx::Error> {
    // Index: transfer_by_merchant_and_time.
    let rows = sqlx::query(
        "select at, journal, order_id, reason,
             sum(case when credit = $9 then amount when debit = $9 then -amount else 0 end)::bigint as payable,
             sum(case when credit = $10 then amount when debit = $10 then -amount else 0 end)::bigint as held,
             sum(case when credit = $11 then amount when debit = $11 then -amount else 0 end)::bigint as tax,
             sum(case when credit = $12 then amount when debit = $12 then -amount else 0 end)::bigint as fee
         from transfer
         where merchant = $1 and currency = $2 and at >= coalesce($5, $3) and at < $4
           and ($5 is null or (at, journal, reason) > ($5, $6, $7))
         group by at, journal, order_id, reason order by at, journal, reason limit $8",
    )
    .bind(uuid!(month.merchant))
    .bind(currency.code())
    .bind(OffsetDateTime::from(month.from))
    .bind(OffsetDateTime::from(month.until))
    .bind(after.map(|position| OffsetDateTime::from(position.at)))
    .bind(after.map(|position| uuid!(position.journal)))
    .bind(after.map(|position| position.reason.as_str()))
    .bind(limit)
    .bind(Account::MerchantPayable.as_str())
    .bind(Account::MerchantHeld.as_str())
    .bind(Account::TaxPayable.as_str())
    .bind(Account::PlatformFee.as_str())
    .fetch_all(connection)
    .await?;
    let mut owed = payable;
    rows.iter()
        .map(|row| {
            owed += row.try_get::<i64, _>("payable")?;
            line(row, currency, owed)
        })
        .collect()
}

fn line(row: &PgRow, currency: Currency, owed: i64) -> Result<StatementLine, sqlx::Error> {
    let money = |name: &str| money(row.try_get(name)?, currency);
    let order: Option<Uuid> = row.try_get("order_id")?;
    Ok(StatementLine {
        at: row.try_get::<OffsetDateTime, _>("at")?.into(),
        journal: JournalId::from_u128(row.try_get::<Uuid, _>("journal")?.as_u128()),
        order: order.map(|id| OrderId::from_u128(id.as_u128())),
        reason: row.try_get("reason")?,
        change: Standing { payable: money("payable")?, held: money("held")?, tax: money("tax")?, fee: money("fee")? },
        payable: self::money(owed, currency)?,
    })
}

fn nothing(currency: Currency) -> Standing {
    let zero = Money::zero(currency);
    Standing { payable: zero, held: zero, tax: zero, fee: zero }
}

/// Accounts that are not kept by merchant are not the merchant's.
fn set(standing: &mut Standing, account: &str, amount: i64) -> Result<(), sqlx::Error> {
    let place = match Account::parse(account) {
        Some(Account::MerchantPayable) => &mut standing.payable,
        Some(Account::MerchantHeld) => &mut standing.held,
        Some(Account::TaxPayable) => &mut standing.tax,
        Some(Account::PlatformFee) => &mut standing.fee,
        Some(_) => return Ok(()),
        None => return Err(damaged("a transfer's account")),
    };
    *place = money(amount, place.currency())?;
    Ok(())
}

fn money(amount: i64, currency: Currency) -> Result<Money, sqlx::Error> {
    Money::new(amount, currency).map_err(|_| damaged("an amount"))
}
