//! `payment.v1.statement`: a merchant's month, a page of lines at a time.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure, Timestamp,
    failure::Validation,
    id::MerchantId,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::payment::{Statement, StatementLine, StatementOf},
    principal::Principal,
};
use bodega_platform::{Call, DatabaseError};
use time::{Date, Month as Name, OffsetDateTime};

use crate::{
    State,
    store::statement::{self, Month, Position},
};

pub(crate) async fn statement(state: Arc<State>, call: Call, request: StatementOf) -> Result<Statement, Failure> {
    let merchant = whose(&call.principal, request.merchant)?;
    let wrong_month = || field("/month", "malformed", "A month, such as 2026-12.");
    let month = request.month.unwrap_or_else(|| name_of(state.context.clock().now()));
    let (from, until) = bounds(&month).ok_or_else(wrong_month)?;
    let after = request.cursor.as_deref().map(parse_cursor).transpose()?;
    let limit = i64::from(request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX));
    let of = Month { merchant, from, until };

    let mut books = statement::begin(state.context.postgres().pool()).await.map_err(DatabaseError::from)?;
    let accounts = statement::accounts(&mut books, of).await.map_err(DatabaseError::from)?;
    // A merchant may ask for a currency in which nothing was booked yet: it has no lines.
    let currency = request.currency.or_else(|| accounts.keys().next().copied());
    let mut lines = Vec::new();
    if let Some(currency) = currency {
        let opening = accounts.get(&currency).map_or(0, |accounts| accounts.opening.payable.amount());
        let payable = match &after {
            None => opening,
            Some(end) => statement::payable_at(&mut books, of, currency, end).await.map_err(DatabaseError::from)?,
        };
        lines = statement::lines(&mut books, of, currency, after.as_ref(), payable, limit + 1)
            .await
            .map_err(DatabaseError::from)?;
    }
    books.rollback().await.map_err(DatabaseError::from)?;

    let more = i64::try_from(lines.len()).is_ok_and(|count| count > limit);
    if more {
        lines.pop();
    }
    let next_cursor = lines.last().filter(|_| more).map(cursor);
    let accounts = accounts.into_values().collect();
    Ok(Statement { merchant, month, from, until, accounts, currency, lines, next_cursor })
}

/// The merchant that is asked for, or the only one that is acted for.
fn whose(principal: &Principal, wanted: Option<MerchantId>) -> Result<MerchantId, Failure> {
    let mut own = principal.merchants();
    match (wanted, own.next(), own.next()) {
        (Some(merchant), ..) if principal.acts_for(merchant) => Ok(merchant),
        (Some(_), ..) => Err(Code::Forbidden.into()),
        (None, Some(only), None) if !principal.acts_for_all() => Ok(only),
        (None, ..) => Err(field("/merchant", "required", "Say whose statement it should be.")),
    }
}

fn field(pointer: &str, code: &str, text: &str) -> Failure {
    let mut v = Validation::new();
    v.check(false, pointer, code, text);
    v.finish().err().unwrap_or_else(Failure::internal)
}

/// `YYYY-MM`, in UTC.
fn name_of(at: Timestamp) -> String {
    let at = OffsetDateTime::from(at);
    format!("{:04}-{:02}", at.year(), u8::from(at.month()))
}

/// The first moment of a month, and the first one after it. Of this century or the next.
fn bounds(month: &str) -> Option<(Timestamp, Timestamp)> {
    let (year, number) = month.split_once('-')?;
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(year, 4) || !digits(number, 2) {
        return None;
    }
    let year: i32 = year.parse().ok().filter(|year| (2000..2200).contains(year))?;
    let name = Name::try_from(number.parse::<u8>().ok()?).ok()?;
    let first = |year: i32, name| -> Option<Timestamp> {
        Some(Date::from_calendar_date(year, name, 1).ok()?.midnight().assume_utc().into())
    };
    let next_year = if name == Name::December { year + 1 } else { year };
    Some((first(year, name)?, first(next_year, name.next())?))
}

fn cursor(line: &StatementLine) -> String {
    format!("{}~{}~{}", line.at.unix_ms(), line.journal, line.reason)
}

fn parse_cursor(text: &str) -> Result<Position, Failure> {
    let read = || {
        let mut parts = text.splitn(3, '~');
        let at = Timestamp::from_unix_ms(parts.next()?.parse().ok()?);
        let journal = parts.next()?.parse().ok()?;
        let reason = parts.next().filter(|reason| !reason.chars().any(char::is_control))?.to_owned();
        Some(Position { at, journal, reason })
    };
    read().ok_or_else(|| Failure::new(Code::BadRequest, "The cursor is not one of ours."))
}

#[cfg(test)]
mod tests {
    use bodega_domain::id::JournalId;

    use super::*;

    #[test]
    fn months_begin_and_end_in_utc() {
        let text = |month: &str| bounds(month).map(|(from, until)| (from.to_string(), until.to_string()));
        let of = |from: &str, until: &str| Some((from.to_owned(), until.to_owned()));
        assert_eq!(text("2026-11"), of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"));
        assert_eq!(text("2026-12"), of("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"));
        for wrong in
            ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-11-01", "+026-11", "1999-12", "2200-01"]
        {
            assert_eq!(bounds(wrong), None, "{wrong}");
        }
        let (from, until) = bounds("2028-02").unwrap();
        assert_eq!(until.ms_since(from), 29 * 24 * 3_600_000);
        assert_eq!(name_of(from), "2028-02");
        assert_eq!(name_of(from.plus_ms(-1)), "2028-01");
    }

    #[test]
    fn cursors_are_read_as_they_were_written() {
        let journal = JournalId::from_u128(7);
        let position = parse_cursor(&format!("1795000000000~{journal}~part_refund")).unwrap();
        let read = (position.at.unix_ms(), position.journal, position.reason.as_str());
        assert_eq!(read, (1_795_000_000_000, journal, "part_refund"));
        let broken = [format!("x~{journal}~capture"), format!("1~{journal}~\u{0}"), format!("1~{journal}")];
        for wrong in broken.iter().map(String::as_str).chain(["", "1~2", "1~x~capture"]) {
            assert!(parse_cursor(wrong).is_err(), "{wrong}");
        }
    }
}
