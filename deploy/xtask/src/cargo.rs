//! Runs cargo with its own progress turned into one line.

use crate::fault::Fault;
use crate::interrupt;
use crate::progress::Steps;
use bodega_stack::shop::Progress;
use bodega_stack::{Launch, Signal, find_on_path, local_folder, workspace_root};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Bytes of the log's end that are looked at for progress.
const LOOK_BACK: u64 = 2_000;
/// Lines of the log that an error shows.
const ERROR_LINES: usize = 60;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The cargo that runs us, else the one on the PATH.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("CARGO").map(PathBuf::from).or_else(|| find_on_path("cargo")).unwrap_or_else(|| "cargo".into())
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    let root = workspace_root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Runs `cargo <arguments>` as one step. It ends with us, compilers included.
pub(crate) fn build(steps: &Steps, what: &str, arguments: &[&str]) -> Result<(), Fault> {
    steps.begin(&format!("building {what}"));
    let word: String = what.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let log = local_folder().join("logs").join(format!("build-{word}.log"));
    let _ = std::fs::remove_file(&log);
    let launch = Launch::new("cargo", &program(), &log)
        .args(arguments)
        .folder(&workspace_root())
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100")
        .env("CARGO_TERM_COLOR", "never");
    let mut cargo = launch.start()?;
    let status = loop {
        if let Some(status) = cargo.wait(LOOK_EVERY) {
            break status;
        }
        steps.at(&position(&log));
    };
    if status.success() {
        steps.end("");
        return Ok(());
    }
    Err(Fault::Build { what: what.to_owned(), output: words_of(&log), log })
}

/// `123/470` out of cargo's bar, or what it waits for.
fn position(log: &Path) -> String {
    let mut end = String::new();
    let read = std::fs::File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOOK_BACK)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        end = String::from_utf8_lossy(&bytes).into_owned();
        Ok(())
    });
    if read.is_err() {
        return String::new();
    }
    let last =
        end.rsplit(['\r', '\n']).find(|line| line.contains("] ") || line.contains("Blocking")).unwrap_or_default();
    match last.split_once("] ") {
        Some((_, rest)) => rest.split(':').next().unwrap_or_default().trim().to_owned(),
        None if last.contains("Blocking") => "waiting for another cargo".to_owned(),
        None => String::new(),
    }
}

/// What cargo said, without its bar and without what went well.
fn words_of(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.rsplit('\r').next().unwrap_or(line).trim_end());
    let worth = |line: &&str| {
        let word = line.trim_start();
        !["Compiling ", "Building ", "Fresh ", "Checking ", "Downloaded ", "Downloading ", "Blocking "]
            .iter()
            .any(|usual| word.starts_with(usual))
            && !word.is_empty()
    };
    let lines: Vec<&str> = lines.filter(worth).collect();
    let first = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    lines[first..].iter().take(ERROR_LINES).copied().collect::<Vec<_>>().join("\n")
}

/// Runs cargo with its output on our terminal.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), Fault> {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(workspace_root()).envs(environment.iter().copied());
    run_command(&mut command)
}

/// Runs a program with its output on our terminal. It ends with us, and when we are asked to end it is asked first: a
/// signal that is sent to us alone would otherwise leave tests running.
pub(crate) fn run_command(command: &mut Command) -> Result<(), Fault> {
    let shown = format!("{command:?}").replace('"', "");
    let program = Path::new(command.get_program());
    let mut launch =
        Launch::on_our_terminal(&shown, program).args(command.get_args()).signals(Signal::Terminate, Signal::Terminate);
    if let Some(folder) = command.get_current_dir() {
        launch = launch.folder(folder);
    }
    for (name, value) in command.get_envs() {
        launch = launch.env(name, value.unwrap_or_default());
    }
    interrupt::be_orderly();
    let mut child = launch.start()?;
    let status = loop {
        if let Some(status) = child.wait(LOOK_EVERY) {
            break status;
        }
        if interrupt::is_asked() {
            child.stop();
            interrupt::leave();
        }
    };
    interrupt::be_prompt();
    if status.success() { Ok(()) } else { Err(Fault::Plain(format!("`{shown}` failed: {status}"))) }
}
