//! Where tests of services keep their data: in memory where the machine has enough of it, since each of them makes hundreds
//! of files and deletes them seconds later. Black-box tests stay on the disk: their logs outlive a failure.

use crate::interrupt;
use bodega_stack::{TEST_FOLDER, sweep_abandoned};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A file system in memory that every Linux has.
const SHARED_MEMORY: &str = "/dev/shm";
/// Free there, in KiB: some dozens of clusters of Postgres with their copies.
const ROOM_KIB: u64 = 4 << 20;
/// Free in the machine besides, in KiB: compilers and servers want theirs.
const MEMORY_KIB: u64 = 8 << 20;

static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// For programs that run tests. Nothing unless there is room; whoever names a folder by [`TEST_FOLDER`] has chosen.
pub(super) fn environment() -> Option<(&'static str, &'static str)> {
    let folder = FOLDER.get_or_init(choose).as_deref().and_then(Path::to_str)?;
    Some((TEST_FOLDER, folder))
}

/// Deletes what tests left. Clusters to copy are made once a run: kept longer, they would hold memory for nothing.
pub(super) fn clear() {
    if let Some(folder) = FOLDER.get().and_then(Option::as_deref) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn choose() -> Option<PathBuf> {
    let roomy = room(SHARED_MEMORY)? >= ROOM_KIB && memory()? >= MEMORY_KIB;
    if std::env::var_os(TEST_FOLDER).is_some() || !roomy {
        return None;
    }
    let parent = Path::new(SHARED_MEMORY).join("bodega-tests");
    sweep_abandoned(&parent);
    let folder = parent.join(format!("run-{}", std::process::id()));
    // Another user's parent folder is closed to us: then it is the disk.
    std::fs::create_dir_all(&folder).ok()?;
    interrupt::when_leaving(clear);
    Some(folder)
}

/// KiB that are free on the file system of a folder, by `df`.
fn room(folder: &str) -> Option<u64> {
    let output = Command::new("df").args(["-Pk", folder]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// KiB that programs may still have, by the kernel.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}
