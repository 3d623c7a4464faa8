//! Ports on loopback.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::time::Duration;

/// Where [`free_port`] looks: below the ports that systems give to outgoing connections (from 32768 on Linux, from 49152
/// elsewhere). A port that the system itself picks is one of those, and seconds later, when the server that it was
/// meant for starts, a connection of its neighbour may be on it. Above what servers and browsers hold for their own.
const FREE: Range<u16> = 10_240..32_768;
const ATTEMPTS: usize = 1000;

/// A port nobody listens on now. Another process may take it before it is used: callers retry with a new one.
///
/// # Errors
/// When the system has no free port.
pub fn free_port() -> io::Result<u16> {
    Ok(bind_free()?.local_addr()?.port())
}

pub(crate) fn bind_free() -> io::Result<TcpListener> {
    let random = RandomState::new();
    (0..ATTEMPTS)
        .map(|attempt| {
            let offset = random.hash_one(attempt) % u64::from(FREE.end - FREE.start);
            FREE.start + u16::try_from(offset).unwrap_or_default()
        })
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Whether something listens there, or the port may not be bound.
#[must_use]
pub fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}

/// A connection that gives up soon: a server on loopback answers at once or is not there.
pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    Ok(stream)
}

/// The status of a GET, or `None` when nobody answers.
#[must_use]
pub fn http_status(port: u16, path: &str) -> Option<u16> {
    status_within(Duration::from_secs(5), port, path)
}

fn status_within(patience: Duration, port: u16, path: &str) -> Option<u16> {
    let mut stream = connect(port).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let answer = read_answer(stream);
    // "HTTP/1.1 200": the status is all that is wanted.
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

/// Reads an answer whole, so that nobody logs a broken connection. Not every server closes it when asked to: once the
/// length that it told has come, or the head and then nothing for a moment, that was all.
fn read_answer(mut stream: TcpStream) -> Vec<u8> {
    let (mut answer, mut part, mut whole) = (Vec::new(), [0; 16 * 1024], None);
    while answer.len() < whole.unwrap_or(ANSWER_BYTES_MAX) {
        match stream.read(&mut part) {
            Ok(read) if read > 0 => answer.extend_from_slice(part.get(..read).unwrap_or_default()),
            _ => break,
        }
        if whole.is_none()
            && let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let body = length.unwrap_or(ANSWER_BYTES_MAX);
            whole = Some(head.saturating_add(4).saturating_add(body).min(ANSWER_BYTES_MAX));
            let _ = stream.set_read_timeout(Some(QUIET));
        }
    }
    answer
}

/// Silence after which an answer of unknown length is over.
const QUIET: Duration = Duration::from_millis(200);
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives one answer and then says no more, and does not close the connection either.
    fn answers(answer: &'static str) -> u16 {
        let listener = bind_free().unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
            // Until the other side has gone.
            while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
        });
        port
    }

    #[test]
    fn a_free_port_is_none_that_an_outgoing_connection_may_be_on() {
        for _ in 0..100 {
            let port = free_port().unwrap();
            assert!(FREE.contains(&port), "{port}");
        }
    }

    #[test]
    fn an_answer_is_over_when_its_length_has_come_though_nobody_closes() {
        for answer in [
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ] {
            // Whoever waited for the end of the connection would wait for ever.
            assert_eq!(status_within(Duration::from_secs(100_000), answers(answer), "/"), Some(204), "{answer}");
        }
        assert_eq!(http_status(answers("nonsense"), "/"), None);
    }
}
