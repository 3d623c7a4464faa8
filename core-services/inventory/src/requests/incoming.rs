//! `inventory.v1.{announce,receive,give_up_incoming,incoming}`: goods that are on their way, and what has come of them.

use std::collections::BTreeSet;

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::{IncomingId, MerchantId},
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        inventory::{Adjustment, Announce, Announced, GiveUpIncoming, Incoming, IncomingView, Receive},
    },
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError, Tx};
use time::{Date, Month};

use super::{
    adjust::{
        ADJUSTMENT_UNITS_MAX, ADJUSTMENTS_MAX, ONE_LINE, book, is_line, known_are_the_same, lead_somewhere,
        lock_shelves, may_act_for,
    },
    count::record,
    parts,
    read::reads_of,
};
use crate::store::{self, Shelf, incoming::IncomingQuery};

/// `YYYY-MM-DD`, of this century or the next.
fn day(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let mut part = |digits: usize| {
        parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let year: i32 = year.parse().ok().filter(|year| (2000..2200).contains(year))?;
    Date::from_calendar_date(year, Month::try_from(month.parse::<u8>().ok()?).ok()?, day.parse().ok()?).ok()
}

/// The day of each of them.
fn validate(goods: &[Announced]) -> Result<Vec<Option<Date>>, Failure> {
    if goods.len() > ADJUSTMENTS_MAX {
        return Err(Failure::new(Code::PayloadTooLarge, "At most 5,000 articles at once."));
    }
    let mut v = Validation::new();
    v.check(!goods.is_empty(), "/goods", "required", "Announce at least one article.");
    let mut references: BTreeSet<(MerchantId, &str)> = BTreeSet::new();
    let mut days = Vec::with_capacity(goods.len());
    for (index, one) in goods.iter().enumerate() {
        let fits = (1..=ADJUSTMENT_UNITS_MAX).contains(&i64::from(one.quantity));
        v.check(fits, &format!("/goods/{index}/quantity"), "out_of_range", "Between 1 and 10^9 units.");
        v.check(is_line(&one.reference), &format!("/goods/{index}/reference"), "length", ONE_LINE);
        let first = references.insert((one.merchant, &one.reference));
        v.check(first, &format!("/goods/{index}/reference"), "repeated", "Each article has a reference of its own.");
        let expected = one.expected_on.as_deref().map(day);
        let is_day = expected != Some(None);
        v.check(is_day, &format!("/goods/{index}/expected_on"), "malformed", "A day, such as 2026-12-24.");
        days.push(expected.flatten());
    }
    v.finish()?;
    Ok(days)
}

pub(crate) async fn announce(inventory: Context, call: Call, request: Announce) -> Result<Vec<IncomingView>, Failure> {
    let days = validate(&request.goods)?;
    if !call.principal.acts_for_all() {
        may_act_for(&call.principal, &request.goods.iter().map(|one| one.merchant).collect())?;
    }
    let shelves: Vec<Shelf> = request.goods.iter().map(|one| (one.sku_no, one.location, one.merchant)).collect();
    lead_somewhere(&inventory, &call, "goods", &shelves).await?;
    let who = call.principal.who();
    let (inventory, goods, shelves, days, who) = (&inventory, &request.goods, &shelves, &days, who.as_str());
    let known = inventory
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                // Their shelves are shown, with nothing on hand so far.
                lock_shelves(&mut tx, shelves).await?;
                let now = inventory.clock().now();
                let id = || IncomingId::new(now.unix_ms(), inventory.entropy().bytes());
                let rows: Vec<_> = goods.iter().zip(days).map(|(one, day)| (id(), one, *day)).collect();
                let known = store::incoming::announce(&mut tx, &rows, who, now).await?;
                Ok::<_, TransactionError<Failure>>(known)
            })
        })
        .await?;
    let same = |(one, known): (&Announced, &IncomingView)| {
        (one.sku_no, one.location, i64::from(one.quantity), &one.expected_on)
            == (known.sku_no, known.location, known.quantity, &known.expected_on)
    };
    if let Some((one, _)) = request.goods.iter().zip(&known).find(|pair| !same(*pair)) {
        return Err(Failure::from(Code::IdempotencyKeyReused).about(one.reference.clone()));
    }
    Ok(known)
}

/// Announced goods that the asker may change. Another merchant's are none at all.
async fn own(inventory: &Context, call: &Call, id: IncomingId) -> Result<IncomingView, Failure> {
    let found = store::incoming::find(inventory.postgres().pool(), id).await.map_err(DatabaseError::from)?;
    found
        .filter(|incoming| call.principal.acts_for(incoming.merchant))
        .ok_or_else(|| Failure::new(Code::NotFound, "Nothing is announced under this id."))
}

pub(crate) async fn receive(inventory: Context, call: Call, request: Receive) -> Result<IncomingView, Failure> {
    if request.key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !is_line(&request.key) {
        return Err(Code::IdempotencyKeyMissing.into());
    }
    let mut v = Validation::new();
    let fits = (1..=ADJUSTMENT_UNITS_MAX).contains(&i64::from(request.quantity));
    v.check(fits, "/quantity", "out_of_range", "Between 1 and 10^9 units.");
    v.finish()?;
    let incoming = own(&inventory, &call, request.incoming).await?;
    let who = call.principal.who();
    let (inventory, incoming, request, who) = (&inventory, &incoming, &request, who.as_str());
    inventory
        .postgres()
        .transaction(|mut tx| Box::pin(async move { come(inventory, &mut tx, incoming, request, who).await }))
        .await
        .map_err(Failure::from)
}

async fn come(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    incoming: &IncomingView,
    request: &Receive,
    who: &str,
) -> Result<IncomingView, TransactionError<Failure>> {
    let IncomingView { id, sku_no, location, merchant, .. } = *incoming;
    let [.., named] = parts::REFERENCES;
    let units = i64::from(request.quantity);
    let arrived = [Adjustment {
        sku_no,
        location,
        merchant,
        delta: units,
        reason: "delivery".to_owned(),
        reference: format!("{named}{id}:{}", request.key),
    }];
    let mut rows = lock_shelves(tx, &[(sku_no, location, merchant)]).await?;
    let new = record(inventory, tx, &arrived, who).await?;
    let now = inventory.clock().now();
    if new.is_empty() {
        known_are_the_same(tx, &arrived).await?;
        return Ok(store::incoming::receive(tx, id, 0, false, now).await?);
    }
    book(inventory, tx, &mut rows, &new).await?;
    Ok(store::incoming::receive(tx, id, units, request.last, now).await?)
}

pub(crate) async fn give_up(inventory: Context, call: Call, request: GiveUpIncoming) -> Result<IncomingView, Failure> {
    let incoming = own(&inventory, &call, request.incoming).await?;
    let mut connection = inventory.postgres().pool().acquire().await.map_err(DatabaseError::from)?;
    let now = inventory.clock().now();
    Ok(store::incoming::receive(&mut connection, incoming.id, 0, true, now).await.map_err(DatabaseError::from)?)
}

pub(crate) async fn incoming(inventory: Context, call: Call, request: Incoming) -> Result<Page<IncomingView>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let wrong = |_| Failure::new(Code::BadRequest, "This cursor is not one of ours.");
    let before = request.cursor.as_deref().map(str::parse::<IncomingId>).transpose().map_err(wrong)?;
    let query = IncomingQuery { merchants, all: request.all, before, limit: i64::from(limit) + 1 };
    let mut items = store::incoming::list(inventory.postgres().pool(), &query).await.map_err(DatabaseError::from)?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > page;
    items.truncate(page);
    let next_cursor = items.last().filter(|_| more).map(|incoming| incoming.id.to_string());
    Ok(Page { items, next_cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_of_the_calendar() {
        assert_eq!(day("2026-12-24").map(|day| day.to_string()).as_deref(), Some("2026-12-24"));
        for wrong in
            ["2026-02-29", "2026-13-01", "24.12.2026", "2026-1-01", "1999-12-31", "2026-12-24-", "", "٢٠٢٦-12-24"]
        {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }
}
