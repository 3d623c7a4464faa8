//! The cart: a replicated value, held by the shopper's cookie, the edge's cell and the core, none of them the master.
//!
//! Each line has a base quantity with a tick and the adds that came after it. Merging takes the later base and the
//! union of the adds later than it: commutative, associative and idempotent, so that replicas may meet in any order
//! and as often as they like. Two devices that each add one end with both; a removal against a later add keeps the add.
//!
//! Where one add is known under two ticks (a retry at an edge that had not seen it), the later tick counts: with the
//! earlier one the outcome would depend on the order of merging.

use std::collections::BTreeMap;

use crate::{
    catalog::SkuNo,
    limits::{
        CART_CODES_MAX, CART_LINE_ADDS_MAX, CART_LINES_MAX, CART_TOMBSTONE_DAYS, CODE_BYTES_MAX, LINE_QUANTITY_MAX,
    },
    money::Currency,
    time::Timestamp,
};

/// 2026-01-01T00:00:00Z in Unix milliseconds: ticks count from here.
const EPOCH_MS: i64 = 1_767_225_600_000;
/// Random low bits of a tick: two edges that act in the same 10 ms rarely tie, and a tie is still decided alike.
const RANDOM_BITS: u32 = 8;
/// Adds of one line that a decoder accepts: a merge may exceed [`CART_LINE_ADDS_MAX`] until the next operation folds.
const DECODED_ADDS_MAX: usize = 8 * CART_LINE_ADDS_MAX;
const VERSION: u8 = 1;

/// A cart's logical clock: 10 ms steps since 2026 and random low bits.
pub type Tick = u64;

/// What can be wrong with a cart operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// 200 lines, tombstones counted, none of which can be dropped.
    #[error("the cart is full")]
    Full,
    /// A quantity of 0 for an add, or beyond 999.
    #[error("the quantity is out of range")]
    Quantity,
    /// Too many codes, or a code that is empty, too long or not printable.
    #[error("the code cannot be kept")]
    Code,
    /// Not the encoding of a cart.
    #[error("not a cart")]
    Malformed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    base: (Tick, u32),
    /// Id of the add → tick and quantity.
    adds: BTreeMap<u32, (Tick, u32)>,
}

impl Line {
    fn quantity(&self) -> u32 {
        let sum = self.adds.values().fold(self.base.1, |sum, (_, k)| sum.saturating_add(*k));
        sum.min(LINE_QUANTITY_MAX)
    }

    fn latest(&self) -> Tick {
        self.adds.values().map(|(tick, _)| *tick).fold(self.base.0, Tick::max)
    }

    fn rebase(&mut self, base: (Tick, u32)) {
        self.base = self.base.max(base);
        let from = self.base.0;
        self.adds.retain(|_, (tick, _)| *tick > from);
    }

    fn merge(&mut self, other: &Self) {
        for (id, add) in &other.adds {
            let mine = self.adds.entry(*id).or_insert(*add);
            *mine = (*mine).max(*add);
        }
        self.rebase(other.base);
    }
}

/// A cart's state. Prices never live in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cart {
    lines: BTreeMap<SkuNo, Line>,
    codes: (Tick, Vec<String>),
    currency: (Tick, Option<Currency>),
}

impl Cart {
    /// An empty cart.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is in it: SKU and quantity > 0, by SKU number.
    pub fn lines(&self) -> impl Iterator<Item = (SkuNo, u32)> + '_ {
        self.lines.iter().map(|(sku, line)| (*sku, line.quantity())).filter(|(_, quantity)| *quantity > 0)
    }

    /// The quantity of a SKU, 0 when it is not there.
    #[must_use]
    pub fn quantity(&self, sku: SkuNo) -> u32 {
        self.lines.get(&sku).map_or(0, Line::quantity)
    }

    /// Whether nothing is in it (codes and currency do not count).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    /// Promotion codes, as they were entered.
    #[must_use]
    pub fn codes(&self) -> &[String] {
        &self.codes.1
    }

    /// The currency that was chosen.
    #[must_use]
    pub const fn currency(&self) -> Option<Currency> {
        self.currency.1
    }

    /// The largest tick of anything in it.
    #[must_use]
    pub fn largest_tick(&self) -> Tick {
        let lines = self.lines.values().map(Line::latest).max().unwrap_or(0);
        lines.max(self.codes.0).max(self.currency.0)
    }

    /// The tick of the next operation: later than everything that this cart has seen.
    #[must_use]
    pub fn next_tick(&self, now: Timestamp, random: u8) -> Tick {
        let steps = u64::try_from((now.unix_ms() - EPOCH_MS) / 10).unwrap_or(0);
        ((steps << RANDOM_BITS) | u64::from(random)).max(self.largest_tick().saturating_add(1))
    }

    /// Adds units of a SKU. The same id again is the same add.
    ///
    /// # Errors
    /// [`CartError::Quantity`], or [`CartError::Full`].
    pub fn add(&mut self, sku: SkuNo, k: u32, id: u32, tick: Tick) -> Result<(), CartError> {
        if k == 0 || k > LINE_QUANTITY_MAX {
            return Err(CartError::Quantity);
        }
        self.make_room(sku)?;
        let line = self.lines.entry(sku).or_default();
        if line.adds.contains_key(&id) {
            return Ok(());
        }
        if line.adds.len() >= CART_LINE_ADDS_MAX {
            let quantity = line.quantity().saturating_add(k).min(LINE_QUANTITY_MAX);
            line.rebase((tick, quantity));
        } else {
            line.adds.insert(id, (tick, k));
        }
        Ok(())
    }

    /// Sets the quantity of a SKU; 0 removes it and leaves a tombstone.
    ///
    /// # Errors
    /// [`CartError::Quantity`], or [`CartError::Full`].
    pub fn set(&mut self, sku: SkuNo, quantity: u32, tick: Tick) -> Result<(), CartError> {
        if quantity > LINE_QUANTITY_MAX {
            return Err(CartError::Quantity);
        }
        if quantity == 0 && !self.lines.contains_key(&sku) {
            return Ok(());
        }
        self.make_room(sku)?;
        self.lines.entry(sku).or_default().rebase((tick, quantity));
        Ok(())
    }

    /// Takes ordered lines out, as of what the quote saw: every replica that does the same agrees, and what was added
    /// after the quote stays.
    pub fn remove_ordered(&mut self, skus: impl IntoIterator<Item = SkuNo>, quote_tick: Tick) {
        for sku in skus {
            if let Some(line) = self.lines.get_mut(&sku) {
                line.rebase((quote_tick.saturating_add(1), 0));
            }
        }
    }

    /// Adds a promotion code; one that is there already stays once.
    ///
    /// # Errors
    /// [`CartError::Code`].
    pub fn add_code(&mut self, code: &str, tick: Tick) -> Result<(), CartError> {
        let code = code.trim();
        let readable = !code.is_empty() && code.len() <= CODE_BYTES_MAX && !code.chars().any(char::is_control);
        if !readable {
            return Err(CartError::Code);
        }
        if self.codes.1.iter().any(|c| c.eq_ignore_ascii_case(code)) {
            return Ok(());
        }
        if self.codes.1.len() >= CART_CODES_MAX {
            return Err(CartError::Code);
        }
        self.codes.0 = tick;
        self.codes.1.push(code.to_owned());
        Ok(())
    }

    /// Removes a promotion code, whether it is there or not.
    pub fn remove_code(&mut self, code: &str, tick: Tick) {
        self.codes.0 = tick;
        self.codes.1.retain(|c| !c.eq_ignore_ascii_case(code.trim()));
    }

    /// Chooses the currency.
    pub fn set_currency(&mut self, currency: Currency, tick: Tick) {
        self.currency = (tick, Some(currency));
    }

    /// Merges another replica into this one.
    pub fn merge(&mut self, other: &Self) {
        for (sku, line) in &other.lines {
            self.lines.entry(*sku).or_default().merge(line);
        }
        if other.codes > self.codes {
            self.codes = other.codes.clone();
        }
        self.currency = self.currency.max(other.currency);
        while self.lines.len() > CART_LINES_MAX {
            let Some(sku) = self.least_missed() else { break };
            self.lines.remove(&sku);
        }
    }

    /// Takes a guest's cart over into an account's: line by line the larger quantity, once for each guest cart.
    pub fn adopt(&mut self, guest: &Self, tick: Tick) {
        for (sku, quantity) in guest.lines() {
            if quantity > self.quantity(sku) && self.make_room(sku).is_ok() {
                self.lines.entry(sku).or_default().rebase((tick, quantity));
            }
        }
        for code in guest.codes() {
            // More codes than fit are the shopper's to choose from, not ours.
            let _ = self.add_code(code, tick);
        }
        if let (None, Some(currency)) = (self.currency.1, guest.currency.1) {
            self.set_currency(currency, tick);
        }
    }

    /// Drops tombstones older than 30 days: the one stated loss.
    pub fn prune(&mut self, now: Timestamp) {
        let before = Self::new().next_tick(now.plus_days(-CART_TOMBSTONE_DAYS), 0);
        self.lines.retain(|_, line| line.quantity() > 0 || line.latest() >= before);
    }

    /// The line that is dropped first: the oldest tombstone, else the oldest line.
    fn least_missed(&self) -> Option<SkuNo> {
        self.lines.iter().min_by_key(|(sku, line)| (line.quantity() > 0, line.latest(), **sku)).map(|(sku, _)| *sku)
    }

    fn make_room(&mut self, sku: SkuNo) -> Result<(), CartError> {
        if self.lines.len() < CART_LINES_MAX || self.lines.contains_key(&sku) {
            return Ok(());
        }
        match self.least_missed() {
            Some(oldest) if self.quantity(oldest) == 0 => {
                self.lines.remove(&oldest);
                Ok(())
            }
            _ => Err(CartError::Full),
        }
    }

    /// A compact encoding: variable-length integers, ticks relative to the smallest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let ticks = self.lines.values().flat_map(|l| l.adds.values().map(|a| a.0).chain([l.base.0]));
        let floor = ticks.filter(|tick| *tick > 0).min().unwrap_or(0);
        put(&mut out, floor);
        put(&mut out, self.codes.0);
        put(&mut out, count(self.codes.1.len()));
        for code in &self.codes.1 {
            put(&mut out, count(code.len()));
            out.extend_from_slice(code.as_bytes());
        }
        put(&mut out, self.currency.0);
        out.extend_from_slice(self.currency.1.as_ref().map_or(b"---", |c| c.code().as_bytes()));
        put(&mut out, count(self.lines.len()));
        let mut previous = 0;
        for (sku, line) in &self.lines {
            put(&mut out, u64::from(sku - previous));
            previous = *sku;
            // 0 stands for "no base yet"; real ticks are shifted by one.
            put(&mut out, if line.base.0 == 0 { 0 } else { line.base.0 - floor + 1 });
            put(&mut out, u64::from(line.base.1));
            put(&mut out, count(line.adds.len()));
            for (id, (tick, k)) in &line.adds {
                out.extend_from_slice(&id.to_le_bytes());
                put(&mut out, tick.saturating_sub(floor));
                put(&mut out, u64::from(*k));
            }
        }
        out
    }

    /// Reads an encoding.
    ///
    /// # Errors
    /// [`CartError::Malformed`] for anything that [`encode`](Self::encode) does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, CartError> {
        let mut r = Reader(bytes);
        if r.byte()? != VERSION {
            return Err(CartError::Malformed);
        }
        let floor = r.number()?;
        let mut cart = Self::new();
        cart.codes.0 = r.number()?;
        for _ in 0..r.count(CART_CODES_MAX)? {
            let len = r.count(CODE_BYTES_MAX)?;
            let code = core::str::from_utf8(r.bytes(len)?).map_err(|_| CartError::Malformed)?;
            cart.codes.1.push(code.to_owned());
        }
        cart.currency.0 = r.number()?;
        cart.currency.1 = match core::str::from_utf8(r.bytes(3)?).map_err(|_| CartError::Malformed)? {
            "---" => None,
            code => Some(code.parse().map_err(|_| CartError::Malformed)?),
        };
        let mut sku: SkuNo = 0;
        for index in 0..r.count(CART_LINES_MAX)? {
            let step = r.small()?;
            if index > 0 && step == 0 {
                return Err(CartError::Malformed);
            }
            sku = sku.checked_add(step).ok_or(CartError::Malformed)?;
            let mut line = Line::default();
            let base = r.number()?;
            line.base.0 = if base == 0 { 0 } else { floor.checked_add(base - 1).ok_or(CartError::Malformed)? };
            line.base.1 = r.quantity()?;
            for _ in 0..r.count(DECODED_ADDS_MAX)? {
                let id = u32::from_le_bytes(r.bytes(4)?.try_into().map_err(|_| CartError::Malformed)?);
                let tick = floor.checked_add(r.number()?).ok_or(CartError::Malformed)?;
                let k = r.quantity()?;
                if k == 0 || tick <= line.base.0 || line.adds.insert(id, (tick, k)).is_some() {
                    return Err(CartError::Malformed);
                }
            }
            cart.lines.insert(sku, line);
        }
        if r.0.is_empty() { Ok(cart) } else { Err(CartError::Malformed) }
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, CartError> {
        let (first, rest) = self.0.split_first().ok_or(CartError::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], CartError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CartError::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn number(&mut self) -> Result<u64, CartError> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CartError::Malformed)
    }

    fn small(&mut self) -> Result<u32, CartError> {
        u32::try_from(self.number()?).map_err(|_| CartError::Malformed)
    }

    fn quantity(&mut self) -> Result<u32, CartError> {
        Some(self.small()?).filter(|q| *q <= LINE_QUANTITY_MAX).ok_or(CartError::Malformed)
    }

    fn count(&mut self, max: usize) -> Result<usize, CartError> {
        usize::try_from(self.number()?).ok().filter(|n| *n <= max).ok_or(CartError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Add(SkuNo, u32, u32),
        Set(SkuNo, u32),
        Ordered(SkuNo),
        Code(bool, u8),
        Currency(bool),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (1_u32..6, 1_u32..4, 0_u32..50).prop_map(|(sku, k, id)| Op::Add(sku, k, id)),
            (1_u32..6, 0_u32..4).prop_map(|(sku, q)| Op::Set(sku, q)),
            (1_u32..6).prop_map(Op::Ordered),
            (any::<bool>(), 0_u8..6).prop_map(|(add, code)| Op::Code(add, code)),
            any::<bool>().prop_map(Op::Currency),
        ]
    }

    fn apply(cart: &mut Cart, op: &Op, tick: Tick) {
        let _ = match op {
            Op::Add(sku, k, id) => cart.add(*sku, *k, *id, tick),
            Op::Set(sku, q) => cart.set(*sku, *q, tick),
            Op::Ordered(sku) => {
                cart.remove_ordered([*sku], tick.saturating_sub(3));
                Ok(())
            }
            Op::Code(true, code) => cart.add_code(&format!("CODE{code}"), tick),
            Op::Code(false, code) => {
                cart.remove_code(&format!("code{code}"), tick);
                Ok(())
            }
            Op::Currency(eur) => {
                cart.set_currency(if *eur { Currency::EUR } else { Currency::JPY }, tick);
                Ok(())
            }
        };
    }

    /// Three replicas that act and meet at random.
    fn replicas() -> impl Strategy<Value = [Cart; 3]> {
        let step = (0_usize..3, proptest::option::of(0_usize..3), op(), 0_i64..100, any::<u8>());
        proptest::collection::vec(step, 0..60).prop_map(|steps| {
            let mut carts = [Cart::new(), Cart::new(), Cart::new()];
            for (who, meets, op, ms, random) in steps {
                if let Some(whom) = meets {
                    let other = carts[whom].clone();
                    carts[who].merge(&other);
                }
                let tick = carts[who].next_tick(Timestamp::from_unix_ms(EPOCH_MS + ms * 1000), random);
                apply(&mut carts[who], &op, tick);
            }
            carts
        })
    }

    fn merged(a: &Cart, b: &Cart) -> Cart {
        let mut out = a.clone();
        out.merge(b);
        out
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent([a, b, c] in replicas()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
        }

        #[test]
        fn the_encoding_round_trips([a, b, _c] in replicas()) {
            let cart = merged(&a, &b);
            prop_assert_eq!(Cart::decode(&cart.encode()).unwrap(), cart);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(cart) = Cart::decode(&bytes) {
                prop_assert!(cart.lines().all(|(_, q)| q <= LINE_QUANTITY_MAX));
            }
        }

        #[test]
        fn damaged_encodings_never_panic([a, _b, _c] in replicas(), at: prop::sample::Index, to: u8) {
            let mut bytes = a.encode();
            let i = at.index(bytes.len());
            bytes[i] = to;
            let _ = Cart::decode(&bytes);
        }

        #[test]
        fn two_devices_that_each_add_count_both([start, _b, _c] in replicas(), k in 1_u32..4, l in 1_u32..4) {
            let (mut one, mut two) = (start.clone(), start.clone());
            prop_assume!(start.lines.get(&1).is_none_or(|line| line.adds.len() < CART_LINE_ADDS_MAX));
            let tick = start.next_tick(Timestamp::from_unix_ms(EPOCH_MS), 0);
            one.add(1, k, 1_001, tick).unwrap();
            two.add(1, l, 1_002, tick + 1).unwrap();
            prop_assert_eq!(merged(&one, &two).quantity(1), start.quantity(1) + k + l);
        }
    }

    #[test]
    fn a_retried_add_is_the_same_add() {
        let mut cart = Cart::new();
        cart.add(1, 2, 77, 10).unwrap();
        cart.add(1, 2, 77, 20).unwrap();
        assert_eq!(cart.quantity(1), 2);
    }

    #[test]
    fn a_removal_against_a_later_add_keeps_the_add() {
        let mut phone = Cart::new();
        phone.add(1, 1, 1, 10).unwrap();
        let mut laptop = phone.clone();
        phone.set(1, 0, 11).unwrap();
        laptop.add(1, 3, 2, 12).unwrap();
        assert_eq!(merged(&phone, &laptop).quantity(1), 3);
    }

    #[test]
    fn ordered_lines_leave_and_what_was_added_after_the_quote_stays() {
        let mut cart = Cart::new();
        cart.add(1, 2, 1, 10).unwrap();
        let quoted = cart.largest_tick();
        let mut other = cart.clone();
        other.add(1, 1, 2, cart.next_tick(Timestamp::from_unix_ms(EPOCH_MS), 5)).unwrap();
        cart.remove_ordered([1], quoted);
        other.remove_ordered([1], quoted);
        assert_eq!(cart.quantity(1), 0);
        // The add that happened right after the quote has the tick quote + 1 or later; a tie goes to the order.
        assert!(merged(&cart, &other).quantity(1) <= 1);
        let mut later = Cart::new();
        later.add(1, 1, 3, quoted + 2).unwrap();
        assert_eq!(merged(&cart, &later).quantity(1), 1);
    }

    #[test]
    fn the_cart_is_bounded_and_says_so() {
        let mut cart = Cart::new();
        for sku in 1..=200 {
            cart.add(sku, 1, sku, 10 + u64::from(sku)).unwrap();
        }
        assert_eq!(cart.add(201, 1, 1, 999), Err(CartError::Full));
        cart.set(7, 0, 1_000).unwrap();
        cart.add(201, 1, 1, 1_001).unwrap();
        assert_eq!(cart.lines().count(), 200);
        assert_eq!(cart.add(1, 1_000, 1, 1_002), Err(CartError::Quantity));
        assert_eq!(cart.add(1, 0, 1, 1_002), Err(CartError::Quantity));
    }

    #[test]
    fn many_adds_fold_and_still_count() {
        let mut cart = Cart::new();
        for id in 0..30 {
            let tick = cart.next_tick(Timestamp::from_unix_ms(EPOCH_MS), 0);
            cart.add(1, 1, id, tick).unwrap();
        }
        assert_eq!(cart.quantity(1), 30);
        assert!(cart.lines[&1].adds.len() <= CART_LINE_ADDS_MAX);
    }

    #[test]
    fn tombstones_drop_after_thirty_days() {
        let mut cart = Cart::new();
        let day = |d: i64| Timestamp::from_unix_ms(EPOCH_MS).plus_days(d);
        cart.add(1, 1, 1, cart.next_tick(day(1), 0)).unwrap();
        cart.set(1, 0, cart.next_tick(day(2), 0)).unwrap();
        cart.prune(day(31));
        assert_eq!(cart.lines.len(), 1);
        cart.prune(day(33));
        assert_eq!(cart.lines.len(), 0);
    }

    #[test]
    fn a_guest_cart_is_adopted_with_the_larger_quantity() {
        let (mut account, mut guest) = (Cart::new(), Cart::new());
        account.set(1, 2, 10).unwrap();
        account.set(2, 5, 11).unwrap();
        guest.set(1, 3, 12).unwrap();
        guest.set(2, 1, 13).unwrap();
        guest.set(3, 1, 14).unwrap();
        account.adopt(&guest, 20);
        assert_eq!(account.lines().collect::<Vec<_>>(), [(1, 3), (2, 5), (3, 1)]);
    }

    #[test]
    fn ten_lines_fit_two_hundred_characters_and_two_hundred_fit_a_cookie() {
        let mut cart = Cart::new();
        for sku in 1..=200_u32 {
            let tick = cart.next_tick(Timestamp::from_unix_ms(1_795_000_000_000 + i64::from(sku) * 1_000), 9);
            cart.add(sku * 37, 1 + sku % 3, sku.wrapping_mul(2_654_435_761), tick).unwrap();
            let characters = crate::token::base64url(&cart.encode()).len();
            match sku {
                10 => assert!(characters <= 200, "{characters}"),
                200 => assert!(characters <= 3_600, "{characters}"),
                _ => {}
            }
        }
    }
}
