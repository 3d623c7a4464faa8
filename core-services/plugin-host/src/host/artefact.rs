//! Compiled components on disk, so that a new process is ready in a millisecond.
//!
//! A compiled component is machine code, and reading one is as dangerous as running any other code: whoever can write
//! into the folder can do what this process can. So the folder must belong to the user of this process and be
//! writable by nobody else, and a plugin has no files.

use bodega_plugin_host::{limits::CACHE_BYTES_MAX, protocol::Hash};
use sha2::{Digest, Sha256};
use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};
use wasmtime::{Engine, component::Component};

/// Bytes of the checksum in front of the machine code.
const CHECKSUM_BYTES: usize = 32;
const SUFFIX: &str = "cwasm";

/// The folder.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// When it cannot be made, belongs to another user, or others may write to it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = fs::metadata(folder)?;
        let own = metadata.uid() == rustix::process::geteuid().as_raw();
        if !own || metadata.permissions().mode() & 0o022 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the folder must belong to this user, and nobody else may write to it",
            ));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The compiled form of a component, if this engine made it before and it is whole.
    pub(crate) fn get(&self, engine: &Engine, hash: &Hash) -> Option<Component> {
        let stored = fs::read(self.path(engine, hash)).ok()?;
        let (checksum, code) = stored.split_at_checked(CHECKSUM_BYTES)?;
        if Sha256::digest(code).as_slice() != checksum {
            return None;
        }
        // SAFETY: `deserialize` asks that the bytes be what `serialize` of a compatible engine wrote. The folder is
        // writable by this user alone (`open`), the file's name contains the engine's compatibility hash, the
        // checksum shows that the file is whole, and the engine checks its own header once more.
        #[allow(unsafe_code)]
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps a compiled component. A cache that cannot be written costs time and nothing else, hence no error.
    pub(crate) fn put(&self, engine: &Engine, hash: &Hash, component: &Component) {
        let Ok(code) = component.serialize() else { return };
        let mut stored = Sha256::digest(&code).to_vec();
        stored.extend(code);
        let path = self.path(engine, hash);
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = fs::write(&beside, &stored).and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        let _ = self.make_room();
    }

    fn path(&self, engine: &Engine, hash: &Hash) -> PathBuf {
        // A hasher without a random key: the same name in every process.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{hash}-{}-{:016x}.{SUFFIX}", super::engine::VERSION, hasher.finish()))
    }

    /// Removes the oldest files until the rest fits.
    fn make_room(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|suffix| suffix == SUFFIX) {
                let metadata = entry.metadata()?;
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= CACHE_BYTES_MAX {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}
