//! What became of the units of an order's lines: called off, shipped, delivered, on their way back, returned. Pure
//! decisions over rows that the caller has locked; the database checks the same bounds.
//!
//! ```text
//! quantity ≥ cancelled + preparing + shipped      shipped ≥ delivered      shipped ≥ returning + returned
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::SkuNo,
    failure::Validation,
    id::MerchantId,
    limits::CART_LINES_MAX,
    money::{Money, MoneyError},
    order::{Fulfilment, OrderStatus, Returns},
};

/// How many units of a line are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Called off before they were shipped.
    pub cancelled: u32,
    /// In a parcel whose stock is being taken out of the books.
    pub preparing: u32,
    /// Shipped, whatever became of them then.
    pub shipped: u32,
    /// Of those, arrived.
    pub delivered: u32,
    /// Of those, asked to be sent back and not received yet.
    pub returning: u32,
    /// Of those, received back.
    pub returned: u32,
}

impl Units {
    /// Whether nothing has happened to any of them.
    #[must_use]
    pub fn untouched(&self) -> bool {
        *self == Units::default()
    }
}

/// A line as it is under its order's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place in the order.
    pub n: u16,
    /// The SKU.
    pub sku_no: SkuNo,
    /// The code that people use.
    pub sku: String,
    /// Who sells it.
    pub merchant: MerchantId,
    /// How many were bought, ≥ 1.
    pub quantity: u32,
    /// What was paid for them.
    pub total: Money,
    /// What of that went back, or is about to.
    pub refunded: Money,
    /// Where they are.
    pub units: Units,
}

impl Line {
    /// Units that still have to be shipped.
    #[must_use]
    pub const fn open(&self) -> u32 {
        let gone = self.units.cancelled.saturating_add(self.units.preparing).saturating_add(self.units.shipped);
        self.quantity.saturating_sub(gone)
    }

    /// Units that may be sent back.
    #[must_use]
    pub const fn returnable(&self) -> u32 {
        self.units.shipped.saturating_sub(self.units.returning).saturating_sub(self.units.returned)
    }

    /// What so many more units cost that leave now. Units leave from the beginning of the line and are called off from its
    /// end, each with its share of what the line cost: whichever way they go, the shares of all units add up to it, and
    /// what is returned never cost more than what has left.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn price(&self, units: u32) -> Result<Money, MoneyError> {
        self.share(self.units.preparing.saturating_add(self.units.shipped), units)
    }

    /// What goes back for so many more units that are called off before they left: never more than is left of the line.
    ///
    /// # Errors
    /// When the amounts are not of one currency.
    pub fn called_off(&self, units: u32) -> Result<Money, MoneyError> {
        let kept = self.quantity.saturating_sub(self.units.cancelled);
        self.at_most_the_rest(self.share(kept.saturating_sub(units), units)?)
    }

    /// What goes back for so many more units that came back: never more than is left of the line.
    ///
    /// # Errors
    /// When the amounts are not of one currency.
    pub fn returned(&self, units: u32) -> Result<Money, MoneyError> {
        self.at_most_the_rest(self.share(self.units.returned, units)?)
    }

    fn at_most_the_rest(&self, share: Money) -> Result<Money, MoneyError> {
        let left = self.total.checked_sub(self.refunded)?.amount().max(0);
        Money::new(share.amount().min(left), self.total.currency())
    }

    /// The cost of `units` of them after the first `before`.
    fn share(&self, before: u32, units: u32) -> Result<Money, MoneyError> {
        let up_to = |units: u32| {
            i128::from(self.total.amount()) * i128::from(units.min(self.quantity)) / i128::from(self.quantity.max(1))
        };
        let share = up_to(before.saturating_add(units)) - up_to(before);
        Money::new(i64::try_from(share).map_err(|_| MoneyError::OutOfRange)?, self.total.currency())
    }
}

/// So many units of the line at this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// Index into the lines that were given.
    pub index: usize,
    /// How many, ≥ 1.
    pub units: u32,
}

/// Finds the units that are asked for, by SKU, among lines with `room` for them: a SKU may stand in several lines. An empty
/// wish is everything there is room for.
///
/// # Errors
/// `validation_failed` naming each wish that cannot be met, with what is left of it; or the wish as a whole when nothing is.
pub fn pick(
    lines: &[Line],
    asked: &[(String, u32)],
    room: impl Fn(&Line) -> u32,
) -> Result<Vec<Picked>, crate::Failure> {
    let mut picked = Vec::new();
    let mut v = Validation::new();
    v.check(asked.len() <= CART_LINES_MAX, "/lines", "too_long", "At most 200 lines.");
    v.finish()?;
    let mut v = Validation::new();
    if asked.is_empty() {
        let all = lines.iter().enumerate().map(|(index, line)| Picked { index, units: room(line) });
        picked.extend(all.filter(|picked| picked.units > 0));
        v.check(!picked.is_empty(), "/lines", "nothing_left", "There is nothing left to do this with.");
        v.finish()?;
        return Ok(picked);
    }
    for (at, (sku, wanted)) in asked.iter().enumerate() {
        let named = asked.iter().filter(|(other, _)| other == sku).count();
        let mut left = *wanted;
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.sku == *sku) {
            let units = room(line).min(left);
            left -= units;
            if units > 0 {
                picked.push(Picked { index, units });
            }
        }
        let there = wanted - left;
        let detail =
            format!("At most {there} of {sku} can be chosen here; name each article once, with at least one piece.");
        v.check(*wanted > 0 && left == 0 && named == 1, &format!("/lines/{at}"), "out_of_range", &detail);
    }
    v.finish()?;
    Ok(picked)
}

/// Picked units by SKU: what is asked of others.
#[must_use]
pub fn by_sku(lines: &[Line], picked: &[Picked]) -> BTreeMap<SkuNo, u32> {
    let mut sums = BTreeMap::new();
    for Picked { index, units } in picked {
        if let Some(line) = lines.get(*index) {
            *sums.entry(line.sku_no).or_default() += units;
        }
    }
    sums
}

/// What of these lines has left the house. Called-off units are not waited for.
#[must_use]
pub fn fulfilment<'a>(lines: impl IntoIterator<Item = (u32, &'a Units)>) -> Fulfilment {
    let (mut wanted, mut shipped, mut delivered) = (0_u64, 0_u64, 0_u64);
    for (quantity, units) in lines {
        wanted += u64::from(quantity.saturating_sub(units.cancelled));
        shipped += u64::from(units.shipped);
        delivered += u64::from(units.delivered);
    }
    match () {
        () if shipped == 0 => Fulfilment::None,
        () if shipped < wanted => Fulfilment::Partial,
        () if delivered < wanted => Fulfilment::Shipped,
        () => Fulfilment::Delivered,
    }
}

/// What of these lines is coming back.
#[must_use]
pub fn returns<'a>(lines: impl IntoIterator<Item = (u32, &'a Units)>) -> Returns {
    let (mut shipped, mut returning, mut returned) = (0_u64, 0_u64, 0_u64);
    for (_, units) in lines {
        shipped += u64::from(units.shipped);
        returning += u64::from(units.returning);
        returned += u64::from(units.returned);
    }
    match () {
        () if returned > 0 && returned == shipped => Returns::Full,
        () if returned > 0 => Returns::Partial,
        () if returning > 0 => Returns::Requested,
        () => Returns::None,
    }
}

/// The status of a paid order whose goods are so far. One that is completed stays completed.
#[must_use]
pub const fn status(before: OrderStatus, fulfilment: Fulfilment) -> OrderStatus {
    match (before, fulfilment) {
        (OrderStatus::Completed, _) => OrderStatus::Completed,
        (_, Fulfilment::None) => OrderStatus::Paid,
        (_, Fulfilment::Partial | Fulfilment::Shipped) => OrderStatus::InFulfilment,
        (_, Fulfilment::Delivered) => OrderStatus::Delivered,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Currency;

    fn line(n: u16, sku: &str, quantity: u32, total: i64, units: Units) -> Line {
        Line {
            n,
            sku_no: SkuNo::from(n),
            sku: sku.to_owned(),
            merchant: MerchantId::from_u128(1),
            quantity,
            total: Money::new(total, Currency::EUR).unwrap(),
            refunded: Money::zero(Currency::EUR),
            units,
        }
    }

    fn so_far(lines: &[Line]) -> Fulfilment {
        fulfilment(lines.iter().map(|line| (line.quantity, &line.units)))
    }

    proptest! {
        /// However a line is called off, leaves and comes back, in whatever pieces: no more goes back than it cost, no more
        /// for what came back than was taken for what left, and nothing is lost to rounding.
        #[test]
        fn whichever_way_units_go_their_shares_add_up(
            quantity in 1_u32..200, total in 0_i64..1_000_000,
            pieces in proptest::collection::vec((0_u8..3, 1_u32..60), 1..60),
        ) {
            let mut line = line(0, "a", quantity, total, Units::default());
            let (mut taken, mut called_off, mut returned) = (0, 0, 0);
            for (way, units) in pieces {
                let worth = match way {
                    0 => {
                        let units = units.min(line.open());
                        taken += line.price(units).unwrap().amount();
                        line.units.shipped += units;
                        continue;
                    }
                    1 => {
                        let units = units.min(line.open());
                        let worth = line.called_off(units).unwrap();
                        line.units.cancelled += units;
                        called_off += worth.amount();
                        worth
                    }
                    _ => {
                        let units = units.min(line.returnable());
                        let worth = line.returned(units).unwrap();
                        line.units.returned += units;
                        returned += worth.amount();
                        worth
                    }
                };
                prop_assert!(worth.amount() >= 0);
                line.refunded = line.refunded.checked_add(worth).unwrap();
                prop_assert!(returned <= taken && taken + called_off <= total);
                // Nobody is a whole cent off at any time.
                let exact = i128::from(total) * i128::from(line.units.cancelled + line.units.returned);
                let off = (exact - i128::from(line.refunded.amount()) * i128::from(quantity)).abs();
                prop_assert!(off < i128::from(quantity));
            }
            if line.open() == 0 {
                prop_assert_eq!(taken + called_off, total);
                prop_assert!(line.units.returned < line.units.shipped || returned == taken);
            }
        }

        /// What is picked is what was asked, from lines that have it; a wish that cannot be met picks nothing.
        #[test]
        fn a_wish_is_met_exactly_or_refused(
            shipped in proptest::collection::vec((1_u32..10, 0_u32..10), 1..6), wanted in 0_u32..40,
        ) {
            let lines: Vec<Line> = shipped.iter().zip(0_u16..).map(|((quantity, shipped), n)| {
                let units = Units { shipped: (*shipped).min(*quantity), ..Units::default() };
                line(n, if n % 2 == 0 { "even" } else { "odd" }, *quantity, 100, units)
            }).collect();
            let there: u32 = lines.iter().filter(|line| line.sku == "even").map(Line::open).sum();
            match pick(&lines, &[("even".to_owned(), wanted)], Line::open) {
                Ok(picked) => {
                    prop_assert_eq!(picked.iter().map(|p| p.units).sum::<u32>(), wanted);
                    prop_assert!(picked.iter().all(|p| p.units > 0 && p.units <= lines[p.index].open()));
                    prop_assert!(picked.iter().all(|p| lines[p.index].sku == "even"));
                }
                Err(_) => prop_assert!(wanted == 0 || wanted > there),
            }
        }
    }

    #[test]
    fn what_was_kept_for_one_unit_does_not_go_back_with_the_next() {
        let mut worn = line(0, "a", 2, 100, Units { shipped: 1, returned: 1, ..Units::default() });
        worn.refunded = Money::new(10, Currency::EUR).unwrap();
        assert_eq!(worn.returned(1).unwrap().amount(), 50);
        worn.refunded = Money::new(80, Currency::EUR).unwrap();
        assert_eq!(worn.returned(1).unwrap().amount(), 20, "and never more than is left");
    }

    #[test]
    fn an_order_is_as_far_as_its_units() {
        let mut lines = [line(0, "a", 2, 200, Units::default()), line(1, "b", 1, 100, Units::default())];
        assert_eq!(so_far(&lines), Fulfilment::None);
        lines[0].units.shipped = 2;
        assert_eq!(so_far(&lines), Fulfilment::Partial);
        lines[1].units.cancelled = 1;
        assert_eq!(so_far(&lines), Fulfilment::Shipped, "what was called off is not waited for");
        lines[0].units.delivered = 1;
        assert_eq!(so_far(&lines), Fulfilment::Shipped);
        lines[0].units.delivered = 2;
        assert_eq!(so_far(&lines), Fulfilment::Delivered);
        assert_eq!(status(OrderStatus::Paid, Fulfilment::Partial), OrderStatus::InFulfilment);
        assert_eq!(status(OrderStatus::InFulfilment, Fulfilment::Delivered), OrderStatus::Delivered);
        assert_eq!(status(OrderStatus::Completed, Fulfilment::Delivered), OrderStatus::Completed);
    }

    #[test]
    fn returns_are_asked_for_then_partial_then_full() {
        let units = Units { shipped: 2, returning: 2, ..Units::default() };
        assert_eq!(returns([(2, &units)]), Returns::Requested);
        let units = Units { shipped: 2, returning: 1, returned: 1, ..Units::default() };
        assert_eq!(returns([(2, &units)]), Returns::Partial);
        let units = Units { shipped: 2, returned: 2, ..Units::default() };
        assert_eq!(returns([(2, &units)]), Returns::Full);
        assert_eq!(returns([(2, &Units::default())]), Returns::None);
    }

    #[test]
    fn an_empty_wish_is_everything_and_never_nothing() {
        let shipped = Units { shipped: 2, ..Units::default() };
        let lines = [line(0, "a", 2, 200, shipped), line(1, "b", 3, 300, Units::default())];
        assert_eq!(pick(&lines, &[], Line::open).unwrap(), [Picked { index: 1, units: 3 }]);
        assert!(pick(&lines[..1], &[], Line::open).is_err());
        let twice = [("b".to_owned(), 1), ("b".to_owned(), 1)];
        assert!(pick(&lines, &twice, Line::open).is_err(), "each article once");
        assert!(pick(&lines, &[("c".to_owned(), 1)], Line::open).is_err());
    }
}
