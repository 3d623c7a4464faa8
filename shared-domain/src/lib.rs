//! Pure rules and wire messages of Bodega.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no randomness, no float for money. It builds for
//! the native target, `wasm32-unknown-unknown` and `wasm32-wasip2`, so that the core and every edge share one meaning
//! of money, carts, quotes, orders and stock.

pub mod address;
pub mod cart;
pub mod catalog;
pub mod event;
pub mod failure;
pub mod fulfilment;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod market;
pub mod message;
pub mod money;
pub mod order;
pub mod payment;
pub mod principal;
pub mod promotion;
pub mod quote;
pub mod replication;
pub mod saga;
pub mod stock;
pub mod time;
pub mod token;

pub use failure::{Code, Failure};
pub use money::{Currency, Money};
pub use time::Timestamp;
