//! `inventory.v1.{ship,unship,release}`: what becomes of a part of a posted hold, each part once.

use std::collections::BTreeMap;

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    id::{LocationId, OrderId},
    limits::CART_LINES_MAX,
    message::{
        Done,
        inventory::{Adjustment, HoldState, PartVerdict, Release, Ship, Taken, Units, Unship},
    },
    principal::Principal,
    stock::{
        parts::{PartChange, decide_release, decide_ship},
        standings,
    },
};
use bodega_platform::{Call, Context, TransactionError, Tx};

use super::{
    announce_standings,
    change::{Held, ROUNDS_MAX, lock},
    exceptions,
};
use crate::store::{self, parts::Part};

/// What movements of shipments, counts, transfers and announced goods are called by begins so: nobody else's reference may.
pub(super) const REFERENCES: [&str; 5] = ["shipment:", "shipment_undone:", "count:", "transfer:", "incoming:"];

pub(crate) async fn ship(inventory: Context, _call: Call, request: Ship) -> Result<PartVerdict, Failure> {
    fits(&request.units)?;
    inventory.failpoints().hit("inventory.before_ship").await;
    let verdict = change(&inventory, &Ask::Ship(request)).await?;
    inventory.failpoints().hit("inventory.after_ship").await;
    Ok(verdict)
}

pub(crate) async fn unship(inventory: Context, _call: Call, request: Unship) -> Result<Done, Failure> {
    change(&inventory, &Ask::Unship(request)).await?;
    Ok(Done {})
}

pub(crate) async fn release(inventory: Context, _call: Call, request: Release) -> Result<PartVerdict, Failure> {
    fits(&request.units)?;
    change(&inventory, &Ask::Release(request)).await
}

fn fits(units: &[Units]) -> Result<(), Failure> {
    if units.is_empty() || units.len() > CART_LINES_MAX || units.iter().any(|units| units.quantity == 0) {
        return Err(Failure::new(Code::BadRequest, "A part has 1 to 200 SKUs of at least one unit each."));
    }
    Ok(())
}

enum Ask {
    Ship(Ship),
    Unship(Unship),
    Release(Release),
}

impl Ask {
    const fn id(&self) -> u128 {
        match self {
            Self::Ship(Ship { shipment, .. }) | Self::Unship(Unship { shipment, .. }) => shipment.as_u128(),
            Self::Release(Release { cancellation, .. }) => cancellation.as_u128(),
        }
    }

    const fn order(&self) -> OrderId {
        match self {
            Self::Ship(Ship { order, .. })
            | Self::Unship(Unship { order, .. })
            | Self::Release(Release { order, .. }) => *order,
        }
    }

    const fn change(&self) -> PartChange {
        match self {
            Self::Ship(_) => PartChange::Ship,
            Self::Unship(_) => PartChange::Unship,
            Self::Release(_) => PartChange::Release,
        }
    }

    /// Whether this is the part that it asks about, as it is now or as it was: an id is one part of one order.
    fn is_about(&self, part: &Part) -> bool {
        let released = |change| change == PartChange::Release;
        part.order == self.order() && released(part.change) == released(self.change())
    }

    /// What a movement of its units is called by: the reason and the reference.
    fn named(&self, sku_no: SkuNo, location: LocationId) -> Option<(&'static str, String)> {
        let [shipped, undone, ..] = REFERENCES;
        match self {
            Self::Ship(ship) => Some(("shipped", format!("{shipped}{}:{sku_no}:{location}", ship.shipment))),
            Self::Unship(unship) => {
                Some(("shipment_undone", format!("{undone}{}:{sku_no}:{location}", unship.shipment)))
            }
            Self::Release(_) => None,
        }
    }
}

/// Why nothing was done.
enum Refused {
    /// A hold or a part came in between: everything is rolled back and decided again.
    Again,
    For(Failure),
}

async fn change(inventory: &Context, ask: &Ask) -> Result<PartVerdict, Failure> {
    for _ in 0..ROUNDS_MAX {
        let changed = inventory
            .postgres()
            .transaction(|mut tx| {
                let inventory = inventory.clone();
                Box::pin(async move { apply(&inventory, &mut tx, ask).await })
            })
            .await;
        match changed {
            Ok(verdict) => return Ok(verdict),
            Err(TransactionError::Refused(Refused::Again)) => {}
            Err(TransactionError::Refused(Refused::For(failure))) => return Err(failure),
            Err(TransactionError::Database(error)) => return Err(error.into()),
        }
    }
    Err(Code::Overloaded.into())
}

async fn apply(inventory: &Context, tx: &mut Tx<'_, '_>, ask: &Ask) -> Result<PartVerdict, TransactionError<Refused>> {
    let order = ask.order();
    let held = lock(tx, &[order]).await?.ok_or(TransactionError::Refused(Refused::Again))?;
    let known = store::parts::part(tx, ask.id()).await?;
    if known.as_ref().is_some_and(|part| !ask.is_about(part)) {
        return Err(TransactionError::Refused(Refused::For(Code::IdempotencyKeyReused.into())));
    }
    let posted = held.states.get(&order) == Some(&HoldState::Posted);
    let left = if posted { held.lines.as_slice() } else { &[] };
    let units = match (ask, known) {
        (_, Some(Part { change: PartChange::Unship, .. })) => return Ok(PartVerdict::Undone),
        (Ask::Ship(_) | Ask::Release(_), Some(part)) => return Ok(PartVerdict::Moved(part.units)),
        (Ask::Unship(_), Some(part)) => {
            store::parts::set_undone(tx, ask.id()).await?;
            move_units(inventory, tx, held, ask, &part.units).await?;
            return Ok(PartVerdict::Undone);
        }
        (Ask::Unship(_), None) => Ok(Vec::new()),
        (Ask::Ship(ship), None) => decide_ship(&held.rows, left, ship),
        (Ask::Release(release), None) => decide_release(&held.rows, left, release),
    };
    let units = match units {
        Ok(units) => units,
        Err(short) => return Ok(PartVerdict::Short(short)),
    };
    let part = Part { order, change: ask.change(), units };
    if !store::parts::insert(tx, ask.id(), &part, inventory.clock().now()).await? {
        return Err(TransactionError::Refused(Refused::Again));
    }
    move_units(inventory, tx, held, ask, &part.units).await?;
    Ok(PartVerdict::Moved(part.units))
}

/// Moves units of a locked hold, with all that follows from it.
async fn move_units(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    mut held: Held,
    ask: &Ask,
    taken: &[Taken],
) -> Result<(), TransactionError<Refused>> {
    if taken.is_empty() {
        return Ok(());
    }
    let now = inventory.clock().now();
    let state = held.states.get(&ask.order()).copied().unwrap_or(HoldState::None);
    let moves = ask.change().moves(state);
    let before = standings(&held.rows);
    let units: BTreeMap<(SkuNo, LocationId), i64> =
        taken.iter().map(|taken| ((taken.sku_no, taken.location), i64::from(taken.quantity))).collect();
    if held.rows.iter().filter(|row| units.contains_key(&(row.sku_no, row.location))).count() < units.len() {
        // The hold and its shipment came between the locks; these stock rows are not locked here.
        return Err(TransactionError::Refused(Refused::Again));
    }
    let (mut movements, mut short) = (Vec::new(), Vec::new());
    for row in &mut held.rows {
        let Some(units) = units.get(&(row.sku_no, row.location)) else { continue };
        row.on_hand += moves.on_hand * units;
        row.posted += moves.posted * units;
        if row.short > 0 {
            short.push((row.sku_no, row.location));
        }
        let (sku_no, location, merchant) = (row.sku_no, row.location, row.merchant);
        if let Some((reason, reference)) = ask.named(sku_no, location) {
            let (reason, delta) = (reason.to_owned(), moves.on_hand * units);
            movements.push(Adjustment { sku_no, location, merchant, delta, reason, reference });
        }
    }
    store::parts::move_units(tx, ask.order(), &units, moves).await?;
    let named: Vec<_> = movements.iter().map(|movement| (inventory.entropy().uuid(now), movement)).collect();
    let new = store::movements::insert_movements(tx, &named, &Principal::Service.who(), now).await?;
    if new.len() < named.len() {
        // On hand would no longer be the sum of its movements.
        let failure = Failure::new(Code::Conflict, "A movement of this shipment is in the books already.");
        return Err(TransactionError::Refused(Refused::For(failure)));
    }
    exceptions::settle(inventory, tx, short.into_iter()).await?;
    announce_standings(inventory, tx, &before, &standings(&held.rows)).await?;
    Ok(())
}
