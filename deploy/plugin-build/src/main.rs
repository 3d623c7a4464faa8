//! `plugin-build`: builds the promotion plugins of this workspace and prints a line for each.
//!
//! `plugin-build` builds the examples, `plugin-build --hostile` the ones that tests need as well.

use bodega_plugin_build::{Kind, build, workspace};
use std::process::ExitCode;

const USAGE: &str = "plugin-build [--hostile]\n
Builds wasm-plugins/examples into target/plugins/<name>.wasm and prints name, size, SHA-256 and imports.
--hostile   also builds wasm-plugins/hostile into target/plugins/hostile/<name>.wasm";

fn main() -> ExitCode {
    let mut kinds = vec![Kind::Example];
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--hostile" => kinds.push(Kind::Hostile),
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("plugin-build: {other}: unknown argument\n\n{USAGE}");
                return ExitCode::FAILURE;
            }
        }
    }
    match build(&workspace(), &kinds) {
        Ok(plugins) => {
            for plugin in plugins {
                println!("{plugin}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("plugin-build: {error}");
            ExitCode::FAILURE
        }
    }
}
