//! One JSON line a request: what was asked, what was answered, how long it took, what it read. No names, no addresses of
//! people: the path without its query, and secrets in paths cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;

use crate::guest::UsageSnapshot;

/// Lines that may wait for a slow disk; further ones are dropped and counted, requests never wait for the log.
const LINES_WAITING_MAX: usize = 8_192;
/// How long a stopping host waits for its last lines.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// A request and its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// RFC 3339, UTC.
    pub(crate) time: String,
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) ms: u64,
    pub(crate) bytes: usize,
    pub(crate) kv_reads: u64,
    pub(crate) kv_read_bytes: u64,
    pub(crate) kv_writes: u64,
    pub(crate) kv_swaps: u64,
    /// Why the host answered itself instead of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
}

impl Line {
    /// Takes over what the request cost.
    pub(crate) fn with_usage(mut self, usage: &UsageSnapshot) -> Self {
        self.kv_reads = usage.reads;
        self.kv_read_bytes = usage.read_bytes;
        self.kv_writes = usage.writes;
        self.kv_swaps = usage.swaps;
        self
    }
}

/// The path as it may be logged: `/o/{id}/{secret}` opens an order to whoever reads it.
pub(crate) fn loggable(path: &str) -> String {
    match path.strip_prefix("/o/").and_then(|rest| rest.split_once('/')) {
        Some((id, _secret)) => format!("/o/{id}/-"),
        None => path.to_owned(),
    }
}

enum Entry {
    Line(Box<Line>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Where lines go. A clone is a handle.
#[derive(Clone)]
pub(crate) struct AccessLog(Option<SyncSender<Entry>>);

impl AccessLog {
    /// Opens `-`, `off` or a file, to which lines are appended.
    pub(crate) fn open(to: &str) -> io::Result<Self> {
        let target: Box<dyn Write + Send> = match to {
            "off" => return Ok(Self(None)),
            "-" => Box::new(io::stdout()),
            file => Box::new(append(Path::new(file))?),
        };
        let (entries, queue) = sync_channel(LINES_WAITING_MAX);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(target, &queue))?;
        Ok(Self(Some(entries)))
    }

    /// Hands a line over without waiting.
    pub(crate) fn line(&self, line: impl FnOnce() -> Line) {
        if let Some(entries) = &self.0
            && entries.try_send(Entry::Line(Box::new(line()))).is_err()
        {
            tracing::warn!("a line of the access log was dropped: its target is too slow");
        }
    }

    /// Waits until the lines so far are written, a little while at most. Blocks: for the end of the process.
    pub(crate) fn flush(&self) {
        if let Some(entries) = &self.0 {
            let (written, wait) = sync_channel(1);
            if entries.try_send(Entry::Flush(written)).is_ok() {
                let _ = wait.recv_timeout(FLUSH_WAIT);
            }
        }
    }
}

fn append(file: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(file)
}

fn write(target: Box<dyn Write + Send>, queue: &Receiver<Entry>) {
    let mut target = BufWriter::new(target);
    while let Ok(first) = queue.recv() {
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => {
                    let written = serde_json::to_writer(&mut target, &line).map_err(io::Error::from);
                    if let Err(error) = written.and_then(|()| target.write_all(b"\n")) {
                        tracing::error!(%error, "the access log cannot be written");
                    }
                }
                Entry::Flush(written) => {
                    let _ = target.flush();
                    let _ = written.send(());
                }
            }
            next = queue.try_recv().ok();
        }
        // Nothing is waiting: what was written may be read.
        let _ = target.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_an_order_link_is_not_logged() {
        assert_eq!(loggable("/o/ord_1/s3cret"), "/o/ord_1/-");
        assert_eq!(loggable("/o/ord_1"), "/o/ord_1");
        assert_eq!(loggable("/p/soap"), "/p/soap");
    }
}
