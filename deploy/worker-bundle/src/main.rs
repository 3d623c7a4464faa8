//! `worker-bundle`: makes the Cloudflare Worker.
//!
//! Compiles `edge-workers/cloudflare` to WebAssembly, writes its JavaScript glue, joins that with the entry, and leaves
//! `index.js` and `index_bg.wasm` in one folder: what `wrangler deploy` uploads and what workerd runs.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

mod glue;
mod npm;

/// The crate that becomes the worker.
const CRATE: &str = "bodega-edge-cloudflare";
const TARGET: &str = "wasm32-unknown-unknown";

/// Makes the Cloudflare Worker and prints what it weighs.
#[derive(Debug, Parser)]
#[command(name = "worker-bundle", after_help = "Example: cargo run -p bodega-worker-bundle")]
struct Arguments {
    /// Folder to write index.js and index_bg.wasm to [default: target/cloudflare]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Cargo profile of the WebAssembly
    #[arg(long, default_value = "edge")]
    profile: String,
    /// Do not install what runs the worker in workerd (tests/workerd), only what builds it
    #[arg(long)]
    without_runner: bool,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
enum BundleError {
    /// A program could not be started.
    #[error("{program}: {error}; {advice}")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        error: std::io::Error,
        /// What to do about it.
        advice: &'static str,
    },
    /// A program ended with a failure and said why itself.
    #[error("{0} failed")]
    Failed(String),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The generator of the glue refused.
    #[error("wasm-bindgen: {0}")]
    Glue(String),
}

fn main() -> ExitCode {
    match bundle(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker-bundle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bundle(arguments: &Arguments) -> Result<(), BundleError> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = here.ancestors().nth(2).unwrap_or(here);
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |dir| workspace.join(dir));
    let out = arguments.out.clone().unwrap_or_else(|| target.join("cloudflare"));

    let wasm = compile(arguments, workspace, &target)?;
    npm::install(here)?;
    if !arguments.without_runner {
        npm::install(&workspace.join("tests/workerd"))?;
    }
    // The glue goes beside the bundle, not into it: a deployment uploads the folder as it is.
    let mut glue_folder = out.clone().into_os_string();
    glue_folder.push("-glue");
    let glue_folder = PathBuf::from(glue_folder);
    glue::write(&wasm, &glue_folder)?;
    copy(&here.join("src/entry.js"), &glue_folder.join("entry.js"))?;

    create_folder(&out)?;
    npm::run_tool(
        here,
        "esbuild",
        &[
            glue_folder.join("entry.js").as_os_str(),
            "--bundle".as_ref(),
            "--format=esm".as_ref(),
            "--target=esnext".as_ref(),
            "--log-level=warning".as_ref(),
            "--external:cloudflare:*".as_ref(),
            "--external:./index_bg.wasm".as_ref(),
            &prefixed("--outfile=", &out.join("index.js")),
        ],
    )?;
    copy(&glue_folder.join(glue::WASM), &out.join(glue::WASM))?;
    for name in ["index.js", glue::WASM] {
        println!("{}", weight(&out.join(name))?);
    }
    Ok(())
}

fn compile(arguments: &Arguments, workspace: &Path, target: &Path) -> Result<PathBuf, BundleError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(["build", "--package", CRATE, "--target", TARGET]);
    command.args(["--profile", &arguments.profile]);
    // Stripping all would take the section from which the generator learns what the WebAssembly may use.
    let strip = format!("CARGO_PROFILE_{}_STRIP", arguments.profile.to_uppercase().replace('-', "_"));
    command.env(strip, "debuginfo");
    run("cargo", "install a Rust toolchain from https://rustup.rs", &mut command)?;
    // The one profile whose folder has another name.
    let folder = if arguments.profile == "dev" { "debug" } else { &arguments.profile };
    Ok(target.join(TARGET).join(folder).join(format!("{}.wasm", CRATE.replace('-', "_"))))
}

fn run(program: &str, advice: &'static str, command: &mut Command) -> Result<(), BundleError> {
    let status = command.status().map_err(|error| BundleError::Start { program: program.to_owned(), error, advice })?;
    if status.success() { Ok(()) } else { Err(BundleError::Failed(program.to_owned())) }
}

fn prefixed(prefix: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(prefix);
    text.push(path);
    text
}

fn create_folder(path: &Path) -> Result<(), BundleError> {
    std::fs::create_dir_all(path).map_err(|error| BundleError::File { path: path.to_owned(), error })
}

fn copy(from: &Path, to: &Path) -> Result<(), BundleError> {
    std::fs::copy(from, to).map(|_| ()).map_err(|error| BundleError::File { path: from.to_owned(), error })
}

/// Limits of scripts count compressed bytes, so both are said. Binaryen's `wasm-opt -Os` on top of this profile took 5 %
/// of the bytes and nothing of the compressed ones, so it is not run.
fn weight(path: &Path) -> Result<String, BundleError> {
    let bytes = std::fs::read(path).map_err(|error| BundleError::File { path: path.to_owned(), error })?;
    let compressed = miniz_oxide::deflate::compress_to_vec(&bytes, 9).len();
    Ok(format!("{}  {} KiB, {} KiB compressed", path.display(), bytes.len() / 1024, compressed / 1024))
}
