//! What a reviewer would otherwise say every time. Each list of exceptions may only shrink.

use bodega_tests::workspace_root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Code longer than this, without comments and without the tests at its end, asks to be split along a concept.
const FILE_LINES_MAX: usize = 450;
/// The same for tests, which are lists of cases.
const TEST_LINES_MAX: usize = 600;

/// Files that may read the clock or the system's randomness: everything else is told time and randomness.
const BORDERS: [&str; 10] = [
    "core-services/mail-catcher/src/lib.rs",
    "core-services/payment-simulator/src/desk.rs",
    "core-services/payment-simulator/src/lib.rs",
    "core-services/platform/src/clock.rs",
    "core-services/platform/src/entropy.rs",
    "deploy/stack/src/shop/secrets.rs",
    "edge-workers/host/src/exchange.rs",
    "edge-workers/host/src/kv.rs",
    "edge-workers/spin/platform/src/platform.rs",
    "tests/tests/tidy.rs",
];

/// Every file that is tracked, or would be.
fn files() -> Vec<PathBuf> {
    let root = workspace_root();
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("file names are text");
    // A file that was deleted and not yet committed is still listed.
    list.lines().map(PathBuf::from).filter(|file| root.join(file).is_file()).collect()
}

fn with_ending(ending: &str) -> Vec<(PathBuf, String)> {
    let root = workspace_root();
    let chosen = files().into_iter().filter(|file| file.extension().is_some_and(|found| found == ending));
    chosen
        .map(|file| {
            let text = std::fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            (file, text)
        })
        .collect()
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// `file:line: text` of every line that `is_wrong`.
fn lines_that(sources: &[(PathBuf, String)], is_wrong: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in sources {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| is_wrong(file, line)) {
            found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file does not find itself.
    let markers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];
    let macros = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    let mut sources = with_ending("rs");
    for ending in ["sql", "toml", "mjs", "js", "wit", "md", "css"] {
        sources.extend(with_ending(ending));
    }
    let found = lines_that(&sources, |_, line| markers.iter().chain(&macros).any(|marker| line.contains(marker)));
    none("left for later", &found);
}

#[test]
fn no_file_is_too_long_to_read() {
    let sources = with_ending("rs");
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = |text: &str| text.lines().take_while(|line| *line != "#[cfg(test)]").filter(is_code).count();
    let long = sources.iter().map(|(file, text)| (file, code(text)));
    let most = |file: &Path| if is_test(file) { TEST_LINES_MAX } else { FILE_LINES_MAX };
    let long = long.filter(|(file, lines)| *lines > most(file));
    let found: Vec<String> = long.map(|(file, lines)| format!("{}: {lines} lines", file.display())).collect();
    none("files too long to read: split them along a concept", &found);
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["utils", "util", "helpers", "helper", "common", "misc"];
    let found: Vec<String> = files()
        .iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .filter(|file| {
            file.iter().any(|part| drawers.iter().any(|drawer| Path::new(part).file_stem() == Some((*drawer).as_ref())))
        })
        .map(|file| file.display().to_string())
        .collect();
    none("modules named after nothing", &found);
}

#[test]
fn every_source_file_says_what_it_is() {
    let sources = with_ending("rs");
    let silent = sources
        .iter()
        // A `tests.rs` belongs to the module above it.
        .filter(|(file, _)| !file.ends_with("tests.rs"))
        .filter(|(_, text)| !text.trim_start().starts_with("//!") && !text.trim_start().starts_with("#!"));
    let found: Vec<String> = silent.map(|(file, _)| file.display().to_string()).collect();
    none("no `//!` line at the top", &found);
}

#[test]
fn time_and_randomness_are_passed_in() {
    let readers = [
        concat!("SystemTime", "::now("),
        concat!("now", "_utc("),
        concat!("getrandom", "::fill("),
        concat!("Uuid::now", "_v7("),
        concat!("Uuid::new", "_v4("),
    ];
    let sources: Vec<_> = with_ending("rs")
        .into_iter()
        .filter(|(file, _)| !is_test(file) && !BORDERS.iter().any(|border| file == Path::new(border)))
        .collect();
    none(
        "reads the clock or randomness",
        &lines_that(&sources, |_, line| readers.iter().any(|reader| line.contains(reader))),
    );
}

#[test]
fn every_border_still_needs_its_exception() {
    let root = workspace_root();
    let gone = BORDERS.iter().filter(|border| !root.join(border).is_file());
    none("exceptions for files that are gone", &gone.map(|border| (*border).to_owned()).collect::<Vec<_>>());
}

/// Milliseconds that may pass between two looks at a condition.
const PAUSE_MS_MAX: u64 = 50;

#[test]
fn tests_wait_for_a_condition_and_never_sleep() {
    let sleep = concat!("sl", "eep(");
    let is_long = |rest: &str| {
        let milliseconds = rest.split("from_millis(").nth(1).and_then(|rest| rest.split(')').next());
        match milliseconds.map(|number| number.replace('_', "").parse::<u64>()) {
            Some(Ok(number)) => number > PAUSE_MS_MAX,
            // A named pause between two looks is read by people.
            Some(Err(_)) | None => rest.contains("from_secs("),
        }
    };
    let sources: Vec<_> = with_ending("rs").into_iter().filter(|(file, _)| is_test(file)).collect();
    let found = lines_that(&sources, |_, line| line.split_once(sleep).is_some_and(|(_, rest)| is_long(rest)));
    none("sleeps", &found);
}

#[test]
fn tests_read_as_sentences() {
    let prefix = concat!("fn te", "st_");
    let sources = with_ending("rs");
    let mut found = Vec::new();
    for (file, text) in &sources {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, pair) in lines.windows(2).enumerate() {
            if pair[0].contains("test]") && pair[1].contains(prefix) {
                found.push(format!("{}:{}: {}", file.display(), number + 2, pair[1]));
            }
        }
    }
    none("tests named with a prefix", &found);
}

#[test]
fn every_crate_keeps_the_house_rules() {
    let manifests = with_ending("toml").into_iter().filter(|(file, text)| {
        file.ends_with("Cargo.toml") && text.contains("[package]") && !file.iter().any(|part| part == "fuzz")
    });
    let lax: Vec<String> = manifests
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(file, _)| file.display().to_string())
        .collect();
    none("crates without the workspace's lints", &lax);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let root = workspace_root();
    let mut dead = Vec::new();
    for (file, text) in with_ending("md") {
        let folder = root.join(&file).parent().map(Path::to_path_buf).unwrap_or_default();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split(['#', ' ']).next().unwrap_or_default();
            let is_elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !is_elsewhere && !folder.join(path).exists() {
                dead.push(format!("{}: {target}", file.display()));
            }
        }
    }
    none("links to nothing", &dead);
}

/// Folders at the root, as documents name them.
const ROOTS: [&str; 9] =
    [".ci", ".github", "core-services", "deploy", "docs", "edge-workers", "shared-domain", "tests", "wasm-plugins"];
const ENDINGS: [&str; 10] = ["css", "json", "md", "mjs", "patch", "png", "rs", "sql", "toml", "txt"];

/// What stands between backticks and can only be a path: it begins with a folder of ours or ends like a file.
fn paths_in(line: &str) -> Vec<String> {
    let code = line.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./{},".contains(letter);
        let first = word.split('/').next().unwrap_or_default();
        let ending = Path::new(word).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        word.contains('/')
            && word.chars().all(plain)
            && !["target", ".local", ""].contains(&first)
            && (ROOTS.contains(&first) || ENDINGS.contains(&ending))
    };
    code.filter(is_path).flat_map(alternatives).collect()
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (list, after))) => list.split(',').map(|one| format!("{before}{one}{after}")).collect(),
        None => vec![path.to_owned()],
    }
}

#[test]
fn paths_in_documents_lead_somewhere() {
    let files: Vec<String> = files().iter().map(|file| format!("/{}", file.display())).collect();
    let is_there = |path: &str| {
        let path = path.trim_end_matches('/');
        let (file, folder) = (format!("/{path}"), format!("/{path}/"));
        files.iter().any(|known| known.ends_with(&file) || known.contains(&folder))
    };
    let documents = with_ending("md").into_iter().filter(|(file, _)| {
        file.parent() == Some(Path::new("docs")) || ROOT_DOCUMENTS.iter().any(|name| file == Path::new(name))
    });
    let mut dead = Vec::new();
    for (file, text) in documents {
        for (number, line) in text.lines().enumerate() {
            let gone = paths_in(line).into_iter().filter(|path| !is_there(path));
            dead.extend(gone.map(|path| format!("{}:{}: {path}", file.display(), number + 1)));
        }
    }
    none("paths to nothing", &dead);
}

const ROOT_DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];

/// Rows of the code map: folders, what they are, where to begin in them.
#[test]
fn the_code_map_is_true_and_whole() {
    let root = workspace_root();
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let map = text.split("## Code map").nth(1).and_then(|rest| rest.split("\n\n").nth(1)).expect("the code map");
    let mut wrong = Vec::new();
    let mut mapped: BTreeSet<String> = BTreeSet::new();
    for row in map.lines().skip(2) {
        let cells: Vec<Vec<&str>> = row.split('|').map(|cell| cell.split('`').skip(1).step_by(2).collect()).collect();
        let folders: Vec<&str> = cells[1].iter().copied().filter(|folder| !folder.contains('<')).collect();
        mapped.extend(folders.iter().map(|folder| folder.trim_end_matches('/').to_owned()));
        wrong.extend(folders.iter().filter(|folder| !root.join(folder).is_dir()).map(|it| (*it).to_owned()));
        let begin = cells[3].iter().filter(|_| !folders.is_empty());
        let gone = begin.filter(|file| {
            !root.join(file).is_file() && !folders.iter().any(|folder| root.join(folder).join(file).is_file())
        });
        wrong.extend(gone.map(|file| format!("{row}: {file}")));
    }
    none("the code map names what is not there", &wrong);
    let is_service = |folder: &str| root.join(folder).join("migrations").is_dir() || folder == "core-services/gateway";
    let crates = files().into_iter().filter(|file| file.ends_with("Cargo.toml") && file.components().count() == 3);
    let crates = crates.filter_map(|file| Some(file.parent()?.to_str()?.to_owned()));
    let unmapped: Vec<String> = crates
        .filter(|it| !is_service(it) && !mapped.contains(it))
        .filter(|it| !mapped.iter().any(|folder| it.starts_with(&format!("{folder}/"))))
        .collect();
    none("crates that the code map leaves out", &unmapped);
}

#[test]
fn the_list_of_errors_is_the_list_of_codes() {
    let document = workspace_root().join("docs/ERRORS.md");
    // A row a code: | `code` | status | when | what the caller should do |
    let text = std::fs::read_to_string(&document).expect("docs/ERRORS.md lists every code");
    let listed: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let known: BTreeSet<&str> = bodega_domain::Code::ALL.iter().map(|code| code.as_str()).collect();
    let missing: Vec<String> = known.difference(&listed).map(|code| (*code).to_owned()).collect();
    let unknown: Vec<String> = listed.difference(&known).map(|code| (*code).to_owned()).collect();
    none("codes that docs/ERRORS.md does not list", &missing);
    none("codes that docs/ERRORS.md lists and nobody has", &unknown);
}

#[test]
fn the_list_of_limits_is_the_list_of_constants() {
    let root = workspace_root();
    let document =
        std::fs::read_to_string(root.join("docs/LIMITS.md")).expect("docs/LIMITS.md lists every shared limit");
    let source = std::fs::read_to_string(root.join("shared-domain/src/limits.rs")).expect("the shared limits");
    // A row a limit: | `NAME` | value with separators | why |
    let rows: BTreeSet<(String, String)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.split(" |").next()?.replace(',', ""))))
        .collect();
    let product = |text: &str| -> String {
        let factors = text.split('*').map(|factor| factor.trim().replace('_', "").parse::<i64>().expect("a number"));
        factors.product::<i64>().to_string()
    };
    let constants: BTreeSet<(String, String)> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';')?.split_once(':'))
        .filter_map(|(name, rest)| Some((name.to_owned(), product(rest.split_once('=')?.1))))
        .collect();
    let missing: Vec<String> = constants.difference(&rows).map(|row| format!("{row:?}")).collect();
    let unknown: Vec<String> = rows.difference(&constants).map(|row| format!("{row:?}")).collect();
    none("limits that docs/LIMITS.md does not list, or with another value", &missing);
    none("limits that docs/LIMITS.md lists and nobody has", &unknown);
}
