//! The cart cookie: a token of the guest key ring with the cart's secret and its state, so that a shopper keeps the cart
//! when an edge loses its cell.

use bodega_domain::{cart::Cart, token::KeyRing};

use super::replica::Marks;

/// The cookie's name.
pub(crate) const COOKIE: &str = "bodega_cart";
/// The same for clients without a cookie jar.
pub(crate) const HEADER: &str = "bodega-cart";
/// Characters of a token that browsers surely keep: they allow 4096 for name, value and attributes.
const TOKEN_CHARS_MAX: usize = 3_900;
const PREFIX: &str = "c1";
const VERSION: u8 = 2;

/// Names a cart; whoever knows it holds the cart.
pub(crate) type Secret = [u8; 32];

/// Whose cart it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A guest's.
    Guest,
    /// An account's.
    Account,
    /// A guest's whose shopper has signed in, and that the account with this cart has not taken over yet.
    Adopting(Secret),
}

/// What the cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) secret: Secret,
    pub(crate) kind: Kind,
    pub(crate) quoted: Marks,
    pub(crate) keys: Marks,
    pub(crate) cart: Cart,
}

/// The token of a cart. A state too large for a cookie stays in the cell and the core alone.
pub(crate) fn seal(ring: &KeyRing, contents: &Contents) -> Option<String> {
    let token = ring.sign(PREFIX, &encode(contents, &contents.cart))?;
    if token.len() <= TOKEN_CHARS_MAX {
        return Some(token);
    }
    ring.sign(PREFIX, &encode(contents, &Cart::new()))
}

fn encode(contents: &Contents, cart: &Cart) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&contents.secret);
    match contents.kind {
        Kind::Guest => out.push(0),
        Kind::Account => out.push(1),
        Kind::Adopting(account) => {
            out.push(2);
            out.extend_from_slice(&account);
        }
    }
    contents.quoted.encode(&mut out);
    contents.keys.encode(&mut out);
    out.extend_from_slice(&cart.encode());
    out
}

/// What a token says, if it is one of ours.
pub(crate) fn unseal(ring: &KeyRing, token: &str) -> Option<Contents> {
    if token.len() > 4 * 1024 {
        return None;
    }
    let payload = ring.verify(PREFIX, token).ok()?;
    let (version, rest) = payload.split_first()?;
    let (secret, rest) = rest.split_first_chunk::<32>()?;
    let (kind, rest) = rest.split_first()?;
    let (kind, rest) = match kind {
        0 => (Kind::Guest, rest),
        1 => (Kind::Account, rest),
        2 => {
            let (account, rest) = rest.split_first_chunk::<32>()?;
            (Kind::Adopting(*account), rest)
        }
        _ => return None,
    };
    let (quoted, rest) = Marks::decode(rest)?;
    let (keys, rest) = Marks::decode(rest)?;
    let cart = Cart::decode(rest).ok()?;
    (*version == VERSION).then_some(Contents { secret: *secret, kind, quoted, keys, cart })
}

#[cfg(test)]
mod tests {
    use bodega_domain::{limits::CART_LINES_MAX, token::MacKey};

    use super::*;

    fn ring() -> KeyRing {
        KeyRing(vec![MacKey { kid: "k".into(), secret: vec![1; 32] }])
    }

    #[test]
    fn two_hundred_lines_fit_a_cookie_and_come_back() {
        let mut cart = Cart::new();
        for n in 0..u32::try_from(CART_LINES_MAX).unwrap() {
            cart.set(1000 + n * 3, 1 + n % 5, 7_000_000_000 + u64::from(n) * 5_000).unwrap();
        }
        let mut marks = Marks::default();
        for mark in 0..8 {
            marks.note(mark, u64::MAX - u64::from(mark));
        }
        let kind = Kind::Adopting([4; 32]);
        let contents = Contents { secret: [3; 32], kind, quoted: marks.clone(), keys: marks, cart };
        let token = seal(&ring(), &contents).unwrap();
        assert!(token.len() < TOKEN_CHARS_MAX, "{} characters", token.len());
        assert_eq!(unseal(&ring(), &token), Some(contents));
    }

    #[test]
    fn a_changed_or_foreign_cookie_is_none() {
        let contents = Contents {
            secret: [3; 32],
            kind: Kind::Guest,
            quoted: Marks::default(),
            keys: Marks::default(),
            cart: Cart::new(),
        };
        let token = seal(&ring(), &contents).unwrap();
        let foreign = KeyRing(vec![MacKey { kid: "k".into(), secret: vec![2; 32] }]);
        assert_eq!(unseal(&foreign, &token), None);
        assert_eq!(unseal(&ring(), &token[..token.len() - 2]), None);
        assert_eq!(unseal(&ring(), ""), None);
    }
}
