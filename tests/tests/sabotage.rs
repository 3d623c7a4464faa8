//! Each rule of the architecture is broken on purpose, in a scratch copy: the test that guards it has to fail.
//!
//! A patch under `tests/sabotage` begins with lines that name the invariant, what is broken, the command and the test.
//! `cargo xtask test sabotage` tries all of them; with `BODEGA_SABOTAGE=04` only those whose name begins so. The copy
//! and what is built of it stay under `target/sabotage`, so that a second run compiles little.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bodega_tests::workspace_root;

/// Invariants of the architecture.
const INVARIANTS: u8 = 11;
/// A test that a sabotage makes hang was not made to fail by its own assertion.
const TEST_MINUTES_MAX: u64 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Sabotage {
    name: String,
    file: PathBuf,
    invariant: u8,
    /// Arguments of `cargo` up to the test's name.
    run: Vec<String>,
    test: String,
}

fn read(file: &Path) -> Sabotage {
    let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"));
    let field = |field: &str| {
        let line = text.lines().take_while(|line| !line.starts_with("diff ")).find_map(|line| line.strip_prefix(field));
        line.unwrap_or_else(|| panic!("{name} has no line `{field}`")).trim().to_owned()
    };
    for what in ["Rule:", "Breaks:"] {
        assert!(!field(what).is_empty(), "{name}: {what}");
    }
    let run = field("Run:").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(run[..2], ["cargo", "test"], "{name}");
    let invariant = field("Invariant:").parse().unwrap_or_else(|_| panic!("{name}: which invariant?"));
    assert_eq!(name.split('-').next(), Some(format!("{invariant:02}").as_str()), "{name} is named after its invariant");
    Sabotage { file: file.to_owned(), invariant, run: run[1..].to_vec(), test: field("Test:"), name }
}

fn sabotages() -> Vec<Sabotage> {
    let folder = workspace_root().join("tests/sabotage");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "patch")).collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn git(folder: &Path, arguments: &[&str], file: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new("git");
    command.args(arguments).args(file).current_dir(folder).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    let output = command.output().map_err(|error| format!("git: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_invariant_has_a_patch_and_every_patch_still_applies() {
    let sabotages = sabotages();
    let broken: BTreeSet<u8> = sabotages.iter().map(|sabotage| sabotage.invariant).collect();
    assert_eq!(broken, (1..=INVARIANTS).collect(), "one for each invariant");
    let stale = sabotages.iter().filter_map(|sabotage| {
        let refused = git(&workspace_root(), &["apply", "--check"], Some(&sabotage.file)).err()?;
        Some(format!("{}: {refused}", sabotage.name))
    });
    let stale: Vec<String> = stale.collect();
    assert!(stale.is_empty(), "patches that no longer apply:\n{}", stale.join("\n"));
}

/// A copy of every file that is tracked or would be, with a repository of its own around it.
fn scratch_copy() -> PathBuf {
    let (root, copy) = (workspace_root(), workspace_root().join("target/sabotage/copy"));
    fs::create_dir_all(&copy).expect("a folder");
    if !copy.join(".git").exists() {
        git(&copy, &["init", "--quiet"], None).expect("a repository");
    }
    let listed = |folder: &Path| -> BTreeSet<String> {
        let list = git(folder, &["ls-files", "--cached", "--others", "--exclude-standard"], None).expect("a list");
        list.lines().filter(|file| folder.join(file).is_file()).map(str::to_owned).collect()
    };
    let files = listed(&root);
    for gone in listed(&copy).difference(&files) {
        fs::remove_file(copy.join(gone)).expect("a file of the copy");
    }
    for file in &files {
        let (from, to) = (root.join(file), copy.join(file));
        let wanted = fs::read(&from).unwrap_or_else(|error| panic!("{file}: {error}"));
        // What is the same keeps its time, so that cargo does not build it again.
        if fs::read(&to).is_ok_and(|there| there == wanted) {
            continue;
        }
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::write(&to, wanted).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    share_tools(&root, &copy);
    copy
}

/// Servers that were fetched for the clone are not fetched again for its copy.
fn share_tools(root: &Path, copy: &Path) {
    let (tools, shared) = (root.join(".local/tools"), copy.join(".local/tools"));
    if tools.is_dir() && !shared.exists() {
        fs::create_dir_all(copy.join(".local")).expect("a folder");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&tools, &shared).expect("a link");
    }
}

/// Runs cargo in the copy; gives its status (none: it did not end) and what it said.
fn cargo(copy: &Path, arguments: &[String]) -> (Option<ExitStatus>, String) {
    let target = std::env::var_os("BODEGA_SABOTAGE_TARGET_DIR").map(PathBuf::from);
    let log = copy.with_file_name("cargo.log");
    let output = fs::File::create(&log).expect("a log");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target.unwrap_or_else(|| copy.with_file_name("target")))
        .env("CARGO_TERM_COLOR", "never")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stderr(output.try_clone().expect("a log"))
        .stdout(output)
        .spawn()
        .expect("cargo");
    let deadline = Instant::now() + Duration::from_secs(60 * TEST_MINUTES_MAX);
    let is_build = arguments.iter().any(|argument| argument == "--no-run");
    let status = loop {
        if let Some(status) = cargo.try_wait().expect("cargo's status") {
            break Some(status);
        }
        if !is_build && Instant::now() > deadline {
            let _ = cargo.kill();
            let _ = cargo.wait();
            break None;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    (status, String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned())
}

/// `Ok` when the sabotage was noticed by its test, and by that test's own failure.
fn is_noticed(copy: &Path, sabotage: &Sabotage) -> Result<(), String> {
    let last =
        |text: &str| text.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    let with = |more: &[&str]| [sabotage.run.clone(), more.iter().map(|m| (*m).to_owned()).collect()].concat();
    let (built, said) = cargo(copy, &with(&["--no-run"]));
    if !built.is_some_and(|status| status.success()) {
        return Err(format!("the broken code does not compile, which proves nothing:\n{}", last(&said)));
    }
    let (ran, said) = cargo(copy, &with(&["--", "--exact", &sabotage.test]));
    // The list at the end: the line of the test itself may have anything printed into it.
    let failed = said.rsplit("failures:").next().is_some_and(|list| list.lines().any(|l| l.trim() == sabotage.test));
    match ran {
        Some(status) if !status.success() && failed => Ok(()),
        Some(status) if status.success() && said.contains("test result: ok. 1 passed") => {
            Err("THE TEST STILL PASSES".to_owned())
        }
        Some(_) => Err(format!("the test did not run:\n{}", last(&said))),
        None => Err(format!("the test did not end in {TEST_MINUTES_MAX} minutes")),
    }
}

#[test]
#[ignore = "builds the workspace again: cargo xtask test sabotage"]
fn each_broken_rule_is_noticed_by_its_test() {
    let only = std::env::var("BODEGA_SABOTAGE").unwrap_or_default();
    let chosen: Vec<Sabotage> = sabotages().into_iter().filter(|sabotage| sabotage.name.starts_with(&only)).collect();
    assert!(!chosen.is_empty(), "no patch begins with {only:?}");
    let copy = scratch_copy();
    let mut unnoticed = Vec::new();
    for sabotage in &chosen {
        let begun = Instant::now();
        let noticed = match git(&copy, &["apply"], Some(&sabotage.file)) {
            Err(refused) => Err(format!("the patch no longer applies: {refused}")),
            Ok(_) => {
                let noticed = is_noticed(&copy, sabotage);
                git(&copy, &["apply", "--reverse"], Some(&sabotage.file)).expect("what was applied is taken back");
                noticed
            }
        };
        let word = if noticed.is_ok() { "noticed" } else { "NOT NOTICED" };
        eprintln!("{:<32} {word} by {} ({} s)", sabotage.name, sabotage.test, begun.elapsed().as_secs());
        unnoticed.extend(noticed.err().map(|why| format!("{}: {why}", sabotage.name)));
    }
    assert!(unnoticed.is_empty(), "rules that can be broken unnoticed:\n{}", unnoticed.join("\n"));
}
