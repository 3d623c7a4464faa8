//! The compiled component, kept beside the stores: compiling takes some hundred milliseconds, reading it back a few.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// SHA-256 in front of a kept artefact, over the rest: a torn or damaged file is compiled again.
const DIGEST_BYTES: usize = 32;

/// Why the component cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the component {path}: {error}")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{path} is no component that this host can run: {error:#}")]
    Invalid { path: PathBuf, error: wasmtime::Error },
}

/// A component and where it came from.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    /// SHA-256 of the component's file, hexadecimal.
    pub(crate) hash: String,
    /// Whether it was found compiled.
    pub(crate) cached: bool,
}

/// Compiles `path`, whatever is kept.
pub(crate) fn compile(engine: &Engine, path: &Path) -> Result<Component, Error> {
    let bytes = fs::read(path).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
    Component::new(engine, bytes).map_err(|error| Error::Invalid { path: path.to_owned(), error })
}

/// Loads `path`, from `folder` when this very component was compiled there by this very engine.
pub(crate) fn load(engine: &Engine, path: &Path, folder: &Path) -> Result<Loaded, Error> {
    let bytes = fs::read(path).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
    let hash = hex(&Sha256::digest(&bytes));
    let kept = folder.join(format!("{hash}-{:016x}.artefact", compatibility(engine)));
    if let Some(component) = read(engine, &kept) {
        return Ok(Loaded { component, hash, cached: true });
    }
    let invalid = |error| Error::Invalid { path: path.to_owned(), error };
    let component = Component::new(engine, &bytes).map_err(invalid)?;
    let artefact = component.serialize().map_err(invalid)?;
    if let Err(error) = keep(&kept, &artefact).and_then(|()| forget_others(folder, &kept)) {
        // The host serves all the same, and compiles again next time.
        tracing::warn!(%error, file = %kept.display(), "the compiled component could not be kept");
    }
    Ok(Loaded { component, hash, cached: false })
}

/// Differs whenever an artefact of one engine must not be used by the other: version, target, settings.
fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

#[allow(unsafe_code)]
fn read(engine: &Engine, kept: &Path) -> Option<Component> {
    let file = fs::read(kept).ok()?;
    let (digest, artefact) = file.split_at_checked(DIGEST_BYTES)?;
    if Sha256::digest(artefact).as_slice() != digest {
        tracing::warn!(file = %kept.display(), "a kept artefact is damaged; compiling again");
        return None;
    }
    // SAFETY: `deserialize` trusts its input to be what `serialize` wrote. Only this program writes this folder, which
    // is private to its user (whoever can write there can replace the stores and the component as well); the digest
    // excludes accidents, and wasmtime itself refuses another version's or engine's artefact.
    unsafe { Component::deserialize(engine, artefact) }
        .inspect_err(|error| tracing::warn!(%error, "a kept artefact was refused; compiling again"))
        .ok()
}

fn keep(kept: &Path, artefact: &[u8]) -> io::Result<()> {
    let mut file = Sha256::digest(artefact).to_vec();
    file.extend_from_slice(artefact);
    let unfinished = kept.with_extension(format!("{}.unfinished", std::process::id()));
    fs::write(&unfinished, file)?;
    fs::rename(&unfinished, kept)
}

/// Artefacts of earlier components and hosts are of no use any more.
fn forget_others(folder: &Path, kept: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path != kept && path.extension().is_some_and(|extension| extension == "artefact") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
