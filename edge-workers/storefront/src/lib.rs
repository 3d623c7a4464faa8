//! The shop itself, for any edge runtime: routes, pages, sessions, carts, checkout forwarding.

pub mod platform;
