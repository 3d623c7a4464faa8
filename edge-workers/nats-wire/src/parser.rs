//! What a server sends, cut out of a stream of bytes that may arrive in any pieces.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use crate::error::Error;
use crate::header::{self, HeaderError, Headers};
use crate::limits::{HEADER_BLOCK_MAX, INFO_LINE_MAX, RECEIVED_LINE_MAX};
use crate::server_error::ServerError;

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// The line starts with no verb of the protocol: perhaps this is no NATS server.
    #[error("not a NATS operation")]
    UnknownOperation,
    /// A known verb with wrong arguments, or a line without CR LF.
    #[error("malformed operation")]
    Malformed,
    /// A control line longer than [`RECEIVED_LINE_MAX`] or, for `INFO`, [`INFO_LINE_MAX`].
    #[error("control line too long")]
    LineTooLong,
    /// A message larger than the caller allows, or headers beyond [`HEADER_BLOCK_MAX`].
    #[error("message too large")]
    MessageTooLarge,
    /// `INFO` does not carry the JSON of a server.
    #[error("unreadable INFO")]
    Info,
}

/// A stream cannot be read any further.
pub type ParseError = Error<ParseErrorKind>;

/// What a server says about itself in `INFO`; fields that this crate has no use for are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// The server's id.
    pub server_id: String,
    /// The server's configured or generated name.
    pub server_name: String,
    /// The server's version, as in `2.12.1`.
    pub version: String,
    /// The connection's number at this server.
    pub client_id: u64,
    /// Whether the server passes headers on.
    pub headers: bool,
    /// Largest headers and payload of one message, in bytes; 0 when the server did not say.
    pub max_payload: usize,
    /// Whether some credentials are wanted.
    pub auth_required: bool,
    /// Whether the connection must be TLS before `CONNECT`.
    pub tls_required: bool,
    /// What an nkey has to sign.
    pub nonce: Option<String>,
    /// Other servers of the cluster, `host:port`.
    pub connect_urls: Vec<String>,
    /// Lame duck mode: the server is about to go and wants its clients to move.
    pub ldm: bool,
}

/// A message for one of the own subscriptions.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The subject it was published to.
    pub subject: String,
    /// The subscription it is for.
    pub sid: u64,
    /// Where an answer is wanted, if one is.
    pub reply_to: Option<String>,
    /// The header block as it arrived, empty without headers.
    pub header_block: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// The headers. A publisher may have put any bytes there: a broken block is the message's fault, not the stream's.
    pub fn headers(&self) -> Result<Headers, HeaderError> {
        if self.header_block.is_empty() { Ok(Headers::new()) } else { Headers::parse(&self.header_block) }
    }

    /// The status code, when the header block starts with one.
    pub fn status_code(&self) -> Option<u16> {
        header::status_code(&self.header_block)
    }

    /// The server's word that nobody listens to the subject of a request.
    pub fn is_no_responders(&self) -> bool {
        self.payload.is_empty() && self.status_code() == Some(header::STATUS_NO_RESPONDERS)
    }
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Payloads are somebody's data and do not belong into a log.
        f.debug_struct("Message")
            .field("subject", &self.subject)
            .field("sid", &self.sid)
            .field("reply_to", &self.reply_to)
            .field("header_bytes", &self.header_block.len())
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// One operation of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerOp {
    /// First of all, and again whenever the cluster changes.
    Info(alloc::boxed::Box<ServerInfo>),
    /// `MSG` or `HMSG`.
    Message(Message),
    /// Asks for a `PONG`.
    Ping,
    /// Answers a `PING`.
    Pong,
    /// Confirms a command, in verbose mode only.
    Ok,
    /// Refuses a command or the whole connection.
    Err(ServerError),
}

/// What a `MSG` or `HMSG` line announced.
#[derive(Debug)]
struct Announced {
    subject: String,
    sid: u64,
    reply_to: Option<String>,
    header_len: usize,
    total_len: usize,
}

/// An incremental parser: push bytes as they come, take operations until there is none.
#[derive(Debug)]
pub struct Parser {
    buffer: Vec<u8>,
    /// Start of what has not been consumed.
    start: usize,
    /// Up to here no line end was found, so that a slow line is not searched again.
    searched: usize,
    announced: Option<Announced>,
    failed: Option<ParseError>,
    message_max: usize,
}

impl Parser {
    /// A parser that accepts messages of up to `message_max` bytes, headers included.
    pub const fn new(message_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, announced: None, failed: None, message_max }
    }

    /// Adds bytes from the transport. Drain [`Self::next_op`] after each push: that bounds what is held to one
    /// operation and the last push.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole operation, `None` when more bytes are needed. After an error the stream has no known position any
    /// more, and the same error comes again.
    pub fn next_op(&mut self) -> Result<Option<ServerOp>, ParseError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.advance();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
            (self.start, self.searched) = (0, 0);
        }
        result
    }

    fn advance(&mut self) -> Result<Option<ServerOp>, ParseError> {
        if self.announced.is_none() {
            let Some(end) = self.line_end()? else { return Ok(None) };
            let line = self.buffer.get(self.start..end).unwrap_or_default();
            let parsed = parse_line(line, self.message_max)?;
            self.start = end;
            self.searched = end;
            match parsed {
                Line::Op(op) => return Ok(Some(op)),
                Line::Announces(announced) => self.announced = Some(announced),
            }
        }
        self.body()
    }

    /// The index after the line feed of the current line, when it has arrived.
    fn line_end(&mut self) -> Result<Option<usize>, ParseError> {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let max = if matches!(unread.first(), Some(b'I' | b'i')) { INFO_LINE_MAX } else { RECEIVED_LINE_MAX };
        let from = self.searched - self.start;
        let found = unread.get(from..).unwrap_or_default().iter().position(|byte| *byte == b'\n');
        let length = found.map_or(unread.len(), |offset| from + offset + 1);
        if length > max {
            return Err(ParseErrorKind::LineTooLong.into());
        }
        self.searched = self.start + length;
        Ok(found.map(|_| self.searched))
    }

    /// The announced message, once its bytes and their CR LF are there.
    fn body(&mut self) -> Result<Option<ServerOp>, ParseError> {
        let Some(announced) = &self.announced else { return Ok(None) };
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        // Bounded by `message_max` when the line was read.
        let Some(body) = unread.get(..announced.total_len + 2) else { return Ok(None) };
        let Some(body) = body.strip_suffix(b"\r\n") else {
            return Err(Error::with_detail(ParseErrorKind::Malformed, "no line end after a payload"));
        };
        let (header_block, payload) = body.split_at(announced.header_len.min(body.len()));
        let (header_block, payload) = (header_block.to_vec(), payload.to_vec());
        self.start += announced.total_len + 2;
        self.searched = self.start;
        Ok(self.announced.take().map(|Announced { subject, sid, reply_to, .. }| {
            ServerOp::Message(Message { subject, sid, reply_to, header_block, payload })
        }))
    }
}

enum Line {
    Op(ServerOp),
    Announces(Announced),
}

fn parse_line(line: &[u8], message_max: usize) -> Result<Line, ParseError> {
    let malformed = || Error::new(ParseErrorKind::Malformed);
    let line = line.strip_suffix(b"\r\n").ok_or_else(malformed)?;
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let verb_len = line.iter().position(blank).unwrap_or(line.len());
    let (verb, arguments) = line.split_at(verb_len);
    let verb_is = |name: &[u8]| verb.eq_ignore_ascii_case(name);

    let bare = |op: ServerOp| if arguments.trim_ascii().is_empty() { Ok(Line::Op(op)) } else { Err(malformed()) };
    if verb_is(b"MSG") {
        return parse_announcement(arguments, false, message_max).map(Line::Announces);
    }
    if verb_is(b"HMSG") {
        return parse_announcement(arguments, true, message_max).map(Line::Announces);
    }
    if verb_is(b"PING") {
        return bare(ServerOp::Ping);
    }
    if verb_is(b"PONG") {
        return bare(ServerOp::Pong);
    }
    if verb_is(b"+OK") {
        return bare(ServerOp::Ok);
    }
    if verb_is(b"-ERR") {
        return Ok(Line::Op(ServerOp::Err(ServerError::parse(&String::from_utf8_lossy(arguments)))));
    }
    if verb_is(b"INFO") {
        let info = serde_json::from_slice(arguments)
            .map_err(|error| Error::with_detail(ParseErrorKind::Info, error.to_string()))?;
        return Ok(Line::Op(ServerOp::Info(alloc::boxed::Box::new(info))));
    }
    Err(ParseErrorKind::UnknownOperation.into())
}

/// `subject sid [reply-to] [header bytes] total bytes`, the header bytes for `HMSG` only.
fn parse_announcement(arguments: &[u8], with_headers: bool, message_max: usize) -> Result<Announced, ParseError> {
    let malformed = || Error::new(ParseErrorKind::Malformed);
    let arguments = core::str::from_utf8(arguments).map_err(|_| malformed())?;
    let mut fields = [""; 5];
    let mut count = 0;
    for field in arguments.split([' ', '\t']).filter(|field| !field.is_empty()) {
        *fields.get_mut(count).ok_or_else(malformed)? = field;
        count += 1;
    }
    let (subject, sid, reply_to, header_len, total_len) = match (with_headers, count) {
        (false, 3) => (fields[0], fields[1], None, "0", fields[2]),
        (false, 4) => (fields[0], fields[1], Some(fields[2]), "0", fields[3]),
        (true, 4) => (fields[0], fields[1], None, fields[2], fields[3]),
        (true, 5) => (fields[0], fields[1], Some(fields[2]), fields[3], fields[4]),
        _ => return Err(malformed()),
    };
    let sid = parse_number(sid).ok_or_else(malformed)?;
    let header_len = parse_number(header_len).ok_or_else(malformed)?;
    let total_len = parse_number(total_len).ok_or_else(malformed)?;
    if header_len > total_len || (with_headers && header_len == 0) {
        return Err(malformed());
    }
    let too_large = || Error::new(ParseErrorKind::MessageTooLarge);
    let header_len = usize::try_from(header_len).map_err(|_| too_large())?;
    let total_len = usize::try_from(total_len).map_err(|_| too_large())?;
    if header_len > HEADER_BLOCK_MAX || total_len > message_max {
        return Err(too_large());
    }
    Ok(Announced { subject: subject.into(), sid, reply_to: reply_to.map(Into::into), header_len, total_len })
}

/// Digits only: `str::parse` would take a sign.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn all(bytes: &[u8]) -> (Vec<ServerOp>, Option<ParseErrorKind>) {
        let mut parser = Parser::new(1024);
        parser.push(bytes);
        let mut ops = vec![];
        loop {
            match parser.next_op() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => return (ops, None),
                Err(error) => return (ops, Some(*error.kind())),
            }
        }
    }

    fn message(subject: &str, reply_to: Option<&str>, headers: &[u8], payload: &[u8]) -> ServerOp {
        ServerOp::Message(Message {
            subject: subject.into(),
            sid: 7,
            reply_to: reply_to.map(Into::into),
            header_block: headers.into(),
            payload: payload.into(),
        })
    }

    #[test]
    fn messages_come_with_and_without_reply_and_headers() {
        let block = b"NATS/1.0\r\nA: b\r\n\r\n";
        let stream = [
            &b"MSG a.b 7 5\r\nhello\r\nmsg\ta.b  7 _INBOX.1 0\r\n\r\nHMSG a 7 18 20\r\n"[..],
            &block[..],
            b"\r\n",
            b"\r\nHMSG a 7 r 18 18\r\n",
            &block[..],
            b"\r\nPING\r\nPONG\r\n+OK\r\n",
        ]
        .concat();
        assert_eq!(
            all(&stream),
            (
                vec![
                    message("a.b", None, b"", b"hello"),
                    message("a.b", Some("_INBOX.1"), b"", b""),
                    message("a", None, block, b"\r\n"),
                    message("a", Some("r"), block, b""),
                    ServerOp::Ping,
                    ServerOp::Pong,
                    ServerOp::Ok,
                ],
                None
            )
        );
    }

    #[test]
    fn wrong_lines_end_the_stream_with_a_reason() {
        for (bytes, kind) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], ParseErrorKind::UnknownOperation),
            (b"\r\n", ParseErrorKind::UnknownOperation),
            (b"PING\n", ParseErrorKind::Malformed),
            (b"PING 1\r\n", ParseErrorKind::Malformed),
            (b"MSG a 7\r\n", ParseErrorKind::Malformed),
            (b"MSG a 7 r x 5\r\n", ParseErrorKind::Malformed),
            (b"MSG a x 5\r\n", ParseErrorKind::Malformed),
            (b"MSG a 7 -5\r\n", ParseErrorKind::Malformed),
            (b"MSG a 7 +5\r\n", ParseErrorKind::Malformed),
            (b"MSG \xff 7 5\r\n", ParseErrorKind::Malformed),
            (b"MSG a 7 1\r\nabc", ParseErrorKind::Malformed),
            (b"HMSG a 7 5 4\r\n", ParseErrorKind::Malformed),
            (b"HMSG a 7 0 4\r\n", ParseErrorKind::Malformed),
            (b"MSG a 7 1025\r\n", ParseErrorKind::MessageTooLarge),
            (b"MSG a 7 18446744073709551615\r\n", ParseErrorKind::MessageTooLarge),
            (b"MSG a 7 18446744073709551616\r\n", ParseErrorKind::Malformed),
            (b"INFO {\r\n", ParseErrorKind::Info),
            (b"INFO {\"max_payload\":-1}\r\n", ParseErrorKind::Info),
        ] {
            assert_eq!(all(bytes), (vec![], Some(kind)), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_line_without_end_is_given_up_at_its_limit() {
        for (verb, max) in [("MSG ", RECEIVED_LINE_MAX), ("INFO ", INFO_LINE_MAX)] {
            let mut parser = Parser::new(1024);
            parser.push(verb.as_bytes());
            parser.push(&vec![b'x'; max - verb.len()]);
            assert_eq!(parser.next_op(), Ok(None));
            parser.push(b"x");
            assert_eq!(parser.next_op(), Err(ParseErrorKind::LineTooLong.into()));
            parser.push(b"\r\nPING\r\n");
            assert_eq!(parser.next_op(), Err(ParseErrorKind::LineTooLong.into()), "the position is lost for good");
        }
    }

    #[test]
    fn a_broken_header_block_costs_its_message_only() {
        let (ops, error) = all(b"HMSG a 7 4 4\r\nfoo!\r\nPING\r\n");
        assert_eq!(error, None);
        assert!(matches!(ops.as_slice(), [ServerOp::Message(broken), ServerOp::Ping] if broken.headers().is_err()));
    }
}
