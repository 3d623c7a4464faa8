//! `cargo xtask`: the commands of a developer, and what they need. It compiles in seconds and fetches the rest itself.

mod bench;
mod build;
mod cargo;
mod fault;
mod interrupt;
mod progress;
mod suite;
mod up;

use clap::{Parser, Subcommand};
use fault::Fault;
use std::process::ExitCode;

/// Everything a developer of Bodega does from a fresh clone.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the shop: fetch, build, start, migrate and seed everything, on loopback, with data under .local/
    Up(up::Flags),
    /// Close a shop that `up` opened, with --detach or in another terminal
    Down(up::DownFlags),
    /// Run every test that is not marked long, or the named suites
    Test(suite::Flags),
    /// Measure, print a table, and write target/bench/<suite>.json
    Bench(bench::Flags),
    /// Build the storefront as a WebAssembly component (and, with --cloudflare, as a Worker)
    BuildEdge(build::EdgeFlags),
    /// Build the promotion plugins into target/plugins
    Plugins(build::PluginFlags),
    /// Put the demo shop into a running shop; --products N adds a large catalogue
    Seed(up::SeedFlags),
    /// Write the configuration of NATS for a deployment: a user per service and per edge, limited to what it needs
    NatsConfig(up::NatsConfigFlags),
}

fn main() -> ExitCode {
    interrupt::listen();
    let done = match Arguments::parse().command {
        Command::Up(flags) => up::run(&flags),
        Command::Down(flags) => up::down(&flags),
        Command::Test(flags) => suite::run(&flags),
        Command::Bench(flags) => bench::run(&flags),
        Command::BuildEdge(flags) => build::edge(&flags),
        Command::Plugins(flags) => build::plugins(&flags),
        Command::Seed(flags) => up::seed(&flags),
        Command::NatsConfig(flags) => up::nats_config(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Told) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("\n{} {fault}", progress::red("error:"));
            ExitCode::FAILURE
        }
    }
}
