//! What goes wrong in a developer's command. Every message says what to do next.

use bodega_stack::StackError;
use std::path::{Path, PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Already said where it happened.
    #[error("failed")]
    Told,
    /// A server or process.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Cargo refused.
    #[error("{what} does not build; cargo says:\n{output}\n(all of it: {log})", log = log.display())]
    Build { what: String, output: String, log: PathBuf },
    /// A file.
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A process of the shop ended by itself.
    #[error("{name} ended by itself; its last words are in {log}", log = log.display())]
    Ended { name: String, log: PathBuf },
    /// Another `up` holds the folder.
    #[error("a shop is already open in {folder}: close it with `cargo xtask down`, or open another one with --state <FOLDER>", folder = folder.display())]
    AlreadyOpen { folder: PathBuf },
    /// No `up` holds the folder.
    #[error("no shop is open in {folder}: open one with `cargo xtask up`", folder = folder.display())]
    NotOpen { folder: PathBuf },
    /// Anything that a sentence explains.
    #[error("{0}")]
    Plain(String),
}

impl Fault {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }
}
