//! A signal that is sent to `cargo xtask` alone: what it runs ends with it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// `cargo xtask test fmt` with a cargo that writes down its number and that of its child, and then never ends.
fn begin(name: &str) -> (Child, Vec<String>, PathBuf) {
    let folder = std::env::temp_dir().join(format!("bodega-interrupted-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    let (cargo, numbers) = (folder.join("cargo"), folder.join("numbers"));
    let script =
        format!("#!/bin/sh\nsleep 1000 & echo \"$$ $!\" > {0}.part; mv {0}.part {0}; wait\n", numbers.display());
    std::fs::write(&cargo, script).expect("a script");
    let made = Command::new("chmod").arg("+x").arg(&cargo).status().expect("chmod runs");
    assert!(made.success());
    let xtask = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["test", "fmt"])
        .env("CARGO", &cargo)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("xtask runs");
    until("cargo runs", || numbers.exists());
    let running = std::fs::read_to_string(&numbers).expect("numbers");
    let running: Vec<String> = running.split_whitespace().map(str::to_owned).collect();
    assert!(running.len() == 2 && running.iter().all(|pid| is_running(pid)), "{running:?}");
    (xtask, running, folder)
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that nobody waits for has ended too: `Z`.
fn is_running(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[test]
fn asked_to_end_it_ends_what_it_runs_first() {
    let (mut xtask, running, folder) = begin("asked");
    let told = Command::new("kill").args(["-TERM", &xtask.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
    assert_eq!(xtask.wait().expect("it has ended").code(), Some(130));
    until("everything it ran has ended", || !running.iter().any(|pid| is_running(pid)));
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}

#[test]
fn killed_it_takes_what_it_runs_with_it() {
    let (mut xtask, running, folder) = begin("killed");
    xtask.kill().expect("it is killed");
    xtask.wait().expect("it has ended");
    until("everything it ran has ended", || !running.iter().any(|pid| is_running(pid)));
    std::fs::remove_dir_all(&folder).expect("the scratch folder is deleted");
}
