//! The process: engine, loading, running, and the loop around them. One thread does all of it; who wants to run two
//! plugins at once runs two processes.

pub(crate) mod artefact;
mod bindings;
pub(crate) mod confine;
pub(crate) mod engine;
pub(crate) mod inspect;
mod plugin;
mod run;
pub(crate) mod serve;
