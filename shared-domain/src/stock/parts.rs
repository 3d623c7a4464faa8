//! Parts of a posted hold: goods leave the house or come back, units are given back. Pure decisions over lines and rows
//! that the caller has locked.

use std::collections::BTreeMap;

use super::{Allocation, StockRow};
use crate::{
    catalog::SkuNo,
    id::LocationId,
    message::inventory::{HoldState, Release, Ship, Shortage, Taken, Units},
};

/// What is done with units of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartChange {
    /// They leave the house.
    Ship,
    /// They come back: they have not left after all.
    Unship,
    /// They are given back.
    Release,
}

/// By how much the numbers of a stock row and of a hold's line move for each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moves {
    /// In the house.
    pub on_hand: i64,
    /// Promised to paid orders.
    pub posted: i64,
    /// Of the line, out of the house.
    pub shipped: i64,
    /// Of the line, given back.
    pub released: i64,
}

impl PartChange {
    /// How the numbers move while the hold is in this state.
    #[must_use]
    pub const fn moves(self, state: HoldState) -> Moves {
        let (on_hand, posted, shipped, released) = match (self, state) {
            (PartChange::Ship, _) => (-1, -1, 1, 0),
            (PartChange::Unship, HoldState::Posted) => (1, 1, -1, 0),
            // The rest of the hold was given back meanwhile: so is what comes back.
            (PartChange::Unship, _) => (1, 0, -1, 0),
            (PartChange::Release, _) => (0, -1, 0, 1),
        };
        Moves { on_hand, posted, shipped, released }
    }
}

/// What a shipment takes of what is left in its order's posted hold, never more than is on hand there: all of it or
/// nothing. A SKU comes from the first location (by priority) that has all of it, else from several.
///
/// # Errors
/// What is short, with how many there are.
pub fn decide_ship(rows: &[StockRow], left: &[Allocation], ship: &Ship) -> Result<Vec<Taken>, Vec<Shortage>> {
    let fits = |line: &Allocation| line.merchant == ship.merchant && ship.location.is_none_or(|l| l == line.location);
    let mut shelves = shelves(rows, left, fits);
    for shelf in &mut shelves {
        shelf.units = shelf.units.min(shelf.row.on_hand);
    }
    take(&shelves, &ship.units, |shelf, wanted| (shelf.units < wanted, shelf.row.priority, shelf.row.location))
}

/// What a cancellation gives back of what is left in its order's posted hold: all of it or nothing. First from where more
/// is promised than there is, so that what is left of the order can be shipped; then as a shipment is taken.
///
/// # Errors
/// What is short, with how many there are.
pub fn decide_release(rows: &[StockRow], left: &[Allocation], release: &Release) -> Result<Vec<Taken>, Vec<Shortage>> {
    let shelves = shelves(rows, left, |line| line.merchant == release.merchant);
    take(&shelves, &release.units, |shelf, wanted| {
        (shelf.row.short == 0, shelf.units < wanted, shelf.row.priority, shelf.row.location)
    })
}

/// What may be taken at one location.
struct Shelf<'a> {
    row: &'a StockRow,
    units: i64,
}

fn shelves<'a>(rows: &'a [StockRow], left: &[Allocation], fits: impl Fn(&Allocation) -> bool) -> Vec<Shelf<'a>> {
    let rows: BTreeMap<(SkuNo, LocationId), &StockRow> =
        rows.iter().map(|row| ((row.sku_no, row.location), row)).collect();
    let lines = left.iter().filter(|line| fits(line));
    lines
        .filter_map(|line| Some(Shelf { row: rows.get(&(line.sku_no, line.location))?, units: line.quantity }))
        .collect()
}

/// Each SKU from its shelves in this order, or all that is short.
fn take<K: Ord>(
    shelves: &[Shelf<'_>],
    units: &[Units],
    order: impl Fn(&Shelf<'_>, i64) -> K,
) -> Result<Vec<Taken>, Vec<Shortage>> {
    let mut demand: BTreeMap<SkuNo, u32> = BTreeMap::new();
    for units in units {
        let sum = demand.entry(units.sku_no).or_default();
        *sum = sum.saturating_add(units.quantity);
    }
    let (mut taken, mut shortages) = (Vec::new(), Vec::new());
    for (sku_no, wanted) in demand {
        let mut left = i64::from(wanted);
        let mut of: Vec<&Shelf<'_>> = shelves.iter().filter(|shelf| shelf.row.sku_no == sku_no).collect();
        let available: i64 = of.iter().map(|shelf| shelf.units).sum();
        if available < left {
            let available = u32::try_from(available).unwrap_or(u32::MAX);
            shortages.push(Shortage { sku_no, wanted, available });
            continue;
        }
        of.sort_by_key(|shelf| order(shelf, left));
        for shelf in of {
            let units = shelf.units.min(left);
            left -= units;
            // No more than what was wanted, which fits.
            let quantity = u32::try_from(units).unwrap_or(u32::MAX);
            if quantity > 0 {
                taken.push(Taken { sku_no, location: shelf.row.location, quantity });
            }
        }
    }
    if shortages.is_empty() { Ok(taken) } else { Err(shortages) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::id::{CancellationId, MerchantId, OrderId, ShipmentId};

    fn merchant_of(sku_no: SkuNo) -> MerchantId {
        MerchantId::from_u128(u128::from(sku_no % 2))
    }

    fn location(n: u128) -> LocationId {
        LocationId::from_u128(n)
    }

    /// A stock row and what is left of the order's hold there.
    fn shelf(sku_no: SkuNo, at: u128, on_hand: i64, held: i64) -> (StockRow, Allocation) {
        let (location, merchant) = (location(at), merchant_of(sku_no));
        let row = StockRow {
            sku_no,
            location,
            // The other way round than the ids.
            priority: -i32::try_from(at).unwrap(),
            merchant,
            on_hand,
            pending: 0,
            posted: held,
            short: (held - on_hand).max(0),
            safety: 0,
            reorder_point: 0,
        };
        (row, Allocation { order: OrderId::from_u128(1), sku_no, location, merchant, quantity: held })
    }

    fn units(units: &[(SkuNo, u32)]) -> Vec<Units> {
        units.iter().map(|(sku_no, quantity)| Units { sku_no: *sku_no, quantity: *quantity }).collect()
    }

    fn ship_of(wanted: &[(SkuNo, u32)], location: Option<LocationId>) -> Ship {
        let (shipment, order) = (ShipmentId::from_u128(1), OrderId::from_u128(1));
        Ship { shipment, order, merchant: merchant_of(1), units: units(wanted), location }
    }

    fn release_of(wanted: &[(SkuNo, u32)]) -> Release {
        let (cancellation, order) = (CancellationId::from_u128(1), OrderId::from_u128(1));
        Release { cancellation, order, merchant: merchant_of(1), units: units(wanted) }
    }

    fn taken(taken: &[(SkuNo, u128, u32)]) -> Vec<Taken> {
        let one = |(sku_no, at, quantity): &(SkuNo, u128, u32)| Taken {
            sku_no: *sku_no,
            location: location(*at),
            quantity: *quantity,
        };
        taken.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn a_part_is_whole_or_nothing_and_never_more_than_is_left_there(
            stock in proptest::collection::btree_map((1_u32..5, 1_u128..4), (0_i64..6, 1_i64..6), 0..10),
            wanted in proptest::collection::vec((1_u32..6, 1_u32..7), 1..4),
            at in proptest::option::of(1_u128..4),
        ) {
            let (rows, left): (Vec<StockRow>, Vec<Allocation>) =
                stock.iter().map(|((sku, at), (on_hand, held))| shelf(*sku, *at, *on_hand, *held)).unzip();
            let ship = ship_of(&wanted, at.map(location));
            let mut sums: BTreeMap<SkuNo, i64> = BTreeMap::new();
            for (sku, quantity) in &wanted {
                *sums.entry(*sku).or_default() += i64::from(*quantity);
            }
            let shipped = decide_ship(&rows, &left, &ship);
            let released = decide_release(&rows, &left, &release_of(&wanted));
            for (decided, ships) in [(shipped, true), (released, false)] {
                // What there is of a SKU at each place, for this merchant and from this location.
                let there = |sku: SkuNo| -> BTreeMap<LocationId, i64> {
                    let of = stock.iter().filter(|((s, place), _)| {
                        *s == sku && sku % 2 == 1 && (!ships || at.is_none_or(|at| at == *place))
                    });
                    of.map(|((_, place), (on_hand, held))| {
                        (location(*place), if ships { *held.min(on_hand) } else { *held })
                    }).collect()
                };
                match decided {
                    Err(short) => {
                        prop_assert!(!short.is_empty());
                        for shortage in short {
                            prop_assert_eq!(i64::from(shortage.wanted), sums[&shortage.sku_no]);
                            prop_assert_eq!(i64::from(shortage.available), there(shortage.sku_no).values().sum::<i64>());
                            prop_assert!(shortage.available < shortage.wanted);
                        }
                    }
                    Ok(taken) => {
                        let mut places = BTreeSet::new();
                        for taken in &taken {
                            prop_assert!(places.insert((taken.sku_no, taken.location)), "each place once");
                            prop_assert!(taken.quantity > 0);
                            prop_assert!(i64::from(taken.quantity) <= there(taken.sku_no)[&taken.location]);
                        }
                        for (sku, sum) in &sums {
                            let of: Vec<i64> =
                                taken.iter().filter(|t| t.sku_no == *sku).map(|t| i64::from(t.quantity)).collect();
                            prop_assert_eq!(of.iter().sum::<i64>(), *sum);
                            let whole = there(*sku).values().any(|units| units >= sum);
                            prop_assert!(!ships || !whole || of.len() == 1, "one place has all of it: {:?}", taken);
                        }
                        prop_assert_eq!(places.iter().map(|(sku, _)| *sku).collect::<BTreeSet<_>>(),
                                        sums.keys().copied().collect::<BTreeSet<_>>());
                    }
                }
            }
        }
    }

    #[test]
    fn one_location_is_preferred_to_two_and_then_the_first() {
        let (rows, left): (Vec<_>, Vec<_>) =
            [shelf(1, 1, 9, 4), shelf(1, 2, 9, 4), shelf(1, 3, 9, 2)].into_iter().unzip();
        let ship = |wanted, at| decide_ship(&rows, &left, &ship_of(&[(1, wanted)], at)).unwrap();
        assert_eq!(ship(2, None), taken(&[(1, 3, 2)]), "the first by priority");
        assert_eq!(ship(3, None), taken(&[(1, 2, 3)]), "the first that has all of it");
        assert_eq!(ship(5, None), taken(&[(1, 3, 2), (1, 2, 3)]));
        assert_eq!(ship(3, Some(location(1))), taken(&[(1, 1, 3)]));
    }

    #[test]
    fn what_is_missing_is_not_shipped_and_is_released_first() {
        let (rows, left): (Vec<_>, Vec<_>) = [shelf(1, 1, 0, 2), shelf(1, 2, 9, 2)].into_iter().unzip();
        let short = vec![Shortage { sku_no: 1, wanted: 3, available: 2 }];
        assert_eq!(decide_ship(&rows, &left, &ship_of(&[(1, 3)], None)), Err(short));
        assert_eq!(decide_release(&rows, &left, &release_of(&[(1, 2)])), Ok(taken(&[(1, 1, 2)])));
        assert_eq!(decide_release(&rows, &left, &release_of(&[(1, 3)])), Ok(taken(&[(1, 1, 2), (1, 2, 1)])));
    }

    #[test]
    fn another_merchants_goods_and_another_location_are_not_taken() {
        let (rows, left): (Vec<_>, Vec<_>) = [shelf(2, 1, 9, 3), shelf(1, 1, 9, 3)].into_iter().unzip();
        let none = |sku_no| Err(vec![Shortage { sku_no, wanted: 1, available: 0 }]);
        assert_eq!(decide_ship(&rows, &left, &ship_of(&[(2, 1)], None)), none(2));
        assert_eq!(decide_release(&rows, &left, &release_of(&[(2, 1)])), none(2));
        assert_eq!(decide_ship(&rows, &left, &ship_of(&[(1, 1)], Some(location(2)))), none(1));
    }

    #[test]
    fn a_shipment_that_comes_back_leaves_nothing_behind() {
        let (there, back) = (PartChange::Ship.moves(HoldState::Posted), PartChange::Unship.moves(HoldState::Posted));
        assert_eq!((there.on_hand + back.on_hand, there.posted + back.posted), (0, 0));
        assert_eq!((there.shipped + back.shipped, there.released + back.released), (0, 0));
        let late = PartChange::Unship.moves(HoldState::Voided);
        assert_eq!((late.on_hand, late.posted), (1, 0), "nobody is promised what comes back to no hold");
    }
}
