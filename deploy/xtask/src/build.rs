//! What is built, and in how many calls of cargo.
//!
//! Cargo unites the features of everything in one call. Two executables must not share wasmtime's: the edge host needs
//! its asynchronous and experimental parts, the plugin host must not have them. So each has a call of its own.

use crate::cargo;
use crate::fault::Fault;
use crate::progress::{Steps, bold};
use bodega_stack::shop::{Programs, Progress};
use bodega_stack::{find_on_path, workspace_root};
use clap::Args;
use std::process::Command;

/// Flags of `build-edge`.
#[derive(Debug, Args)]
pub(crate) struct EdgeFlags {
    /// Build the Cloudflare Worker too
    #[arg(long)]
    cloudflare: bool,
}

/// Flags of `plugins`.
#[derive(Debug, Args)]
pub(crate) struct PluginFlags {
    /// Build the hostile ones of the tests too
    #[arg(long)]
    hostile: bool,
}

/// Targets of WebAssembly that the workspace builds for.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// Makes sure that the toolchain can build for the web and for components.
pub(crate) fn targets(steps: &Steps) -> Result<(), Fault> {
    let installed = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(workspace_root())
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    let library = std::path::Path::new(&installed).join("lib/rustlib");
    let missing: Vec<&str> = TARGETS.into_iter().filter(|target| !library.join(target).join("lib").is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    steps.begin(&format!("adding Rust targets {}", missing.join(" ")));
    let output = Command::new("rustup").args(["target", "add"]).args(&missing).current_dir(workspace_root()).output();
    match output {
        Ok(output) if output.status.success() => {
            steps.end("");
            Ok(())
        }
        Ok(output) => Err(Fault::Plain(format!(
            "`rustup target add {}` failed: {}",
            missing.join(" "),
            String::from_utf8_lossy(&output.stderr)
        ))),
        Err(_) => Err(Fault::Plain(format!(
            "the Rust targets {} are missing and rustup is not here: install them with your toolchain",
            missing.join(" ")
        ))),
    }
}

/// What a shop is wanted for.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Shop {
    /// With embedded edges.
    pub(crate) edges: bool,
    /// With an edge in workerd.
    pub(crate) cloudflare: bool,
    /// For tests: the edge host that its own tests were built with. Their libraries ask dependencies for more than the
    /// host alone does, and wasmtime would be compiled once more for that.
    pub(crate) as_tested: bool,
}

/// Builds everything that a shop runs.
pub(crate) fn shop(steps: &Steps, wanted: Shop) -> Result<Programs, Fault> {
    targets(steps)?;
    let core = ["build", "-p", "bodega", "-p", "bodega-payment-simulator", "-p", "bodega-mail-catcher"];
    cargo::build(steps, "the core", &core)?;
    cargo::build(steps, "the plugin host", &["build", "-p", "bodega-plugin-host"])?;
    cargo::build(steps, "the promotion plugins", &["run", "-p", "bodega-plugin-build"])?;
    if wanted.edges {
        component(steps)?;
        let tests: &[&str] = if wanted.as_tested { &["--bins", "--test", "host"] } else { &[] };
        cargo::build(steps, "the edge host", &[&["build", "-p", "bodega-edge-host"], tests].concat())?;
    }
    if wanted.cloudflare {
        worker(steps)?;
    }
    Ok(Programs::built_in(&cargo::target_folder()))
}

/// The storefront as a component.
pub(crate) fn component(steps: &Steps) -> Result<(), Fault> {
    let arguments = ["build", "-p", "bodega-edge-spin", "--target", "wasm32-wasip2", "--profile", "edge"];
    cargo::build(steps, "the storefront component", &arguments)
}

/// Fetches the npm packages that a folder's lock file lists, unless they are there.
pub(crate) fn packages(steps: &Steps, what: &str, folder: &str) -> Result<(), Fault> {
    let folder = workspace_root().join(folder);
    let (lock, done) = (folder.join("package-lock.json"), folder.join("node_modules/.package-lock.json"));
    let changed = |file: &std::path::Path| file.metadata().and_then(|meta| meta.modified()).ok();
    if changed(&done).is_some_and(|done| changed(&lock).is_none_or(|lock| lock <= done)) {
        return Ok(());
    }
    let npm = find_on_path("npm").ok_or_else(|| {
        Fault::Plain("node and npm are missing: apt-get install nodejs npm   (or: brew install node)".to_owned())
    })?;
    steps.begin(&format!("fetching {what} from npm"));
    let output = Command::new(npm).args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
    let output = output.map_err(Fault::file(&folder))?;
    if !output.status.success() {
        return Err(Fault::Plain(format!("`npm ci` failed: {}", String::from_utf8_lossy(&output.stderr))));
    }
    steps.end("");
    Ok(())
}

/// The storefront as a Worker: built and bundled by a program of its own, which also fetches workerd.
pub(crate) fn worker(steps: &Steps) -> Result<(), Fault> {
    cargo::build(steps, "the storefront for workerd", &["run", "-p", "bodega-worker-bundle"])
}

/// `cargo xtask build-edge`
pub(crate) fn edge(flags: &EdgeFlags) -> Result<(), Fault> {
    let steps = Steps::new();
    targets(&steps)?;
    component(&steps)?;
    let built = Programs::built_in(&cargo::target_folder()).edge_component;
    println!("{} {}", bold("component"), built.display());
    if flags.cloudflare {
        worker(&steps)?;
    }
    Ok(())
}

/// `cargo xtask plugins`
pub(crate) fn plugins(flags: &PluginFlags) -> Result<(), Fault> {
    targets(&Steps::new())?;
    let mut arguments = vec!["run", "--quiet", "-p", "bodega-plugin-build"];
    if flags.hostile {
        arguments.extend(["--", "--hostile"]);
    }
    cargo::run(&arguments, &[])
}
