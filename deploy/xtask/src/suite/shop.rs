//! Tests of the whole shop.

use crate::build;
use crate::cargo;
use crate::fault::Fault;
use crate::progress::Steps;
use bodega_stack::{find_on_path, workspace_root};
use std::process::Command;

/// Black-box tests share one shop a file, so they run in one process: cargo's own runner, not nextest.
fn black_box(test: &str, environment: &[(&str, &str)]) -> Result<(), Fault> {
    cargo::run(&["test", "-p", "bodega-tests", "--features", "black-box", "--test", test], environment)
}

/// What a shopper sees, and what a client may rely on.
pub(super) fn end_to_end(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    black_box("e2e", &[])
}

/// Processes killed, words lost, ports taken.
pub(super) fn faults(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    black_box("faults", &[])
}

/// The same as [`end_to_end`] against the storefront in workerd, and the tests under `tests/workerd`.
pub(super) fn workerd(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, true)?;
    node(steps, "workerd", "tests/workerd")?;
    black_box("e2e", &[("BODEGA_TEST_RUNTIME", "cloudflare")])
}

/// The tests under `tests/browser`.
pub(super) fn browser(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    node(steps, "the driver of the browser", "tests/browser")
}

/// The black box once more, each service with a database of its own.
pub(super) fn databases(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    black_box("e2e", &[("BODEGA_TEST_DATABASE_PER_SERVICE", "1")])
}

/// Applies each patch under `tests/sabotage` in a scratch copy.
pub(super) fn sabotage(_: &Steps) -> Result<(), Fault> {
    cargo::run(&["test", "-p", "bodega-tests", "--test", "sabotage", "--", "--include-ignored", "--nocapture"], &[])
}

fn node(steps: &Steps, what: &str, folder: &str) -> Result<(), Fault> {
    build::packages(steps, what, folder)?;
    let npm = find_on_path("npm").unwrap_or_else(|| "npm".into());
    cargo::run_command(Command::new(npm).arg("test").current_dir(workspace_root().join(folder)))
}
