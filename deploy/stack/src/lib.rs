//! Obtains, starts, watches and stops the servers that Bodega leans on.
//!
//! `cargo xtask up` and the test harness share this crate, so that what a test runs on is what a developer runs on.
//! It blocks and has few dependencies: it must build in seconds, before anything else does. Callers on an
//! async runtime wrap it in `spawn_blocking`.
//!
//! Promises: no child outlives its parent, however the parent ends; readiness is observed, never slept for; nothing
//! listens beyond loopback; nothing is written outside the folder that the caller names and `.local/tools`.

mod account;
mod child;
mod nats;
mod place;
mod port;
mod postgres;
mod redis;
pub mod shop;
mod tools;

pub use account::Account;
pub use child::{Child, Launch, Signal};
pub use nats::{Nats, NatsOptions};
pub use place::{TEST_FOLDER, local_folder, sweep_abandoned, test_folder, workspace_root};
pub use port::{free_port, http_status, is_taken};
pub use postgres::{Durability, Postgres, PostgresOptions};
pub use redis::{Redis, RedisOptions};
pub use tools::{Notice, Tools, fetch_program, find_on_path, silent};

use std::path::PathBuf;
use std::time::Duration;

/// Why a server could not be had. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// No usable program was found, and it could not be fetched.
    #[error("{name} {needed} is missing: {reason}\n  install it with: {advice}")]
    Missing {
        /// The program looked for.
        name: &'static str,
        /// The version that is needed.
        needed: &'static str,
        /// What was tried.
        reason: String,
        /// A command that a person can run.
        advice: &'static str,
    },
    /// A helper program failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A server ended before it was ready.
    #[error("{name} ended before it was ready; the end of {log}:\n{tail}", log = log.display())]
    Ended {
        /// The server.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A server did not become ready in time.
    #[error("{name} was not ready after {after:?}; the end of {log}:\n{tail}", log = log.display())]
    Late {
        /// The server.
        name: String,
        /// How long was waited.
        after: Duration,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A port is in use by someone else.
    #[error("port {port} on 127.0.0.1 is taken, {name} needs it: choose another with {flag}")]
    PortTaken {
        /// The server that wants it.
        name: String,
        /// The port.
        port: u16,
        /// The flag that moves it.
        flag: String,
    },
    /// A file or folder could not be used.
    #[error("{doing} {path}: {source}", path = path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Postgres refuses to run as root and no other user can reach the folder.
    #[error("Postgres does not run as root, no other user may enter {path}, and user namespaces are not allowed here: move the clone to a folder that others may enter, or run this as an ordinary user", path = path.display())]
    Unreachable {
        /// The folder.
        path: PathBuf,
    },
}

impl StackError {
    pub(crate) fn file(doing: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { doing, path, source }
    }
}
