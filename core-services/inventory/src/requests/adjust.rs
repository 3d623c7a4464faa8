//! `inventory.v1.{adjust,put_locations}`: what merchants and admins count, and where.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Currency, Failure,
    catalog::SkuNo,
    failure::Validation,
    id::{LocationId, MerchantId},
    limits::CART_LINES_MAX,
    message::{
        Done,
        catalog::PriceLines,
        inventory::{Adjust, Adjustment, PutLocations},
    },
    principal::Principal,
    stock::{StockRow, standings},
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError, Tx};

use super::{announce_standings, exceptions, parts};
use crate::store::{self, Shelf, movements::Movement};

/// Adjustments in one message.
pub(super) const ADJUSTMENTS_MAX: usize = 5_000;
/// Units in one adjustment: far beyond any shelf, far below what a sum could overflow with.
pub(super) const ADJUSTMENT_UNITS_MAX: i64 = 1_000_000_000;
/// How references of returns begin: only the order service books them.
const RETURNED: &str = "return:";
/// Bytes of a reason or reference.
const TEXT_BYTES_MAX: usize = 120;

pub(crate) async fn adjust(inventory: Context, call: Call, mut request: Adjust) -> Result<Done, Failure> {
    validate(&request.adjustments)?;
    request.adjustments = once_each(request.adjustments)?;
    if !matches!(call.principal, Principal::Service)
        && request.adjustments.iter().any(|adjustment| adjustment.reference.starts_with(RETURNED))
    {
        let detail = "What comes back with a return is booked by the order it belongs to.";
        return Err(Failure::from(Code::ValidationFailed).field("/adjustments", "reserved", detail));
    }
    let merchants: BTreeSet<MerchantId> = request.adjustments.iter().map(|a| a.merchant).collect();
    if !call.principal.acts_for_all() {
        may_act_for(&call.principal, &merchants)?;
    }
    lead_somewhere(&inventory, &call, "adjustments", &shelves(&request.adjustments)).await?;
    let adjustments = &request.adjustments;
    let who = call.principal.who();
    let who = who.as_str();
    inventory
        .postgres()
        .transaction(|mut tx| {
            let inventory = inventory.clone();
            Box::pin(async move { count(&inventory, &mut tx, adjustments, who).await })
        })
        .await?;
    Ok(Done {})
}

fn shelves(adjustments: &[Adjustment]) -> Vec<Shelf> {
    adjustments.iter().map(|a| (a.sku_no, a.location, a.merchant)).collect()
}

/// Shelves of a request's list: their places are known, and who is no admin sells what lies there.
pub(super) async fn lead_somewhere(
    inventory: &Context,
    call: &Call,
    list: &str,
    shelves: &[Shelf],
) -> Result<(), Failure> {
    if !call.principal.acts_for_all() {
        sells(inventory, call, shelves).await?;
    }
    let wanted: BTreeSet<LocationId> = shelves.iter().map(|(_, location, _)| *location).collect();
    let wanted: Vec<LocationId> = wanted.into_iter().collect();
    let known = store::known_locations(inventory.postgres().pool(), &wanted).await.map_err(DatabaseError::from)?;
    let mut v = Validation::new();
    for (index, (_, location, _)) in shelves.iter().enumerate() {
        let at = format!("/{list}/{index}/location");
        v.check(known.contains(location), &at, "unknown", "There is no such location.");
    }
    v.finish()
}

/// Makes and locks shelves, each its merchant's own.
pub(super) async fn lock_shelves(
    tx: &mut Tx<'_, '_>,
    shelves: &[Shelf],
) -> Result<Vec<StockRow>, TransactionError<Failure>> {
    store::ensure_stock(tx, shelves).await?;
    let skus: Vec<SkuNo> = shelves.iter().map(|(sku, ..)| *sku).collect::<BTreeSet<_>>().into_iter().collect();
    let rows = store::lock_stock(tx, &skus).await?;
    let owner: BTreeMap<(SkuNo, LocationId), MerchantId> =
        rows.iter().map(|row| ((row.sku_no, row.location), row.merchant)).collect();
    if shelves.iter().all(|(sku, location, merchant)| owner.get(&(*sku, *location)) == Some(merchant)) {
        return Ok(rows);
    }
    Err(TransactionError::Refused(Failure::new(Code::Forbidden, "This stock belongs to another merchant.")))
}

/// What a text has to be.
pub(super) const ONE_LINE: &str = "1 to 120 bytes without control characters.";

pub(super) fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

fn validate(adjustments: &[Adjustment]) -> Result<(), Failure> {
    if adjustments.len() > ADJUSTMENTS_MAX {
        return Err(Failure::new(Code::PayloadTooLarge, "At most 5,000 adjustments at once."));
    }
    let mut v = Validation::new();
    for (index, adjustment) in adjustments.iter().enumerate() {
        let units = adjustment.delta.unsigned_abs();
        let fits = units > 0 && units <= ADJUSTMENT_UNITS_MAX.unsigned_abs();
        v.check(fits, &format!("/adjustments/{index}/delta"), "out_of_range", "Between 1 and 10^9 units, up or down.");
        for (name, text) in [("reason", &adjustment.reason), ("reference", &adjustment.reference)] {
            v.check(is_line(text), &format!("/adjustments/{index}/{name}"), "length", ONE_LINE);
        }
        let ours = parts::REFERENCES.iter().any(|ours| adjustment.reference.starts_with(ours));
        v.check(
            !ours,
            &format!("/adjustments/{index}/reference"),
            "reserved",
            "Movements of shipments, counts, transfers and announced goods are called so.",
        );
    }
    v.finish()
}

/// The same reference twice in one message is one change; with another content it is a mistake.
fn once_each(adjustments: Vec<Adjustment>) -> Result<Vec<Adjustment>, Failure> {
    let mut first: BTreeMap<(MerchantId, String), Adjustment> = BTreeMap::new();
    let mut once = Vec::with_capacity(adjustments.len());
    for adjustment in adjustments {
        match first.get(&(adjustment.merchant, adjustment.reference.clone())) {
            Some(known) if *known == adjustment => {}
            Some(_) => return Err(Failure::from(Code::IdempotencyKeyReused).about(adjustment.reference)),
            None => {
                first.insert((adjustment.merchant, adjustment.reference.clone()), adjustment.clone());
                once.push(adjustment);
            }
        }
    }
    Ok(once)
}

/// A merchant counts its own goods only.
pub(super) fn may_act_for(principal: &Principal, merchants: &BTreeSet<MerchantId>) -> Result<(), Failure> {
    let own: BTreeSet<MerchantId> = principal.merchants().collect();
    if merchants.is_subset(&own) { Ok(()) } else { Err(Code::Forbidden.into()) }
}

/// Who counts a SKU for the first time has to sell it: otherwise one merchant could fill another's shelf with nothing.
async fn sells(inventory: &Context, call: &Call, shelves: &[Shelf]) -> Result<(), Failure> {
    let skus: BTreeSet<SkuNo> = shelves.iter().map(|(sku, ..)| *sku).collect();
    let skus: Vec<SkuNo> = skus.into_iter().collect();
    let mut sellers = store::sellers_of(inventory.postgres().pool(), &skus).await.map_err(DatabaseError::from)?;
    let new: Vec<SkuNo> = skus.into_iter().filter(|sku| !sellers.contains_key(sku)).collect();
    for sku_nos in new.chunks(CART_LINES_MAX) {
        // Any price list: what is wanted is whose they are.
        let ask = PriceLines { sku_nos: sku_nos.to_vec(), currency: Currency::EUR };
        let answer = inventory.bus().request(&ask, &call.context).await?;
        sellers.extend(answer.skus.into_iter().map(|sku| (sku.sku_no, sku.merchant)));
    }
    if shelves.iter().all(|(sku, _, merchant)| sellers.get(sku) == Some(merchant)) {
        return Ok(());
    }
    Err(Failure::new(Code::Forbidden, "This article is another merchant's, or not sold at all."))
}

async fn count(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    adjustments: &[Adjustment],
    who: &str,
) -> Result<(), TransactionError<Failure>> {
    let now = inventory.clock().now();
    let mut rows = lock_shelves(tx, &shelves(adjustments)).await?;
    let movements: Vec<_> = adjustments.iter().map(|a| (inventory.entropy().uuid(now), a)).collect();
    let new = store::movements::insert_movements(tx, &movements, who, now).await?;
    if new.len() < adjustments.len() {
        known_are_the_same(tx, adjustments).await?;
    }
    book(inventory, tx, &mut rows, &new).await
}

/// Why movements cannot be booked, or a fault of the database.
pub(super) type Booked = Result<(), TransactionError<Failure>>;

/// Brings locked rows to what new movements make of them, with all that follows from it.
pub(super) async fn book(inventory: &Context, tx: &mut Tx<'_, '_>, rows: &mut [StockRow], new: &[Movement]) -> Booked {
    let mut deltas: BTreeMap<(SkuNo, LocationId), i64> = BTreeMap::new();
    for movement in new {
        *deltas.entry((movement.sku_no, movement.location)).or_default() += movement.delta;
    }
    for row in rows.iter_mut() {
        row.on_hand += deltas.get(&(row.sku_no, row.location)).copied().unwrap_or(0);
        if row.on_hand < 0 {
            let failure = Failure::new(Code::Conflict, "There is less on hand than this would take away.")
                .about(row.sku_no.to_string());
            return Err(TransactionError::Refused(failure));
        }
    }
    if deltas.is_empty() {
        return Ok(());
    }
    let counted = rows.iter().filter(|row| deltas.contains_key(&(row.sku_no, row.location)));
    // Short before or after: what the count opens or closes.
    let missing = |row: &&StockRow| row.short > 0 || row.pending + row.posted > row.on_hand;
    let exceptional: Vec<_> = counted.filter(missing).map(|row| (row.sku_no, row.location)).collect();
    store::count_stock(tx, &deltas).await?;
    exceptions::settle(inventory, tx, exceptional.into_iter()).await?;
    // Compared with nothing, so that the first count of a SKU is announced too.
    announce_standings(inventory, tx, &BTreeMap::new(), &standings(rows)).await?;
    Ok(())
}

/// A known reference with another content is a mistake, not a repetition.
pub(super) async fn known_are_the_same(
    tx: &mut Tx<'_, '_>,
    adjustments: &[Adjustment],
) -> Result<(), TransactionError<Failure>> {
    let by_reference: BTreeMap<(MerchantId, &str), &Adjustment> =
        adjustments.iter().map(|a| ((a.merchant, a.reference.as_str()), a)).collect();
    let asked: Vec<&Adjustment> = adjustments.iter().collect();
    for known in store::movements::movements_of(tx, &asked).await? {
        let same = by_reference
            .get(&(known.merchant, known.reference.as_str()))
            .is_none_or(|a| (a.sku_no, a.location, a.delta) == (known.sku_no, known.location, known.delta));
        if !same {
            let failure = Failure::from(Code::IdempotencyKeyReused).about(known.reference);
            return Err(TransactionError::Refused(failure));
        }
    }
    Ok(())
}

pub(crate) async fn put_locations(inventory: Context, _call: Call, request: PutLocations) -> Result<Done, Failure> {
    let mut v = Validation::new();
    for (index, location) in request.locations.iter().enumerate() {
        v.check(is_line(&location.name), &format!("/locations/{index}/name"), "length", ONE_LINE);
        let first = request.locations.iter().position(|other| other.id == location.id) == Some(index);
        v.check(first, &format!("/locations/{index}/id"), "repeated", "Each location once.");
    }
    v.finish()?;
    store::put_locations(inventory.postgres().pool(), &request.locations).await.map_err(DatabaseError::from)?;
    Ok(Done {})
}
