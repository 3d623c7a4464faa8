//! Where things are: the clone, its `.local` folder, and what earlier runs left behind.

use crate::StackError;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The root of the clone: the nearest folder above the current one that holds the workspace, else where this crate
/// was compiled.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors()
        .find(|folder| folder.join("rust-toolchain.toml").is_file() && folder.join("shared-domain").is_dir())
        .map_or_else(compiled_root, Path::to_path_buf)
}

fn compiled_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Everything that `up` and the tests write: `.local` at the root of the clone.
#[must_use]
pub fn local_folder() -> PathBuf {
    workspace_root().join(".local")
}

/// Where tests keep what ends with them, unless `.local/test`: see [`test_folder`].
pub const TEST_FOLDER: &str = "BODEGA_TEST_FOLDER";

/// The folder that holds the data of tests, which may be lost with the power: `.local/test`, or the one named by
/// [`TEST_FOLDER`], which may lie in memory.
#[must_use]
pub fn test_folder() -> PathBuf {
    std::env::var_os(TEST_FOLDER).map_or_else(|| local_folder().join("test"), PathBuf::from)
}

/// The folder of fetched programs, held for us alone until the file is closed: two test processes must not unpack into
/// the same place at once.
pub(crate) fn tools_folder() -> Result<(PathBuf, File), StackError> {
    let folder = local_folder().join("tools");
    std::fs::create_dir_all(&folder).map_err(StackError::file("cannot create", &folder))?;
    let file = folder.join("lock");
    let lock = File::create(&file).map_err(StackError::file("cannot create", &file))?;
    lock.lock().map_err(StackError::file("cannot lock", &file))?;
    Ok((folder, lock))
}

/// Deletes the folders `run-<pid>-…` under `parent` whose process is gone. A test process that is killed leaves its
/// data behind; the next one clears it away.
pub fn sweep_abandoned(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("run-"))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        let Some(pid) = owner else { continue };
        if !is_running(pid) {
            // Several processes may sweep at once: whoever loses finds nothing left to delete.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

pub(crate) fn is_running(pid: u32) -> bool {
    std::process::Command::new("kill")
        .args(["-0", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
