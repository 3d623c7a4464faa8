//! An edge's replica of a cart, as its cell holds it: the state, when it last met the core's, and who may meet it next.

use bodega_domain::cart::Cart;

const VERSION: u8 = 2;
/// Milliseconds between two pushes of one cart to the core.
pub(crate) const PUSH_EVERY_MS: i64 = 1_000;
/// Things that a register remembers: a shopper with more quotes or retried adds than that open at once is not one.
const MARKS_MAX: usize = 8;

/// What a cell holds, and what is merged into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replica {
    /// The cart.
    pub(crate) cart: Cart,
    /// When the core's state was last merged in, Unix milliseconds.
    pub(crate) met_ms: i64,
    /// When a push was last begun, Unix milliseconds; in a delta: the wish to begin one.
    pub(crate) push_ms: i64,
    /// Who began it.
    pub(crate) push_by: u64,
    /// Mark of a quote or checkout → tick of the cart that it saw.
    pub(crate) quoted: Marks,
    /// Mark of an add's idempotency key → when, and what was added.
    pub(crate) keys: Marks,
}

/// A small register of numbers by the mark of a longer text. The largest few stay, so their high bits are a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(Vec<(u32, u64)>);

impl Marks {
    /// Remembers a number.
    pub(crate) fn note(&mut self, mark: u32, number: u64) {
        match self.0.iter_mut().find(|(m, _)| *m == mark) {
            Some((_, held)) => *held = (*held).max(number),
            None => self.0.push((mark, number)),
        }
        self.0.sort_by_key(|(mark, number)| (std::cmp::Reverse(*number), *mark));
        self.0.truncate(MARKS_MAX);
    }

    /// The number of a mark.
    pub(crate) fn get(&self, mark: u32) -> Option<u64> {
        self.0.iter().find(|(m, _)| *m == mark).map(|(_, number)| *number)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mark, number) in &other.0 {
            self.note(*mark, *number);
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(0));
        for (mark, number) in &self.0 {
            out.extend_from_slice(&mark.to_le_bytes());
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = bytes.split_first()?;
        let mut marks = Vec::new();
        for _ in 0..usize::from(*count).min(MARKS_MAX) {
            let (mark, tail) = rest.split_first_chunk::<4>()?;
            let (number, tail) = tail.split_first_chunk::<8>()?;
            marks.push((u32::from_le_bytes(*mark), u64::from_le_bytes(*number)));
            rest = tail;
        }
        Some((Self(marks), rest))
    }
}

impl Replica {
    /// Merges another replica or a delta. A wish to push is granted once in [`PUSH_EVERY_MS`], here, where it is atomic.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.cart.merge(&other.cart);
        self.met_ms = self.met_ms.max(other.met_ms);
        self.quoted.merge(&other.quoted);
        self.keys.merge(&other.keys);
        if other.push_ms.saturating_sub(self.push_ms) >= PUSH_EVERY_MS {
            self.push_ms = other.push_ms;
            self.push_by = other.push_by;
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.met_ms.to_le_bytes());
        out.extend_from_slice(&self.push_ms.to_le_bytes());
        out.extend_from_slice(&self.push_by.to_le_bytes());
        self.quoted.encode(&mut out);
        self.keys.encode(&mut out);
        out.extend_from_slice(&self.cart.encode());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (met, rest) = rest.split_first_chunk::<8>()?;
        let (push, rest) = rest.split_first_chunk::<8>()?;
        let (by, rest) = rest.split_first_chunk::<8>()?;
        let (quoted, rest) = Marks::decode(rest)?;
        let (keys, rest) = Marks::decode(rest)?;
        (*version == VERSION).then_some(())?;
        Some(Self {
            cart: Cart::decode(rest).ok()?,
            met_ms: i64::from_le_bytes(*met),
            push_ms: i64::from_le_bytes(*push),
            push_by: u64::from_le_bytes(*by),
            quoted,
            keys,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_push_a_second_is_granted() {
        let mut cell = Replica::default();
        let wish = |at, by| Replica { push_ms: at, push_by: by, ..Replica::default() };
        cell.merge(&wish(10_000, 1));
        cell.merge(&wish(10_500, 2));
        assert_eq!((cell.push_ms, cell.push_by), (10_000, 1));
        cell.merge(&wish(11_000, 3));
        assert_eq!((cell.push_ms, cell.push_by), (11_000, 3));
    }

    #[test]
    fn the_newest_marks_are_remembered() {
        let mut marks = Marks::default();
        for mark in 0..20_u32 {
            marks.note(mark, u64::from(mark) + 100);
        }
        assert_eq!(marks.get(19), Some(119));
        assert_eq!(marks.get(0), None);
        let mut bytes = Vec::new();
        marks.encode(&mut bytes);
        assert_eq!(Marks::decode(&bytes), Some((marks, &[][..])));
    }

    #[test]
    fn encodings_round_trip_and_junk_is_refused() {
        let mut replica = Replica { met_ms: 5, push_ms: 7, push_by: 9, ..Replica::default() };
        replica.cart.add(3, 2, 1, 50).unwrap();
        replica.quoted.note(1, 2);
        replica.keys.note(3, 4);
        assert_eq!(Replica::decode(&replica.encode()), Some(replica.clone()));
        for cut in 0..replica.encode().len() {
            assert_eq!(Replica::decode(&replica.encode()[..cut]), None);
        }
    }
}
