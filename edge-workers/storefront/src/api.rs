//! The JSON API under `/api/v1`.

pub(crate) mod account;
pub(crate) mod cart;
pub(crate) mod checkout;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod session;
