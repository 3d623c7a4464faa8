//! The storefront on a double of its platform and of the core. One program, so that what they share is built once.

mod accounts;
mod carts;
mod catalogue;
mod checkout;
mod double;
mod hostile;
mod openapi;
mod orders;
