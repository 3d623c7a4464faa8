//! One `up` at a time for one folder.

use crate::fault::Fault;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An `up` that was killed while it began a process leaves the lock to that process for a moment.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The folder is ours until this is dropped; a lock of the system, so that it cannot outlive us.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
    folder: PathBuf,
}

impl Claim {
    /// Takes the folder.
    pub(crate) fn take(folder: &Path) -> Result<Self, Fault> {
        std::fs::create_dir_all(folder).map_err(Fault::file(folder))?;
        let file = folder.join("up.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&file).map_err(Fault::file(&file))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
                Err(TryLockError::WouldBlock) => return Err(Fault::AlreadyOpen { folder: folder.to_path_buf() }),
                Err(TryLockError::Error(error)) => return Err(Fault::file(&file)(error)),
            }
        }
        let _ = std::fs::remove_file(Self::open_file(folder));
        let pid = folder.join("up.pid");
        std::fs::write(&pid, std::process::id().to_string()).map_err(Fault::file(&pid))?;
        Ok(Self { _lock: lock, folder: folder.to_path_buf() })
    }

    /// Whether someone holds the folder.
    pub(crate) fn is_held(folder: &Path) -> bool {
        File::options()
            .write(true)
            .open(folder.join("up.lock"))
            .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The process that holds it.
    pub(crate) fn holder(folder: &Path) -> Option<u32> {
        std::fs::read_to_string(folder.join("up.pid")).ok()?.trim().parse().ok()
    }

    /// Tells others that the shop is open, and where: `up.json`.
    pub(crate) fn open(&self, card: &str) -> Result<(), Fault> {
        let file = Self::open_file(&self.folder);
        Ok(bodega_stack::shop::secrets::write_private(&file, card)?)
    }

    /// The file that exists while the shop is open.
    pub(crate) fn open_file(folder: &Path) -> PathBuf {
        folder.join("up.json")
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(Self::open_file(&self.folder));
        let _ = std::fs::remove_file(self.folder.join("up.pid"));
    }
}
