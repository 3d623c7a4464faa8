//! The embedded host as a process, with a component that tries one thing per route (`tests/probe`).
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod core_link;
mod edge;
mod faults;
mod network;
mod serving;
mod shop;
mod storage;
