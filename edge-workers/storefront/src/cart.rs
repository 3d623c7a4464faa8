//! Carts at the edge: the signed cookie and the atomic cell, merged on the way in and on the way out.

mod adopt;
mod basket;
mod cookie;
pub(crate) mod priced;
pub(crate) mod replica;
mod sync;

pub(crate) use adopt::sign_in;
pub(crate) use basket::{
    Basket, CURRENCIES, DEFAULT_CURRENCY, add, change, load, mark, note_checkout, note_quote, ordered, peek,
};
pub(crate) use cookie::{COOKIE, HEADER};
