//! One process and its pipe.

use super::{Options, lock};
use crate::{
    frame,
    protocol::{Hash, Response},
};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashSet},
    io,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// A process that answers, until an exchange with it fails. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    /// Held for its `Drop`.
    _child: Child,
    id: u32,
    alive: Arc<Mutex<BTreeSet<u32>>>,
    input: ChildStdin,
    output: ChildStdout,
    /// Components that were handed over.
    pub(super) loaded: HashSet<Hash>,
}

/// The process is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The pipe broke, or what came out of it is no answer.
    #[error(transparent)]
    Pipe(#[from] frame::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Hung(Duration),
}

impl Process {
    pub(super) fn spawn(options: &Options, alive: &Arc<Mutex<BTreeSet<u32>>>) -> io::Result<Self> {
        let mut command = Command::new(std::path::absolute(&options.program)?);
        command.arg("serve");
        if let Some(cache) = &options.cache {
            command.arg("--cache").arg(std::path::absolute(cache)?);
        }
        command
            // No variables, no folder of ours: whatever gets out of the sandbox finds little.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C on a terminal is for the shop, which closes the pipe when it is done. So does the kernel when
            // the shop is killed: no orphan stays.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the process has no pipe");
        let (input, output) = (child.stdin.take().ok_or_else(gone)?, child.stdout.take().ok_or_else(gone)?);
        let id = child.id().ok_or_else(gone)?;
        lock(alive).insert(id);
        Ok(Self { _child: child, id, alive: Arc::clone(alive), input, output, loaded: HashSet::new() })
    }

    /// Sends a [`Request`](crate::protocol::Request) and waits for its response. After an error, or when this future is dropped half-way, the
    /// process must not be used again: the next response would be the answer to this request.
    pub(super) async fn exchange(&mut self, request: &impl Serialize, limit: Duration) -> Result<Response, Lost> {
        let frame = frame::encode(request)?;
        let exchange = async {
            self.input.write_all(&frame).await.map_err(frame::Error::from)?;
            self.input.flush().await.map_err(frame::Error::from)?;
            frame::read_message(&mut self.output).await
        };
        match timeout(limit, exchange).await {
            Ok(response) => Ok(response?),
            Err(_) => Err(Lost::Hung(limit)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        lock(&self.alive).remove(&self.id);
    }
}
