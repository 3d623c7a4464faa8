//! The simulator as a process: prints one `READY` line, stops on Ctrl-C or SIGTERM.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use bodega_payment_simulator::{Options, Simulator};
use clap::Parser;

/// A payment provider that misbehaves on request.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, env = "BODEGA_SIMULATOR_PORT", default_value_t = 8095)]
    port: u16,
    /// Where webhooks are sent.
    #[arg(long, env = "BODEGA_SIMULATOR_WEBHOOK_URL")]
    webhook_url: Option<String>,
    /// Secret that signs webhooks.
    #[arg(long, env = "BODEGA_SIMULATOR_WEBHOOK_SECRET", default_value = "whsec_simulator", hide_env_values = true)]
    webhook_secret: String,
    /// Bearer key that the API asks for.
    #[arg(long, env = "BODEGA_SIMULATOR_API_KEY", default_value = "sk_test_simulator", hide_env_values = true)]
    api_key: String,
    /// Folder of the journal; without it nothing is kept.
    #[arg(long, env = "BODEGA_SIMULATOR_DATA")]
    data: Option<PathBuf>,
    /// How long slow cards and disputes take, milliseconds.
    #[arg(long, env = "BODEGA_SIMULATOR_SLOW_MS", default_value_t = 3_000)]
    slow_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        listen: SocketAddr::new(arguments.bind, arguments.port),
        webhook_url: arguments.webhook_url,
        webhook_secret: arguments.webhook_secret,
        api_key: arguments.api_key,
        journal: arguments.data.map(|folder| folder.join("payments.jsonl")),
        slow_ms: arguments.slow_ms,
    };
    let simulator = match Simulator::start(options).await {
        Ok(simulator) => simulator,
        Err(error) => {
            eprintln!("payment simulator: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("READY {}", simulator.url());
    asked_to_stop().await;
    simulator.stop().await;
    ExitCode::SUCCESS
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
