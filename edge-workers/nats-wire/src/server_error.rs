//! The sentences of `-ERR`, typed.

use alloc::string::String;

/// Whether publishing or subscribing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `PUB`, `HPUB`.
    Publish,
    /// `SUB`.
    Subscribe,
}

/// What a server complains about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The credentials are wrong, missing, expired or revoked.
    #[error("the server refuses the credentials: {0}")]
    Authorization(String),
    /// No `CONNECT` arrived in time.
    #[error("the server waited too long for the credentials")]
    AuthenticationTimeout,
    /// These credentials may not use that subject. The connection stays.
    #[error("no permission for {subject}")]
    Permissions {
        /// What was refused.
        operation: Operation,
        /// The subject or pattern, as the server repeats it.
        subject: String,
    },
    /// A message beyond `max_payload`.
    #[error("the message is larger than the server takes")]
    MaximumPayload,
    /// A command beyond `max_control_line`.
    #[error("the command is longer than the server takes")]
    MaximumControlLine,
    /// The server, or the account at it, has all the connections it may have.
    #[error("the server has no connection left: {0}")]
    MaximumConnections(String),
    /// This connection has all the subscriptions it may have. It stays.
    #[error("the server takes no further subscription")]
    MaximumSubscriptions,
    /// A subject that the server does not take. The connection stays.
    #[error("the server refuses the subject: {0}")]
    InvalidSubject(String),
    /// The server wants TLS.
    #[error("the server wants TLS")]
    TlsRequired,
    /// The server got no `PONG`.
    #[error("the connection went stale")]
    Stale,
    /// This client did not read fast enough.
    #[error("the server gave this client up as too slow")]
    SlowConsumer,
    /// The server shuts down.
    #[error("the server shuts down")]
    Shutdown,
    /// The server could not read what was sent.
    #[error("the server did not understand: {0}")]
    Protocol(String),
    /// A sentence this crate does not know.
    #[error("the server says: {0}")]
    Other(String),
}

impl ServerError {
    /// Reads what follows `-ERR`, quoted or not. Never fails: unknown words are kept.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let text = text.strip_prefix('\'').unwrap_or(text);
        let text = text.strip_suffix('\'').unwrap_or(text);
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("permissions violation for ") {
            return Self::permissions(text);
        }
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| lower.starts_with(prefix));
        if starts(&[
            "authorization violation",
            "user authentication",
            "account authentication",
            "authentication expired",
        ]) {
            Self::Authorization(text.into())
        } else if starts(&["authorization timeout", "authentication timeout"]) {
            Self::AuthenticationTimeout
        } else if starts(&["maximum payload"]) {
            Self::MaximumPayload
        } else if starts(&["maximum control line"]) {
            Self::MaximumControlLine
        } else if starts(&["maximum connections", "maximum account"]) {
            Self::MaximumConnections(text.into())
        } else if starts(&["maximum subscriptions"]) {
            Self::MaximumSubscriptions
        } else if starts(&["invalid subject", "invalid publish subject", "invalid subscription"]) {
            Self::InvalidSubject(text.into())
        } else if starts(&["secure connection"]) {
            Self::TlsRequired
        } else if starts(&["stale connection"]) {
            Self::Stale
        } else if starts(&["slow consumer"]) {
            Self::SlowConsumer
        } else if starts(&["server shutdown"]) {
            Self::Shutdown
        } else if starts(&[
            "parser error",
            "unknown protocol",
            "invalid client protocol",
            "message headers not supported",
        ]) {
            Self::Protocol(text.into())
        } else {
            Self::Other(text.into())
        }
    }

    /// Whether the server keeps the connection open after saying this.
    pub const fn keeps_connection(&self) -> bool {
        matches!(self, Self::Permissions { .. } | Self::InvalidSubject(_) | Self::MaximumSubscriptions)
    }

    /// `Permissions Violation for Publish to "a.b"`, or `… Subscription to "a.b" using queue "q"`.
    fn permissions(text: &str) -> Self {
        let quoted = text.split_once('"').and_then(|(before, rest)| Some((before, rest.split_once('"')?.0)));
        let Some((before, subject)) = quoted else { return Self::Other(text.into()) };
        let before = before.to_ascii_lowercase();
        let operation = if before.contains(" publish ") {
            Operation::Publish
        } else if before.contains(" subscription ") {
            Operation::Subscribe
        } else {
            return Self::Other(text.into());
        };
        Self::Permissions { operation, subject: subject.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_a_server_get_their_type() {
        for (text, expected) in [
            ("'Authorization Violation'", ServerError::Authorization("Authorization Violation".into())),
            ("'Stale Connection'", ServerError::Stale),
            ("maximum payload violation", ServerError::MaximumPayload),
            ("'Secure Connection - TLS Required'", ServerError::TlsRequired),
            ("", ServerError::Other("".into())),
            ("'", ServerError::Other("".into())),
            (
                "'Permissions Violation for Publish to \"order.v1.place\"'",
                ServerError::Permissions { operation: Operation::Publish, subject: "order.v1.place".into() },
            ),
            (
                "'Permissions Violation for Subscription to \">\" using queue \"q\"'",
                ServerError::Permissions { operation: Operation::Subscribe, subject: ">".into() },
            ),
        ] {
            assert_eq!(ServerError::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_refused_subject_leaves_the_connection_open() {
        assert!(ServerError::parse("'Permissions Violation for Publish to \"a\"'").keeps_connection());
        assert!(ServerError::parse("'Invalid Subject'").keeps_connection());
        assert!(!ServerError::parse("'Authorization Violation'").keeps_connection());
        assert!(!ServerError::parse("'something new'").keeps_connection());
    }
}
