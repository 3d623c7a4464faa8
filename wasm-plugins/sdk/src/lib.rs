//! Write a promotion plugin in Rust.
