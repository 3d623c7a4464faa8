//! `inventory.v1.{count,transfer,set_safety}`: shelves are counted, goods are carried from one to another, some are kept back.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    failure::Validation,
    id::LocationId,
    limits::IDEMPOTENCY_KEY_BYTES_MAX,
    message::{
        Done,
        inventory::{Adjustment, Count, CountAnswer, Counted, SetSafety, Transfer},
    },
    principal::Principal,
    stock::{StockRow, standings},
    token::sha256,
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError, Tx};

use super::{
    adjust::{ADJUSTMENT_UNITS_MAX, ADJUSTMENTS_MAX, ONE_LINE, book, is_line, known_are_the_same, lock_shelves},
    announce_standings,
};
use crate::store::{self, movements::Movement};

pub(crate) async fn count(inventory: Context, call: Call, request: Count) -> Result<CountAnswer, Failure> {
    validate(&request)?;
    let who = call.principal.who();
    let print = sha256(&fingerprint(&request));
    let (inventory, request, principal, who) = (&inventory, &request, &call.principal, who.as_str());
    inventory
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move { take_in(inventory, &mut tx, request, principal, who, &print).await })
        })
        .await
        .map_err(Failure::from)
}

fn fingerprint(request: &Count) -> Vec<u8> {
    let row = |counted: &Counted| {
        let (sku, place) = (counted.sku_no.to_be_bytes(), counted.location.as_u128().to_be_bytes());
        sku.into_iter().chain(place).chain(counted.on_hand.to_be_bytes())
    };
    request.counts.iter().flat_map(row).collect()
}

fn validate(request: &Count) -> Result<(), Failure> {
    if request.counts.len() > ADJUSTMENTS_MAX {
        return Err(Failure::new(Code::PayloadTooLarge, "At most 5,000 rows at once."));
    }
    if request.key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !is_line(&request.key) {
        return Err(Code::IdempotencyKeyMissing.into());
    }
    let mut v = Validation::new();
    v.check(!request.counts.is_empty(), "/counts", "required", "Count at least one shelf.");
    let mut seen = BTreeSet::new();
    for (index, counted) in request.counts.iter().enumerate() {
        let fits = (0..=ADJUSTMENT_UNITS_MAX).contains(&counted.on_hand);
        v.check(fits, &format!("/counts/{index}/on_hand"), "out_of_range", "Between 0 and 10^9 units.");
        let first = seen.insert((counted.sku_no, counted.location));
        v.check(first, &format!("/counts/{index}"), "repeated", "Each article at each place once.");
    }
    v.finish()
}

async fn take_in(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    request: &Count,
    principal: &Principal,
    who: &str,
    print: &[u8],
) -> Result<CountAnswer, TransactionError<Failure>> {
    let again = |known: store::counts::KnownCount| {
        let same = known.fingerprint == print;
        if same { Ok(known.answer) } else { Err(TransactionError::Refused(Code::IdempotencyKeyReused.into())) }
    };
    if let Some(known) = store::counts::known(tx, who, &request.key).await? {
        return again(known);
    }
    let now = inventory.clock().now();
    let skus: BTreeSet<SkuNo> = request.counts.iter().map(|counted| counted.sku_no).collect();
    let mut rows = store::lock_stock(tx, &skus.into_iter().collect::<Vec<_>>()).await?;
    let known: BTreeMap<(SkuNo, LocationId), StockRow> =
        rows.iter().map(|row| ((row.sku_no, row.location), *row)).collect();
    let id = inventory.entropy().uuid(now);
    let mut v = Validation::new();
    let mut differences = Vec::new();
    for (index, counted) in request.counts.iter().enumerate() {
        let row = known.get(&(counted.sku_no, counted.location)).filter(|row| principal.acts_for(row.merchant));
        let Some(row) = row else {
            // Another merchant's shelf is none at all.
            v.wrong(format!("/counts/{index}"), "unknown", "This article has never been booked there.");
            continue;
        };
        if counted.on_hand != row.on_hand {
            differences.push(Adjustment {
                sku_no: counted.sku_no,
                location: counted.location,
                merchant: row.merchant,
                delta: counted.on_hand - row.on_hand,
                reason: "count".to_owned(),
                reference: format!("count:{id}:{}:{}", counted.sku_no, counted.location),
            });
        }
    }
    v.finish().map_err(TransactionError::Refused)?;
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let answer =
        CountAnswer { changed: number(differences.len()), same: number(request.counts.len() - differences.len()) };
    if let Some(known) = store::counts::remember(tx, (who, &request.key), print, answer, now).await? {
        return again(known);
    }
    let new = record(inventory, tx, &differences, who).await?;
    book(inventory, tx, &mut rows, &new).await?;
    Ok(answer)
}

pub(super) async fn record(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    adjustments: &[Adjustment],
    who: &str,
) -> Result<Vec<Movement>, sqlx::Error> {
    if adjustments.is_empty() {
        return Ok(Vec::new());
    }
    let now = inventory.clock().now();
    let movements: Vec<_> = adjustments.iter().map(|a| (inventory.entropy().uuid(now), a)).collect();
    store::movements::insert_movements(tx, &movements, who, now).await
}

pub(crate) async fn transfer(inventory: Context, call: Call, request: Transfer) -> Result<Done, Failure> {
    if !call.principal.acts_for(request.merchant) {
        return Err(Code::Forbidden.into());
    }
    let known = store::known_locations(inventory.postgres().pool(), &[request.from, request.to]).await;
    let known = known.map_err(DatabaseError::from)?;
    let mut v = Validation::new();
    v.check(request.quantity > 0, "/quantity", "out_of_range", "At least one unit.");
    v.check(is_line(&request.reference), "/reference", "length", ONE_LINE);
    v.check(known.contains(&request.from), "/from", "unknown", "There is no such location.");
    v.check(known.contains(&request.to), "/to", "unknown", "There is no such location.");
    v.check(request.from != request.to, "/to", "same", "Another place than the one it comes from.");
    v.finish()?;
    let who = call.principal.who();
    let (inventory, request, who) = (&inventory, &request, who.as_str());
    inventory
        .postgres()
        .transaction(|mut tx| Box::pin(async move { carry(inventory, &mut tx, request, who).await }))
        .await?;
    Ok(Done {})
}

async fn carry(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    request: &Transfer,
    who: &str,
) -> Result<(), TransactionError<Failure>> {
    let units = i64::from(request.quantity);
    let side = |location, delta, way: &str| Adjustment {
        sku_no: request.sku_no,
        location,
        merchant: request.merchant,
        delta,
        reason: "transfer".to_owned(),
        reference: format!("transfer:{}:{way}", request.reference),
    };
    let sides = [side(request.from, -units, "out"), side(request.to, units, "in")];
    let shelves = [request.from, request.to].map(|place| (request.sku_no, place, request.merchant));
    let mut rows = lock_shelves(tx, &shelves).await?;
    let refuse = |failure: Failure| Err(TransactionError::Refused(failure));
    let free = rows.iter().find(|row| row.location == request.from).map_or(0, |row| {
        // What is kept back may be carried: it is promised to nobody.
        (row.on_hand - row.pending - row.posted).max(0)
    });
    let new = record(inventory, tx, &sides, who).await?;
    if new.is_empty() {
        // Carried before, whatever is there now.
        return known_are_the_same(tx, &sides).await;
    }
    if free < units {
        let detail = format!("{free} units are free there: the others are held or promised.");
        return refuse(Failure::new(Code::OutOfStock, detail));
    }
    book(inventory, tx, &mut rows, &new).await
}

pub(crate) async fn set_safety(inventory: Context, call: Call, request: SetSafety) -> Result<Done, Failure> {
    if !call.principal.acts_for(request.merchant) {
        return Err(Code::Forbidden.into());
    }
    let mut v = Validation::new();
    let fits = (0..=ADJUSTMENT_UNITS_MAX).contains(&request.safety);
    v.check(fits, "/safety", "out_of_range", "Between 0 and 10^9 units.");
    v.finish()?;
    let who = call.principal.who();
    let (inventory, who) = (&inventory, who.as_str());
    inventory
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let mut rows = store::lock_stock(&mut tx, &[request.sku_no]).await?;
                let before = standings(&rows);
                let is_it = |row: &&mut StockRow| row.location == request.location && row.merchant == request.merchant;
                let Some(row) = rows.iter_mut().find(is_it) else {
                    let failure = Failure::new(Code::SkuNotFound, "This article has never been booked there.");
                    return Err(TransactionError::Refused(failure));
                };
                if row.safety == request.safety {
                    return Ok(());
                }
                row.safety = request.safety;
                let now = inventory.clock().now();
                let (sku_no, location) = (request.sku_no, request.location);
                store::counts::set_safety(&mut tx, sku_no, location, request.safety, who, now).await?;
                announce_standings(inventory, &mut tx, &before, &standings(&rows)).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    Ok(Done {})
}
