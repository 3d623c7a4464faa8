//! The plugin host as pricing sees it: real processes, real components.

mod admission;
mod golden;
mod hostile;
mod lifecycle;
mod mutated;
mod support;
mod trial;
