//! What the component prints: one line, one log record of the host.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use serde_json::{Map, Value};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Longest line kept together, bytes; longer ones are cut.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Standard output and error of every instance.
pub(crate) struct Lines;

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Line(Vec::new()))
    }
}

struct Line(Vec<u8>);

impl Line {
    fn end(&mut self) {
        if !self.0.is_empty() {
            match serde_json::from_slice::<Map<String, Value>>(&self.0) {
                Ok(record) => write(record),
                Err(_) => tracing::info!(target: "storefront", "{}", String::from_utf8_lossy(&self.0)),
            }
            self.0.clear();
        }
    }
}

/// A record of the storefront stays a record, so that its request id can be looked for like the host's own.
fn write(mut record: Map<String, Value>) {
    record.entry("timestamp").or_insert_with(|| crate::exchange::now().to_string().into());
    record.insert("target".into(), "storefront".into());
    let mut line = Value::Object(record).to_string();
    line.push('\n');
    // Standard error is all there is; when it is gone, so is the log.
    let _ = io::stderr().write_all(line.as_bytes());
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        for byte in bytes {
            if *byte == b'\n' || self.0.len() >= LINE_BYTES_MAX {
                self.end();
            }
            if *byte != b'\n' {
                self.0.push(*byte);
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end();
    }
}
