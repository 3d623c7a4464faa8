//! Tests of the whole shop.

use crate::build::{self, Shop};
use crate::cargo;
use crate::fault::Fault;
use crate::progress::Steps;
use bodega_stack::{find_on_path, workspace_root};
use std::process::Command;

/// Faults that are tried with the storefront in workerd too, each with a shop of its own that takes some twenty seconds.
const FAULTS_IN_WORKERD: [&str; 5] = [
    "killed::without_the_core_reading_and_filling_go_on_and_checkout_says_not_yet",
    "killed::nats_killed_is_told_and_then_it_recovers_by_itself",
    "killed::postgres_killed_is_told_and_then_it_recovers_by_itself",
    "killed::an_edge_that_was_killed_still_has_catalogue_and_cart",
    "words_lost::an_outcome_that_is_not_known_is_said_to_be_and_the_same_key_tells",
];
const IN_WORKERD: (&str, &str) = ("BODEGA_TEST_RUNTIME", "cloudflare");

const TESTED: Shop = Shop { edges: true, cloudflare: false, as_tested: true };

/// Black-box tests share one shop a file, so they run in one process: cargo's own runner, not nextest.
fn black_box(test: &str, only: &[&str], environment: &[(&str, &str)]) -> Result<(), Fault> {
    let all = ["test", "-p", "bodega-tests", "--features", "black-box", "--test", test];
    let some: &[&str] = if only.is_empty() { &[] } else { &["--", "--exact"] };
    cargo::run(&[&all[..], some, only].concat(), environment)
}

/// What a shopper sees, and what a client may rely on.
pub(super) fn end_to_end(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, TESTED)?;
    black_box("e2e", &[], &[])
}

/// Processes killed, words lost, ports taken.
pub(super) fn faults(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, TESTED)?;
    black_box("faults", &[], &[])
}

/// Everything killed again and again while shoppers shop, and every law afterwards.
pub(super) fn storm(steps: &Steps) -> Result<(), Fault> {
    storm_with(steps, &[])
}

/// The same with these settings. What it tells of itself is shown.
pub(super) fn storm_with(steps: &Steps, settings: &[(&str, &str)]) -> Result<(), Fault> {
    build::shop(steps, TESTED)?;
    let arguments = ["test", "-p", "bodega-tests", "--features", "black-box", "--test", "storm", "--", "--nocapture"];
    cargo::run(&arguments, settings)
}

/// The same as [`end_to_end`] against the storefront in workerd, some of [`faults`], and the tests under `tests/workerd`.
pub(super) fn workerd(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, Shop { cloudflare: true, ..TESTED })?;
    node(steps, "workerd", "tests/workerd")?;
    black_box("e2e", &[], &[IN_WORKERD])?;
    black_box("faults", &FAULTS_IN_WORKERD, &[IN_WORKERD])
}

/// The tests under `tests/browser`.
pub(super) fn browser(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, TESTED)?;
    node(steps, "the driver of the browser", "tests/browser")
}

/// The black box once more, each service with a database of its own.
pub(super) fn databases(steps: &Steps) -> Result<(), Fault> {
    build::shop(steps, TESTED)?;
    black_box("e2e", &[], &[("BODEGA_TEST_DATABASE_PER_SERVICE", "1")])
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

#[cfg(test)]
mod tests {
    use super::FAULTS_IN_WORKERD;
    use bodega_stack::workspace_root;

    #[test]
    fn every_fault_that_is_tried_in_workerd_is_there() {
        for name in FAULTS_IN_WORKERD {
            let (file, test) = name.split_once("::").unwrap_or_default();
            let file = workspace_root().join("tests/tests/faults").join(format!("{file}.rs"));
            let text = std::fs::read_to_string(file).unwrap_or_default();
            assert!(text.contains(&format!("async fn {test}()")), "{name}");
        }
    }
}
