//! An edge's replica of a cart, as its cell holds it: the state, when it last met the core's, and who may meet it next.

use bodega_domain::cart::{Cart, Tick};

const VERSION: u8 = 1;
/// Milliseconds between two pushes of one cart to the core.
pub(crate) const PUSH_EVERY_MS: i64 = 1_000;
/// Quotes and checkouts whose cart tick is remembered: a shopper with more than that open at once is not one.
const QUOTED_MAX: usize = 8;

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
    pub(crate) quoted: Quoted,
}

/// Which tick of the cart a quote saw, by a mark of the quote: the edge cannot read quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quoted(Vec<(u32, Tick)>);

impl Quoted {
    /// Remembers a tick; the newest few stay.
    pub(crate) fn note(&mut self, mark: u32, tick: Tick) {
        match self.0.iter_mut().find(|(m, _)| *m == mark) {
            Some((_, held)) => *held = (*held).max(tick),
            None => self.0.push((mark, tick)),
        }
        self.0.sort_by_key(|(mark, tick)| (std::cmp::Reverse(*tick), *mark));
        self.0.truncate(QUOTED_MAX);
    }

    /// The tick of a mark.
    pub(crate) fn tick(&self, mark: u32) -> Option<Tick> {
        self.0.iter().find(|(m, _)| *m == mark).map(|(_, tick)| *tick)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mark, tick) in &other.0 {
            self.note(*mark, *tick);
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(0));
        for (mark, tick) in &self.0 {
            out.extend_from_slice(&mark.to_le_bytes());
            out.extend_from_slice(&tick.to_le_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = bytes.split_first()?;
        let mut quoted = Vec::new();
        for _ in 0..usize::from(*count).min(QUOTED_MAX) {
            let (mark, tail) = rest.split_first_chunk::<4>()?;
            let (tick, tail) = tail.split_first_chunk::<8>()?;
            quoted.push((u32::from_le_bytes(*mark), u64::from_le_bytes(*tick)));
            rest = tail;
        }
        Some((Self(quoted), rest))
    }
}

impl Replica {
    /// Merges another replica or a delta. A wish to push is granted once in [`PUSH_EVERY_MS`], here, where it is atomic.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.cart.merge(&other.cart);
        self.met_ms = self.met_ms.max(other.met_ms);
        self.quoted.merge(&other.quoted);
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
        out.extend_from_slice(&self.cart.encode());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (met, rest) = rest.split_first_chunk::<8>()?;
        let (push, rest) = rest.split_first_chunk::<8>()?;
        let (by, rest) = rest.split_first_chunk::<8>()?;
        let (quoted, rest) = Quoted::decode(rest)?;
        (*version == VERSION).then_some(())?;
        Some(Self {
            cart: Cart::decode(rest).ok()?,
            met_ms: i64::from_le_bytes(*met),
            push_ms: i64::from_le_bytes(*push),
            push_by: u64::from_le_bytes(*by),
            quoted,
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
    fn the_newest_quotes_are_remembered() {
        let mut quoted = Quoted::default();
        for mark in 0..20_u32 {
            quoted.note(mark, u64::from(mark) + 100);
        }
        assert_eq!(quoted.tick(19), Some(119));
        assert_eq!(quoted.tick(0), None);
        let mut bytes = Vec::new();
        quoted.encode(&mut bytes);
        assert_eq!(Quoted::decode(&bytes), Some((quoted, &[][..])));
    }

    #[test]
    fn encodings_round_trip_and_junk_is_refused() {
        let mut replica = Replica { met_ms: 5, push_ms: 7, push_by: 9, ..Replica::default() };
        replica.cart.add(3, 2, 1, 50).unwrap();
        replica.quoted.note(1, 2);
        assert_eq!(Replica::decode(&replica.encode()), Some(replica.clone()));
        for cut in 0..replica.encode().len() {
            assert_eq!(Replica::decode(&replica.encode()[..cut]), None);
        }
    }
}
