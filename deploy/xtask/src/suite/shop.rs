//! Tests of the whole shop.

use super::native::run;
use crate::build;
use crate::cargo;
use crate::fault::Fault;
use crate::progress::Steps;
use bodega_stack::{find_on_path, workspace_root};
use std::process::Command;

/// Black-box tests of `bodega-tests` whose file is named `e2e_…` or `fault_…`.
pub(super) fn end_to_end(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    run(steps, &["-p", "bodega-tests", "--test", "e2e_*", "--test", "fault_*"])
}

/// The tests under `tests/workerd`.
pub(super) fn workerd(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, true)?;
    node("tests/workerd")
}

/// The tests under `tests/browser`.
pub(super) fn browser(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    node("tests/browser")
}

/// The black-box tests once more, each service with a database of its own.
pub(super) fn databases(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, true, false)?;
    let arguments = ["test", "-p", "bodega-tests", "--test", "e2e_*"];
    cargo::run(&arguments, &[("BODEGA_TEST_DATABASE_PER_SERVICE", "1")])
}

/// Applies each patch under `tests/sabotage` in a scratch copy.
pub(super) fn sabotage(_: &Steps) -> Result<(), Fault> {
    cargo::run(&["test", "-p", "bodega-tests", "--test", "sabotage", "--", "--ignored"], &[])
}

fn node(folder: &str) -> Result<(), Fault> {
    let folder = workspace_root().join(folder);
    let npm = find_on_path("npm").ok_or_else(|| {
        Fault::Plain("node and npm are missing: apt-get install nodejs npm   (or: brew install node)".to_owned())
    })?;
    if !folder.join("node_modules").is_dir() {
        cargo::run_command(Command::new(&npm).args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    }
    cargo::run_command(Command::new(&npm).arg("test").current_dir(&folder))
}
