//! Runs promotion plugins in a process that has nothing else: no bus, no database, no network.
//!
//! This library is what the other side of the pipe needs: the [`protocol`], and a [`client`] that keeps a few of these
//! processes alive and asks them; [`trial`] decides whether a plugin with a configuration may become active. It never links an engine; the process itself is the binary `bodega-plugin-host`.
//!
//! What it promises (invariant 7): a plugin gets its input and nothing else, the same input gives the same bytes on
//! every run, and whatever a plugin does, down to killing the process that runs it, is an [`protocol::Outcome`] of
//! that plugin and of no other.

pub mod client;
pub mod frame;
pub mod limits;
pub mod protocol;
pub mod trial;
