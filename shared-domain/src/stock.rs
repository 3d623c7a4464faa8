//! Stock: who gets what of what is there. Pure decisions over rows that the caller has locked.
//!
//! A hold is pending, then posted or voided. `pending + posted ≤ on hand + short` is a CHECK of the database; no hold
//! raises `short`. Only the order decides that a hold is void, never a clock.

pub mod parts;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalog::{Band, SkuNo},
    id::{LocationId, MerchantId, OrderId},
    message::inventory::{HoldAsk, HoldState, HoldVerdict, Shortage, StockLevel},
    time::Timestamp,
};

/// A stock row as it is under its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockRow {
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Smaller is allocated first.
    pub priority: i32,
    /// Who sells it.
    pub merchant: MerchantId,
    /// In the house.
    pub on_hand: i64,
    /// Held by orders that are not paid yet.
    pub pending: i64,
    /// Promised to paid orders.
    pub posted: i64,
    /// Promised beyond what was counted.
    pub short: i64,
    /// Never promised.
    pub safety: i64,
    /// At how many free units of the SKU, all places together, its merchant wants to order anew.
    pub reorder_point: i64,
}

/// Where nobody has set a reorder point: what shoppers are told is low, merchants are told is low.
pub const REORDER_POINT: i64 = Band::LOW_BELOW - 1;

impl StockRow {
    /// What a new hold may take: `on hand − safety − pending − posted`, at least 0.
    #[must_use]
    pub fn available(&self) -> i64 {
        (self.on_hand - self.safety - self.pending - self.posted).max(0)
    }
}

/// A part of a hold at one location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The order.
    pub order: OrderId,
    /// The SKU.
    pub sku_no: SkuNo,
    /// Where.
    pub location: LocationId,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many, ≥ 1.
    pub quantity: i64,
}

/// What a batch of asks comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldDecision {
    /// One for each ask, in their order.
    pub verdicts: Vec<HoldVerdict>,
    /// What is newly held.
    pub allocations: Vec<Allocation>,
}

/// Decides a batch in the order in which it came: each order whole or not at all, lines of one SKU added up, a second
/// ask of the same order answered like the first. `rows` are changed as if the holds were written.
///
/// A SKU comes from the first location (by priority) that has all of it, else from several.
pub fn decide_holds(rows: &mut [StockRow], existing: &BTreeMap<OrderId, HoldState>, asks: &[HoldAsk]) -> HoldDecision {
    let mut by_sku: BTreeMap<SkuNo, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        by_sku.entry(row.sku_no).or_default().push(index);
    }
    for indexes in by_sku.values_mut() {
        indexes.sort_by_key(|i| (rows[*i].priority, rows[*i].location));
    }
    let mut decision = HoldDecision::default();
    let mut held: BTreeSet<OrderId> = BTreeSet::new();
    for ask in asks {
        let verdict = match existing.get(&ask.order) {
            Some(HoldState::Pending | HoldState::Posted) => HoldVerdict::Held,
            Some(HoldState::Voided) => HoldVerdict::Voided,
            Some(HoldState::None) | None if held.contains(&ask.order) => HoldVerdict::Held,
            Some(HoldState::None) | None => match allocate(rows, &by_sku, ask) {
                Ok(allocations) => {
                    held.insert(ask.order);
                    decision.allocations.extend(allocations);
                    HoldVerdict::Held
                }
                Err(short) => HoldVerdict::Short(short),
            },
        };
        decision.verdicts.push(verdict);
    }
    decision
}

fn allocate(
    rows: &mut [StockRow],
    by_sku: &BTreeMap<SkuNo, Vec<usize>>,
    ask: &HoldAsk,
) -> Result<Vec<Allocation>, Vec<Shortage>> {
    let mut demand: BTreeMap<(SkuNo, MerchantId), u32> = BTreeMap::new();
    for line in &ask.lines {
        let sum = demand.entry((line.sku_no, line.merchant)).or_default();
        *sum = sum.saturating_add(line.quantity);
    }
    // A line is delivered by who sells it, never from another merchant's shelf.
    let of = |rows: &[StockRow], sku_no: SkuNo, merchant: MerchantId| -> Vec<usize> {
        let indexes = by_sku.get(&sku_no).map_or(&[][..], Vec::as_slice);
        indexes.iter().copied().filter(|i| rows[*i].merchant == merchant).collect()
    };
    let mut shortages = Vec::new();
    for ((sku_no, merchant), wanted) in &demand {
        let available: i64 = of(rows, *sku_no, *merchant).iter().map(|i| rows[*i].available()).sum();
        if available < i64::from(*wanted) {
            let available = u32::try_from(available).unwrap_or(u32::MAX);
            shortages.push(Shortage { sku_no: *sku_no, wanted: *wanted, available });
        }
    }
    if !shortages.is_empty() {
        return Err(shortages);
    }
    let mut allocations = Vec::new();
    for ((sku_no, merchant), wanted) in demand {
        let mut left = i64::from(wanted);
        let indexes = of(rows, sku_no, merchant);
        let whole = indexes.iter().find(|i| rows[**i].available() >= left).copied();
        let order: Vec<usize> =
            whole.into_iter().chain(indexes.iter().copied().filter(|i| Some(*i) != whole)).collect();
        for index in order {
            let quantity = rows[index].available().min(left);
            if quantity > 0 {
                rows[index].pending += quantity;
                left -= quantity;
                let StockRow { location, merchant, .. } = rows[index];
                allocations.push(Allocation { order: ask.order, sku_no, location, merchant, quantity });
            }
        }
    }
    Ok(allocations)
}

/// What an order asks of its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldChange {
    /// Turn it into promised stock.
    Post,
    /// Give it back while it is pending.
    Void,
    /// Give it back, pending or posted: the order decided that it will not be delivered.
    Release,
}

impl HoldChange {
    /// The state after the change, and by how much pending and posted move for each unit. Repeating changes nothing.
    /// A pending hold alone can be posted; a posted one is given back only by [`HoldChange::Release`].
    #[must_use]
    pub const fn apply(self, state: HoldState) -> (HoldState, i64, i64) {
        match (self, state) {
            (HoldChange::Post, HoldState::Pending) => (HoldState::Posted, -1, 1),
            (HoldChange::Void | HoldChange::Release, HoldState::Pending) => (HoldState::Voided, -1, 0),
            (HoldChange::Release, HoldState::Posted) => (HoldState::Voided, 0, -1),
            // Nothing was held: a late hold must not come after this.
            (HoldChange::Void | HoldChange::Release, HoldState::None) => (HoldState::Voided, 0, 0),
            (_, state) => (state, 0, 0),
        }
    }
}

/// How a SKU stands, over all its locations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is.
    pub merchant: MerchantId,
    /// Free units.
    pub available: i64,
    /// What shoppers are told.
    pub band: Band,
    /// What its merchant is told.
    pub level: StockLevel,
}

/// How each SKU among these rows stands. Of several reorder points the highest counts.
#[must_use]
pub fn standings(rows: &[StockRow]) -> BTreeMap<SkuNo, Standing> {
    let mut sums: BTreeMap<SkuNo, (MerchantId, i64, i64)> = BTreeMap::new();
    for row in rows {
        let (_, available, reorder_point) = sums.entry(row.sku_no).or_insert((row.merchant, 0, 0));
        *available += row.available();
        *reorder_point = row.reorder_point.max(*reorder_point);
    }
    let standing = |(merchant, available, reorder_point)| Standing {
        merchant,
        available,
        band: Band::of(available),
        level: StockLevel::of(available, reorder_point),
    };
    sums.into_iter().map(|(sku, sums)| (sku, standing(sums))).collect()
}

/// What an order holds of a SKU although its first attempt to pay has ended without authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprovenHold {
    /// The order.
    pub order: OrderId,
    /// The SKU.
    pub sku_no: SkuNo,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many, ≥ 1.
    pub quantity: i64,
    /// Since when.
    pub held_at: Timestamp,
}

/// The unproven orders that have to let go of what they hold, so that of each SKU they hold no larger share of what is on
/// hand together than its merchant allows (percent by merchant; without one, all of it). The oldest keep theirs, each
/// order whole or not at all.
#[must_use]
pub fn beyond_the_share(
    on_hand: &BTreeMap<SkuNo, i64>,
    shares: &BTreeMap<MerchantId, u8>,
    holds: &[UnprovenHold],
) -> Vec<OrderId> {
    let mut orders: BTreeMap<(Timestamp, OrderId), Vec<&UnprovenHold>> = BTreeMap::new();
    for hold in holds {
        orders.entry((hold.held_at, hold.order)).or_default().push(hold);
    }
    let mut held: BTreeMap<SkuNo, i128> = BTreeMap::new();
    let mut beyond = Vec::new();
    for ((_, order), holds) in orders {
        let mut wanted: BTreeMap<SkuNo, i128> = BTreeMap::new();
        for hold in &holds {
            *wanted.entry(hold.sku_no).or_default() += i128::from(hold.quantity);
        }
        let fits = holds.iter().all(|hold| {
            let Some(share) = shares.get(&hold.merchant) else { return true };
            let all = i128::from(on_hand.get(&hold.sku_no).copied().unwrap_or(0));
            let sum = held.get(&hold.sku_no).copied().unwrap_or(0) + wanted.get(&hold.sku_no).copied().unwrap_or(0);
            sum * 100 <= all * i128::from(*share)
        });
        if !fits {
            beyond.push(order);
            continue;
        }
        for (sku, quantity) in wanted {
            *held.entry(sku).or_default() += quantity;
        }
    }
    beyond
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Timestamp, message::inventory::HoldLine};

    fn row(sku_no: SkuNo, location: u128, on_hand: i64) -> StockRow {
        StockRow {
            sku_no,
            location: LocationId::from_u128(location),
            priority: i32::try_from(location).unwrap(),
            merchant: MerchantId::from_u128(1),
            on_hand,
            pending: 0,
            posted: 0,
            short: 0,
            safety: 0,
            reorder_point: REORDER_POINT,
        }
    }

    fn ask(order: u128, lines: &[(SkuNo, u32)]) -> HoldAsk {
        let merchant = MerchantId::from_u128(1);
        HoldAsk {
            order: OrderId::from_u128(order),
            lines: lines
                .iter()
                .map(|(sku_no, quantity)| HoldLine { sku_no: *sku_no, quantity: *quantity, merchant })
                .collect(),
            ask_at: Timestamp::from_unix_ms(0),
        }
    }

    proptest! {
        #[test]
        fn nothing_is_promised_twice_and_no_order_is_held_by_half(
            stock in proptest::collection::vec((1_u32..5, 1_u128..3, 0_i64..8, 0_i64..3), 0..8),
            asks in proptest::collection::vec((1_u128..12, proptest::collection::vec((1_u32..6, 1_u32..5), 1..4)), 0..20),
        ) {
            let mut rows: Vec<StockRow> = Vec::new();
            for (sku, location, on_hand, safety) in stock {
                if !rows.iter().any(|r| r.sku_no == sku && r.location == LocationId::from_u128(location)) {
                    rows.push(StockRow { safety, ..row(sku, location, on_hand) });
                }
            }
            let before = rows.clone();
            let asks: Vec<HoldAsk> = asks.iter().map(|(order, lines)| ask(*order, lines)).collect();
            let decision = decide_holds(&mut rows, &BTreeMap::new(), &asks);
            prop_assert_eq!(decision.verdicts.len(), asks.len());
            for (old, new) in before.iter().zip(&rows) {
                prop_assert!(new.pending + new.posted <= (new.on_hand - new.safety).max(0));
                prop_assert_eq!(new.short, old.short);
                let allocated: i64 = decision.allocations.iter()
                    .filter(|a| a.sku_no == new.sku_no && a.location == new.location).map(|a| a.quantity).sum();
                prop_assert_eq!(new.pending - old.pending, allocated);
            }
            let mut seen = BTreeSet::new();
            for (ask, verdict) in asks.iter().zip(&decision.verdicts) {
                let wanted: i64 = ask.lines.iter().map(|l| i64::from(l.quantity)).sum();
                let held: i64 = decision.allocations.iter().filter(|a| a.order == ask.order).map(|a| a.quantity).sum();
                match verdict {
                    HoldVerdict::Held if seen.insert(ask.order) => prop_assert_eq!(held, wanted),
                    HoldVerdict::Held => {}
                    HoldVerdict::Short(short) => prop_assert!(short.iter().all(|s| s.available < s.wanted)),
                    HoldVerdict::Voided | HoldVerdict::Failed => prop_assert!(false, "nothing was voided"),
                }
            }
        }
    }

    #[test]
    fn two_lines_of_one_sku_are_added_up_before_the_check() {
        let mut rows = [row(1, 1, 3)];
        let decision = decide_holds(&mut rows, &BTreeMap::new(), &[ask(1, &[(1, 2), (1, 2)])]);
        assert_eq!(decision.verdicts, [HoldVerdict::Short(vec![Shortage { sku_no: 1, wanted: 4, available: 3 }])]);
        assert_eq!(rows[0].pending, 0);
    }

    proptest! {
        #[test]
        fn a_merchant_is_told_what_the_free_units_of_all_places_come_to(
            shelves in proptest::collection::vec((0_i64..8, 0_i64..3, 0_i64..6), 1..5),
        ) {
            let shelf = |(place, (on_hand, safety, reorder_point)): (u128, &(i64, i64, i64))|
                StockRow { safety: *safety, reorder_point: *reorder_point, ..row(1, place, *on_hand) };
            let rows: Vec<StockRow> = (1..).zip(&shelves).map(shelf).collect();
            let free: i64 = rows.iter().map(StockRow::available).sum();
            let reorder = shelves.iter().map(|shelf| shelf.2).max().unwrap_or(0);
            let standing = standings(&rows)[&1];
            prop_assert_eq!(standing.available, free);
            prop_assert_eq!(standing.band, Band::of(free));
            prop_assert_eq!(standing.level == StockLevel::Out, free == 0);
            prop_assert_eq!(standing.level == StockLevel::Enough, free > 0 && free > reorder);
        }
    }

    #[test]
    fn one_location_is_preferred_to_two() {
        let mut rows = [row(1, 1, 2), row(1, 2, 5)];
        let decision = decide_holds(&mut rows, &BTreeMap::new(), &[ask(1, &[(1, 3)]), ask(2, &[(1, 4)])]);
        assert_eq!(decision.verdicts, [HoldVerdict::Held, HoldVerdict::Held]);
        assert_eq!((rows[0].pending, rows[1].pending), (2, 5));
        assert_eq!(decision.allocations.len(), 3);
    }

    #[test]
    fn a_line_is_never_taken_from_another_merchants_shelf() {
        let mut rows = [StockRow { merchant: MerchantId::from_u128(2), ..row(1, 1, 9) }, row(1, 2, 1)];
        let decision = decide_holds(&mut rows, &BTreeMap::new(), &[ask(1, &[(1, 2)]), ask(2, &[(1, 1)])]);
        let short = HoldVerdict::Short(vec![Shortage { sku_no: 1, wanted: 2, available: 1 }]);
        assert_eq!(decision.verdicts, [short, HoldVerdict::Held]);
        assert_eq!((rows[0].pending, rows[1].pending), (0, 1));
    }

    #[test]
    fn a_voided_order_is_never_held_again() {
        let existing = BTreeMap::from([(OrderId::from_u128(1), HoldState::Voided)]);
        let decision = decide_holds(&mut [row(1, 1, 5)], &existing, &[ask(1, &[(1, 1)])]);
        assert_eq!(decision.verdicts, [HoldVerdict::Voided]);
        assert!(decision.allocations.is_empty());
    }

    fn unproven(order: u128, sku_no: SkuNo, merchant: u128, quantity: i64, at: i64) -> UnprovenHold {
        UnprovenHold {
            order: OrderId::from_u128(order),
            sku_no,
            merchant: MerchantId::from_u128(merchant),
            quantity,
            held_at: Timestamp::from_unix_ms(at),
        }
    }

    #[test]
    fn the_oldest_keep_what_they_hold_within_their_merchants_share() {
        let on_hand = BTreeMap::from([(1, 20), (2, 20)]);
        let shares = BTreeMap::from([(MerchantId::from_u128(1), 25)]);
        let holds = [
            unproven(3, 1, 1, 1, 30),
            unproven(2, 1, 1, 2, 20),
            unproven(1, 1, 1, 4, 10),
            // Another merchant's, who has set no share.
            unproven(4, 2, 2, 20, 5),
        ];
        assert_eq!(beyond_the_share(&on_hand, &shares, &holds), [OrderId::from_u128(2)], "4 + 2 > 5, 4 + 1 is not");
        assert!(beyond_the_share(&on_hand, &BTreeMap::new(), &holds).is_empty(), "off by default");
        let none = BTreeMap::from([(MerchantId::from_u128(1), 0)]);
        assert_eq!(beyond_the_share(&on_hand, &none, &holds).len(), 3);
    }

    proptest! {
        #[test]
        fn what_is_left_is_within_every_share_and_order_of_rows_does_not_matter(
            (holds, shuffled) in proptest::collection::vec(
                (1_u8..9, 1_u32..4, 1_i64..6), 0..20,
            ).prop_flat_map(|holds| (Just(holds.clone()), Just(holds).prop_shuffle())),
            share in 0_u8..=100,
        ) {
            // A SKU has one merchant, and an order one moment.
            let read = |holds: Vec<(u8, SkuNo, i64)>| -> Vec<UnprovenHold> {
                let hold = |(order, sku, quantity): (u8, SkuNo, i64)| {
                    unproven(order.into(), sku, u128::from(sku % 2), quantity, i64::from(order % 4))
                };
                holds.into_iter().map(hold).collect()
            };
            let (holds, shuffled) = (read(holds), read(shuffled));
            let on_hand = BTreeMap::from([(1, 10), (2, 10), (3, 3)]);
            let shares = BTreeMap::from([(MerchantId::from_u128(1), share)]);
            let beyond = beyond_the_share(&on_hand, &shares, &holds);
            prop_assert_eq!(&beyond, &beyond_the_share(&on_hand, &shares, &shuffled));
            let left: Vec<&UnprovenHold> = holds.iter().filter(|hold| !beyond.contains(&hold.order)).collect();
            for (sku, all) in on_hand {
                let held: i64 = left.iter().filter(|hold| hold.sku_no == sku).map(|hold| hold.quantity).sum();
                prop_assert!(sku % 2 == 0 || held * 100 <= all * i64::from(share), "{held} of {all} within {share} %");
            }
            // Who lets go would not have fitted beside the older ones that stay.
            let kept: Vec<UnprovenHold> = left.into_iter().copied().collect();
            prop_assert!(beyond_the_share(&BTreeMap::from([(1, 10), (2, 10), (3, 3)]), &shares, &kept).is_empty());
        }
    }

    #[test]
    fn changes_of_a_hold_are_idempotent_and_end_in_void() {
        use HoldChange::{Post, Release, Void};
        for change in [Post, Void, Release] {
            for state in [HoldState::None, HoldState::Pending, HoldState::Posted, HoldState::Voided] {
                let (next, ..) = change.apply(state);
                assert_eq!(change.apply(next), (next, 0, 0), "{change:?} of {state:?} twice");
                assert!(state != HoldState::Voided || next == HoldState::Voided);
            }
        }
        assert_eq!(Void.apply(HoldState::Posted), (HoldState::Posted, 0, 0), "a posted hold is not voided by accident");
    }
}
