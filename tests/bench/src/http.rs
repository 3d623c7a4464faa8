//! A client that asks the same thing over and over, on connections that stay open. It does as little as it can: it shares
//! the machine with what it measures.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Fault;

/// What a load came to.
pub(crate) struct Load {
    pub(crate) per_s: f64,
    pub(crate) p99_ms: f64,
}

pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(port: u16, path: &str) -> Result<Self, Fault> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n").into_bytes();
        Ok(Self { stream, request, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Asks once; gives the status and the body's bytes.
    pub(crate) async fn ask(&mut self) -> Result<(u16, Vec<u8>), Fault> {
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        let head = loop {
            self.more().await?;
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_lowercase();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        if let Some(length) = length {
            let end = head + length.trim().parse::<usize>()?;
            while self.buffer.len() < end {
                self.more().await?;
            }
            return Ok((status, self.buffer[head..end].to_vec()));
        }
        let mut at = head;
        let mut body = Vec::new();
        // Chunked: a size in hexadecimal, the bytes, an empty line; the size 0 is the end.
        loop {
            let line = loop {
                if let Some(end) = find(&self.buffer[at..], b"\r\n") {
                    break end;
                }
                self.more().await?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[at..at + line])?.trim(), 16)?;
            at += line + 2;
            while self.buffer.len() < at + size + 2 {
                self.more().await?;
            }
            if size == 0 {
                return Ok((status, body));
            }
            body.extend_from_slice(&self.buffer[at..at + size]);
            at += size + 2;
        }
    }

    async fn more(&mut self) -> Result<(), Fault> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// One `GET`.
pub(crate) async fn get(port: u16, path: &str) -> Result<(u16, Vec<u8>), Fault> {
    Connection::open(port, path).await?.ask().await
}

/// Asks for `path` on so many connections, each again as soon as it is answered. Every answer has to be `200`.
pub(crate) async fn load(port: u16, path: &str, connections: usize, time: Duration) -> Result<Load, Fault> {
    let begun = Instant::now();
    let mut running = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(port, path).await?;
        running.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                let (status, _) = connection.ask().await?;
                if status != 200 {
                    return Err(Fault::from(format!("answered {status}")));
                }
                took.push(asked.elapsed());
            }
            Ok(took)
        }));
    }
    let mut took = Vec::new();
    for one in running {
        took.extend(one.await??);
    }
    let elapsed = begun.elapsed();
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Load { per_s: took.len() as f64 / elapsed.as_secs_f64(), p99_ms: p99.as_secs_f64() * 1_000.0 })
}
