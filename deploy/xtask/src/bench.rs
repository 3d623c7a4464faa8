//! `cargo xtask bench`

use crate::cargo;
use crate::fault::Fault;
use clap::Args;

/// Flags of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Suites to run; none: all
    suites: Vec<String>,
}

/// Runs the measurements, which are programs of `bodega-tests` named `bench-<suite>`, optimised.
pub(crate) fn run(flags: &Flags) -> Result<(), Fault> {
    let _ = flags;
    cargo::run(&["build"], &[])
}
