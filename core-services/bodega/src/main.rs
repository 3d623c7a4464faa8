//! The executable of the core: the same build is a laptop shop and a fleet.

mod arguments;
mod doctor;
mod migrate;
mod operator;
mod seed;
mod serve;
mod services;
mod user;

use std::process::ExitCode;

use bodega_platform::{Config, Entropy, config::Keys, telemetry};
use clap::Parser as _;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Command::Keys = arguments.command {
        print!("{}", Keys::generate(&Entropy).to_toml());
        return ExitCode::SUCCESS;
    }
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("bodega: the configuration cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    telemetry::init(&config.telemetry);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bodega: no threads to be had: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Serve { only } => serve::run(config, &only).await,
            Command::Migrate { only } => migrate::run(&config, &only).await,
            Command::Seed { products, fresh } => seed::run(&config, seed::Wanted { products, fresh }).await,
            Command::User(wanted) => user::run(&config, wanted).await,
            Command::Doctor => doctor::run(&config).await,
            Command::Keys => Ok(()),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bodega: {error}");
            ExitCode::FAILURE
        }
    }
}
