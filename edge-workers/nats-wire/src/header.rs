//! Message headers: `NATS/1.0`, an optional status, and fields that keep their order, case and repetitions.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::Error;
use crate::limits::{HEADER_BLOCK_MAX, HEADER_FIELDS_MAX};

const VERSION: &[u8] = b"NATS/1.0";

/// The status a server gives a request that nobody listens to.
pub const STATUS_NO_RESPONDERS: u16 = 503;

/// Why a header block cannot be read or built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderErrorKind {
    /// The block does not start with `NATS/1.0` and a line end.
    #[error("not a NATS/1.0 header block")]
    Version,
    /// What follows the version is not a number of three digits.
    #[error("the status is not a number of three digits")]
    Status,
    /// A line has no colon, or the block does not end with an empty line.
    #[error("a header line is malformed")]
    Malformed,
    /// A name is empty or has characters other than visible ASCII without the colon.
    #[error("not a header name")]
    Name,
    /// A value has a line break, another control character, or is not UTF-8.
    #[error("not a header value")]
    Value,
    /// More than [`HEADER_BLOCK_MAX`] bytes or [`HEADER_FIELDS_MAX`] fields.
    #[error("too many headers")]
    TooLarge,
}

/// A header block cannot be read or built.
pub type HeaderError = Error<HeaderErrorKind>;

/// The status line of a header block, as in `NATS/1.0 503 No Responders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Three digits, as in HTTP.
    pub code: u16,
    /// The words after it, if any.
    pub description: String,
}

/// Header fields in the order they were added. Names compare exactly, as NATS has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    status: Option<Status>,
    fields: Vec<(String, String)>,
    encoded_len: usize,
}

impl Headers {
    /// No fields, no status.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field; one of the same name stays. White space around the value is not kept: the wire cannot carry it.
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(Error::with_detail(HeaderErrorKind::Name, name.escape_debug().to_string()));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Error::with_detail(HeaderErrorKind::Value, name));
        }
        let value = trim(value);
        let len = self.encoded_len + name.len() + value.len() + 4;
        if self.fields.len() >= HEADER_FIELDS_MAX || VERSION.len() + 4 + len > HEADER_BLOCK_MAX {
            return Err(Error::with_detail(HeaderErrorKind::TooLarge, name));
        }
        self.encoded_len = len;
        self.fields.push((name.into(), value.into()));
        Ok(())
    }

    /// The first value under this exact name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All values under this exact name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The status line; only servers send one.
    pub const fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// True without fields and status: such a message needs no header block.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.status.is_none()
    }

    /// The block as it stands on the wire, with its closing empty line.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(VERSION.len() + 4 + self.encoded_len);
        out.extend_from_slice(VERSION);
        if let Some(status) = &self.status {
            out.push(b' ');
            out.extend_from_slice(status.code.to_string().as_bytes());
            if !status.description.is_empty() {
                out.push(b' ');
                out.extend_from_slice(status.description.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.fields {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Reads a block. Publishers are not checked by the server, so a block may be any bytes.
    pub fn parse(block: &[u8]) -> Result<Self, HeaderError> {
        if block.len() > HEADER_BLOCK_MAX {
            return Err(HeaderErrorKind::TooLarge.into());
        }
        let text = core::str::from_utf8(block).map_err(|_| HeaderErrorKind::Value)?;
        let body = text.strip_suffix("\r\n").ok_or(HeaderErrorKind::Malformed)?;
        let (first, mut rest) = body.split_once("\r\n").ok_or(HeaderErrorKind::Malformed)?;
        let mut headers = Self { status: parse_status_line(first)?, ..Self::default() };
        while !rest.is_empty() {
            let (line, tail) = rest.split_once("\r\n").ok_or(HeaderErrorKind::Malformed)?;
            let (name, value) = line.split_once(':').ok_or(HeaderErrorKind::Malformed)?;
            headers.append(name, value)?;
            rest = tail;
        }
        Ok(headers)
    }
}

/// The status code of a block, without reading its fields: enough to tell "no responders" from a reply.
pub(crate) fn status_code(block: &[u8]) -> Option<u16> {
    let digits = block.strip_prefix(VERSION)?.strip_prefix(b" ")?.get(..3)?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn parse_status_line(line: &str) -> Result<Option<Status>, HeaderError> {
    let rest = line.strip_prefix("NATS/1.0").ok_or(HeaderErrorKind::Version)?;
    if rest.is_empty() {
        return Ok(None);
    }
    let rest = trim(rest.strip_prefix(' ').ok_or(HeaderErrorKind::Version)?);
    if rest.is_empty() {
        return Ok(None);
    }
    let (code, description) = rest.split_once(' ').unwrap_or((rest, ""));
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) || code.starts_with('0') {
        return Err(HeaderErrorKind::Status.into());
    }
    if description.chars().any(char::is_control) {
        return Err(HeaderErrorKind::Value.into());
    }
    let code = code.parse().map_err(|_| HeaderErrorKind::Status)?;
    Ok(Some(Status { code, description: trim(description).into() }))
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b':'
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_keep_their_order_and_case() {
        let mut headers = Headers::new();
        headers.append("A", "1").unwrap();
        headers.append("a", "2").unwrap();
        headers.append("A", " 3 ").unwrap();
        assert_eq!(headers.encode(), b"NATS/1.0\r\nA: 1\r\na: 2\r\nA: 3\r\n\r\n");
        assert_eq!(headers.get_all("A").collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(Headers::parse(&headers.encode()), Ok(headers));
    }

    #[test]
    fn the_status_of_a_server_is_read() {
        let none = Headers::parse(b"NATS/1.0 503\r\n\r\n").unwrap();
        assert_eq!(none.status(), Some(&Status { code: STATUS_NO_RESPONDERS, description: "".into() }));
        let idle = Headers::parse(b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\n\r\n").unwrap();
        assert_eq!(idle.status().map(|status| status.description.as_str()), Some("Idle Heartbeat"));
        assert_eq!(idle.get("Nats-Last-Consumer"), Some("7"));
    }

    #[test]
    fn nobody_smuggles_a_line_into_a_value() {
        let mut headers = Headers::new();
        let value = headers.append("A", "1\r\nB: 2").map_err(|error| *error.kind());
        assert_eq!(value, Err(HeaderErrorKind::Value));
        for name in ["", "A:", "A B", "A\r\n", "Ä"] {
            assert_eq!(
                headers.append(name, "1").map_err(|error| *error.kind()),
                Err(HeaderErrorKind::Name),
                "{name:?}"
            );
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn broken_blocks_are_named() {
        for (block, kind) in [
            (&b""[..], HeaderErrorKind::Malformed),
            (b"\r\n", HeaderErrorKind::Malformed),
            (b"NATS/1.0\r\n", HeaderErrorKind::Malformed),
            (b"HTTP/1.1\r\n\r\n", HeaderErrorKind::Version),
            (b"NATS/1.05\r\n\r\n", HeaderErrorKind::Version),
            (b"NATS/1.0 5x3\r\n\r\n", HeaderErrorKind::Status),
            (b"NATS/1.0\r\nno colon\r\n\r\n", HeaderErrorKind::Malformed),
            (b"NATS/1.0\r\nA: \xff\r\n\r\n", HeaderErrorKind::Value),
            (b"NATS/1.0\r\n: x\r\n\r\n", HeaderErrorKind::Name),
        ] {
            assert_eq!(Headers::parse(block).map_err(|error| *error.kind()), Err(kind), "{block:?}");
        }
    }

    #[test]
    fn the_number_and_the_size_of_fields_are_bounded() {
        let mut headers = Headers::new();
        for _ in 0..HEADER_FIELDS_MAX {
            headers.append("A", "1").unwrap();
        }
        assert_eq!(headers.append("A", "1").map_err(|error| *error.kind()), Err(HeaderErrorKind::TooLarge));
        let long = "x".repeat(HEADER_BLOCK_MAX);
        assert_eq!(Headers::new().append("A", &long).map_err(|error| *error.kind()), Err(HeaderErrorKind::TooLarge));
    }
}
