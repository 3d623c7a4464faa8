//! The platform with two toy services against real servers. What a test kills is its own.

#![allow(missing_docs, clippy::unwrap_used)]

mod database;
mod events;
mod faults;
mod requests;
mod toy;
