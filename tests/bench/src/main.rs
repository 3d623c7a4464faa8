//! Measurements of the running shop, as many processes as `cargo xtask up` starts: `cargo xtask bench <suite>`.
//!
//! Each suite prints a table and writes `target/bench/<suite>.json`. A number is worth what it was measured beside: every
//! suite measures its yardstick in the same run, on the same machine, with the same load.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "measurements are no money: they are shown and compared"
)]

mod buyers;
mod counts;
mod edge;
mod http;
mod opened;
mod orders;
mod replication;
mod report;
mod start;
mod yardstick;

use clap::{Parser, ValueEnum};
use opened::Profile;
use report::Report;

/// What can go wrong ends the measurement; there is nobody to recover it for.
type Fault = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
struct Arguments {
    suite: Suite,
    /// Folder of the core's programs under the target folder.
    #[arg(long, default_value = "release")]
    core: Profile,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
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
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let Arguments { suite, core } = Arguments::parse();
    let report: Report = match suite {
        Suite::Edge => edge::measure(core).await?,
        Suite::Orders => orders::measure(core).await?,
        Suite::Counts => counts::measure(core).await?,
        Suite::Replication => replication::measure(core).await?,
        Suite::Start => start::measure(core).await?,
    };
    report.finish()
}
