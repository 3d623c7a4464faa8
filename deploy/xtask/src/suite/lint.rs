//! What is checked without running anything.

use super::native;
use crate::cargo;
use crate::fault::Fault;
use crate::progress::Steps;
use bodega_stack::shop::Progress;
use bodega_stack::{find_on_path, local_folder, workspace_root};
use std::path::PathBuf;
use std::process::Command;

const CARGO_DENY_VERSION: &str = "0.20.2";

pub(super) fn format(_: &Steps) -> Result<(), Fault> {
    cargo::run(&["fmt", "--all", "--check"], &[])
}

/// The same grouping as the tests: what shares wasmtime must not share a call of cargo.
pub(super) fn clippy(_: &Steps) -> Result<(), Fault> {
    let strict = ["--", "-D", "warnings"];
    let check = |selection: &[&str]| cargo::run(&[&["clippy"], selection, &strict].concat(), &[]);
    // Black-box tests are behind a feature of their crate.
    let all = ["--all-targets", "--features", "bodega-tests/black-box"];
    check(&[&native::strs(&native::together())[..], &all].concat())?;
    check(&[&native::strs(&native::tools_of_wasm())[..], &["--all-targets"]].concat())?;
    native::HOSTS.into_iter().try_for_each(|host| check(&["-p", host, "--all-targets"]))?;
    native::GUESTS.into_iter().try_for_each(|(guest, target)| check(&["-p", guest, "--target", target]))
}

/// Licences, bans and sources; known vulnerabilities need a database from outside and are a suite of their own.
pub(super) fn deny(steps: &Steps) -> Result<(), Fault> {
    run_deny(steps, &["licenses", "bans", "sources"])
}

pub(super) fn advisories(steps: &Steps) -> Result<(), Fault> {
    run_deny(steps, &["advisories"])
}

fn run_deny(steps: &Steps, checks: &[&str]) -> Result<(), Fault> {
    let program = cargo_deny(steps)?;
    let mut command = Command::new(program);
    command.args(["--workspace", "check", "--hide-inclusion-graph"]).args(checks).current_dir(workspace_root());
    cargo::run_command(&mut command)
}

/// No package registry carries it ready: it is built once and kept.
fn cargo_deny(steps: &Steps) -> Result<PathBuf, Fault> {
    if let Some(found) = find_on_path("cargo-deny") {
        return Ok(found);
    }
    let folder = local_folder().join("tools").join(format!("cargo-deny-{CARGO_DENY_VERSION}"));
    let program = folder.join("bin").join("cargo-deny");
    if !program.is_file() {
        let (root, target) = (folder.display().to_string(), folder.join("target").display().to_string());
        let arguments =
            ["install", "cargo-deny", "--locked", "--debug", "--version", CARGO_DENY_VERSION, "--root", &root];
        // Its TLS and git parts are not needed for what is checked here, but it has no build without them. Unoptimised
        // it is built in a third of the time, and still checks in a second.
        cargo::build(steps, "cargo-deny, once", &[&arguments[..], &["--target-dir", &target]].concat())?;
        let _ = std::fs::remove_dir_all(folder.join("target"));
    } else {
        steps.begin("cargo-deny is there");
        steps.end("");
    }
    Ok(program)
}

/// Pure crates build where they will run: the core, the browser's engine at Cloudflare, and WASI.
pub(super) fn domain_targets(_: &Steps) -> Result<(), Fault> {
    let pure = ["-p", "bodega-domain", "-p", "nats-wire", "-p", "bodega-storefront"];
    cargo::run(&[&["check"], &pure[..]].concat(), &[])?;
    for target in crate::build::TARGETS {
        cargo::run(&[&["check", "--target", target], &pure[..]].concat(), &[])?;
    }
    Ok(())
}

/// wasmtime's WASI 0.3 parts call themselves experimental: plugins, which anybody may upload, must not run in a
/// process that has them.
pub(super) fn features(_: &Steps) -> Result<(), Fault> {
    let mut command = Command::new(cargo::program());
    command.args(["tree", "-p", "bodega-plugin-host", "-e", "normal,features", "--prefix", "none", "--no-dedupe"]);
    let output = command.current_dir(workspace_root()).output().map_err(Fault::file(&cargo::program()))?;
    let tree = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !tree.contains("wasmtime feature") {
        return Err(Fault::Plain(format!("`cargo tree` did not answer: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let forbidden = [
        "wasmtime-wasi v",
        "wasmtime-wasi-http v",
        "feature \"p3\"",
        "feature \"component-model-async\"",
        "async-nats v",
        "sqlx v",
        "reqwest v",
    ];
    let found: Vec<&str> = forbidden.into_iter().filter(|name| tree.contains(name)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Fault::Plain(format!(
        "the plugin host is built with {}: it must have neither network nor experiments",
        found.join(", ")
    )))
}
