//! Tools that come from npm, pinned by the lock file of this folder.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::{BundleError, run};

const ADVICE: &str = "install Node.js 20 or newer (apt-get install nodejs npm, or brew install node)";

/// Installs what the lock file names, unless that was done since it changed.
pub(crate) fn install(folder: &Path) -> Result<(), BundleError> {
    let changed = |name: &str| std::fs::metadata(folder.join(name)).and_then(|meta| meta.modified());
    if let (Ok(installed), Ok(locked)) = (changed("node_modules/.package-lock.json"), changed("package-lock.json"))
        && installed >= locked
    {
        return Ok(());
    }
    let mut command = Command::new("npm");
    run(
        "npm",
        ADVICE,
        command.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]),
    )
}

/// Runs an installed tool.
pub(crate) fn run_tool(folder: &Path, tool: &str, arguments: &[&OsStr]) -> Result<(), BundleError> {
    run(tool, ADVICE, Command::new(folder.join("node_modules/.bin").join(tool)).args(arguments))
}
