//! `cargo xtask bench`

use crate::build;
use crate::cargo;
use crate::fault::Fault;
use crate::progress::{Steps, bold};
use clap::{Args, ValueEnum};

/// Flags of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Suites to run; none: all
    suites: Vec<Suite>,
    /// Measure the core as it was built for development: no second build, and lower figures
    #[arg(long)]
    dev: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Requests of pages per second at the embedded edge, beside a component that only says hello
    Edge,
    /// Orders per second on the bus, beside the same rows written without an application
    Orders,
    /// Statements, commits, messages and bytes of a checkout; key-value reads and bytes of a page
    Counts,
    /// Time from a change in the core to what a shopper reads at the edges, beside the promise of two seconds
    Replication,
    /// Time from the start of an edge to its first page, of both builds, and their sizes
    Start,
    /// Start-up, fuel and time of promotion plugins
    Plugins,
}

impl Suite {
    const ALL: [Self; 6] = [Self::Edge, Self::Orders, Self::Counts, Self::Replication, Self::Start, Self::Plugins];

    const fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Orders => "orders",
            Self::Counts => "counts",
            Self::Replication => "replication",
            Self::Start => "start",
            Self::Plugins => "plugins",
        }
    }
}

/// Runs the measurements: those of the whole shop are in `tests/bench`.
pub(crate) fn run(flags: &Flags) -> Result<(), Fault> {
    let steps = Steps::new();
    let suites = if flags.suites.is_empty() { &Suite::ALL[..] } else { &flags.suites };
    let core = if flags.dev { "debug" } else { "release" };
    if suites.iter().any(|suite| *suite != Suite::Plugins) {
        let cloudflare = suites.contains(&Suite::Start);
        build::shop(&steps, build::Shop { edges: true, cloudflare, as_tested: false })?;
        let probe = ["build", "-p", "bodega-edge-probe", "--target", "wasm32-wasip2", "--profile", "edge"];
        cargo::build(&steps, "a component that only says hello", &probe)?;
        cargo::build(&steps, "the edge host, optimised", &["build", "--release", "-p", "bodega-edge-host"])?;
        if !flags.dev {
            let programs = ["build", "--release", "-p", "bodega", "-p", "bodega-payment-simulator"];
            cargo::build(&steps, "the core, optimised", &programs)?;
        }
    }
    // A slow load generator would be measured too: it shares the processors.
    let build: &[&str] = if flags.dev { &["run", "--quiet"] } else { &["run", "--quiet", "--release"] };
    for suite in suites {
        eprintln!("\n{}", bold(suite.name()));
        match suite {
            Suite::Plugins => {
                cargo::run(&["run", "--release", "-p", "bodega-plugin-host", "--example", "measure"], &[])?;
            }
            _ => cargo::run(&[build, &["-p", "bodega-bench", "--", suite.name(), "--core", core]].concat(), &[])?,
        }
    }
    Ok(())
}
