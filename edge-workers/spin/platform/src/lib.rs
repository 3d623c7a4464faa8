//! The storefront's platform on WASI 0.3 and Spin.
//!
//! It translates requests ([`exchange`]), stores, cells, settings, time and randomness ([`SpinPlatform`]), and carries the
//! bytes of the NATS protocol (`link`). A library of its own, so that the shop's component and the host's test probe run
//! the same code.

pub mod exchange;
mod link;
mod media;
mod platform;
mod settings;
mod time_limit;

pub use platform::SpinPlatform;
pub use settings::names as setting_names;
