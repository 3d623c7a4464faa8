//! Builds promotion plugins into components that import nothing.
//!
//! A plugin is an ordinary library crate under `wasm-plugins/examples` or, to see that the host withstands it, under
//! `wasm-plugins/hostile`. Cargo makes a WebAssembly module of it, `wit-component` makes a component of that, and
//! [`imports`] says what the component asks for: of an example that must be nothing.

use sha2::{Digest, Sha256};
use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The target without an operating system: nothing of the standard library turns into an import.
const TARGET: &str = "wasm32-unknown-unknown";
/// Small first: a plugin is stored, uploaded and compiled far more often than it runs long.
const PROFILE: &str = "edge";

/// What can go wrong while building.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Cargo could not be started.
    #[error("cargo could not be started: {0}")]
    Cargo(io::Error),
    /// Cargo said no; its own words went to standard error.
    #[error("cargo could not build the plugins; is the target there? `rustup target add {TARGET}`")]
    Build,
    /// The module is not one that becomes a component.
    #[error("{name} does not become a component: {reason}")]
    Component {
        /// The plugin.
        name: String,
        /// What `wit-component` says.
        reason: String,
    },
    /// An example asks the host for something.
    #[error("{name} imports {}", imports.join(", "))]
    Imports {
        /// The plugin.
        name: String,
        /// What it imports.
        imports: Vec<String>,
    },
}

/// Which folder a plugin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `wasm-plugins/examples`: must import nothing.
    Example,
    /// `wasm-plugins/hostile`: may be as bad as it likes.
    Hostile,
}

/// A component that was built.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The folder's name.
    pub name: String,
    /// Which folder it comes from.
    pub kind: Kind,
    /// Where the component was written.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// SHA-256 of the component, the name under which the shop knows it.
    pub hash: String,
    /// What it imports.
    pub imports: Vec<String>,
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imports = if self.imports.is_empty() { "nothing".into() } else { self.imports.join(", ") };
        write!(f, "{:<18} {:>8} bytes  sha256 {}  imports {imports}", self.name, self.size, self.hash)
    }
}

/// The workspace that this crate is part of.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// Builds every plugin of `kinds` in `root`, and writes `<target>/plugins/<name>.wasm` for an example,
/// `<target>/plugins/hostile/<name>.wasm` for a hostile one. Cargo's progress goes to standard error.
///
/// # Errors
/// The first plugin that does not build, does not become a component or, being an example, imports something.
pub fn build(root: &Path, kinds: &[Kind]) -> Result<Vec<Plugin>, Error> {
    let mut sources = Vec::new();
    for kind in kinds {
        sources.extend(folders(root, *kind)?.into_iter().map(|name| (*kind, name)));
    }
    let target = target(root);
    compile(root, &sources)?;
    sources.into_iter().map(|(kind, name)| finish(&target, kind, name)).collect()
}

/// The folder of all built plugins, the hostile ones in `hostile/`: built once in this process and, under a runner that
/// gives each test a process of its own, once in the whole run.
///
/// # Errors
/// As [`build`], and when the run cannot be noted down.
pub fn built_for_tests() -> Result<&'static PathBuf, &'static Error> {
    static BUILT: OnceLock<Result<PathBuf, Error>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let root = workspace();
        let folder = target(&root).join("plugins");
        let runs = folder.join(".built-in-test-run");
        let run = env::var_os("NEXTEST_RUN_ID").map(|id| runs.join(id));
        if run.as_ref().is_some_and(|run| run.exists()) {
            return Ok(folder);
        }
        build(&root, &[Kind::Example, Kind::Hostile])?;
        if let Some(run) = run {
            let noted = fs::create_dir_all(&runs).and_then(|()| fs::write(&run, b""));
            noted.map_err(|source| Error::File { path: run, source })?;
        }
        Ok(folder)
    });
    built.as_ref()
}

/// Builds the plugin host, by a call of its own as everywhere, and says where it is: for tests of other crates, which
/// need the process and cannot name it.
///
/// # Errors
/// Cargo could not be started, or said no.
pub fn build_host(root: &Path) -> Result<PathBuf, Error> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let status = command.current_dir(root).args(["build", "--package", "bodega-plugin-host"]).status();
    if !status.map_err(Error::Cargo)?.success() {
        return Err(Error::Build);
    }
    Ok(target(root).join("debug/bodega-plugin-host"))
}

/// What a component imports, by name.
///
/// # Errors
/// A sentence when `component` is not a component.
pub fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    match wit_component::decode(component).map_err(|error| format!("{error:#}"))? {
        wit_component::DecodedWasm::Component(resolve, world) => {
            let imports = &resolve.worlds[world].imports;
            Ok(imports.keys().map(|key| resolve.name_world_key(key)).collect())
        }
        wit_component::DecodedWasm::WitPackage(..) => Err("this is an interface description, not a component".into()),
    }
}

impl Kind {
    const fn folder(self) -> &'static str {
        match self {
            Self::Example => "examples",
            Self::Hostile => "hostile",
        }
    }

    const fn crate_prefix(self) -> &'static str {
        match self {
            Self::Example => "bodega-plugin-",
            Self::Hostile => "bodega-hostile-",
        }
    }
}

fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// The names of the folders that hold a crate, sorted.
fn folders(root: &Path, kind: Kind) -> Result<Vec<String>, Error> {
    let path = root.join("wasm-plugins").join(kind.folder());
    let failed = |source| Error::File { path: path.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn compile(root: &Path, sources: &[(Kind, String)]) -> Result<(), Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--profile", PROFILE, "--target", TARGET]);
    for (kind, name) in sources {
        command.arg("--package").arg(format!("{}{name}", kind.crate_prefix()));
    }
    // Panic messages carry paths. Without these two names the same source has the same hash on every machine.
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_default();
    let flags = [
        format!("--remap-path-prefix={}=bodega", root.display()),
        format!("--remap-path-prefix={}=cargo", home.display()),
    ];
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env_remove("RUSTFLAGS");
    let status = command.status().map_err(Error::Cargo)?;
    if status.success() { Ok(()) } else { Err(Error::Build) }
}

fn finish(target: &Path, kind: Kind, name: String) -> Result<Plugin, Error> {
    let module =
        target.join(TARGET).join(PROFILE).join(format!("{}{name}.wasm", kind.crate_prefix()).replace('-', "_"));
    let bytes = fs::read(&module).map_err(|source| Error::File { path: module, source })?;
    let component = encode(&bytes).map_err(|reason| Error::Component { name: name.clone(), reason })?;
    let imports = imports(&component).map_err(|reason| Error::Component { name: name.clone(), reason })?;
    if kind == Kind::Example && !imports.is_empty() {
        return Err(Error::Imports { name, imports });
    }
    let folder = match kind {
        Kind::Example => target.join("plugins"),
        Kind::Hostile => target.join("plugins").join("hostile"),
    };
    let path = folder.join(format!("{name}.wasm"));
    fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder, source })?;
    replace(&path, &component).map_err(|source| Error::File { path: path.clone(), source })?;
    let hash = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Plugin { name, kind, path, size: component.len(), hash, imports })
}

fn encode(module: &[u8]) -> Result<Vec<u8>, String> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

/// Writes beside and renames, so that a test that reads at the same moment sees the old or the new component, whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}
