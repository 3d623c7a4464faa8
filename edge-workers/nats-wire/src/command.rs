//! What a client sends.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;

use crate::error::Error;
use crate::header::Headers;
use crate::limits::CONTROL_LINE_MAX;
use crate::nkey::UserKey;
use crate::parser::ServerInfo;
use crate::subject::{self, SubjectErrorKind};

/// Why a command cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandErrorKind {
    /// Not a subject, a pattern or a queue group.
    #[error("{0}")]
    Subject(SubjectErrorKind),
    /// The line would exceed [`CONTROL_LINE_MAX`].
    #[error("the control line is too long")]
    LineTooLong,
    /// The server sent no nonce to sign.
    #[error("the server asks for no nkey")]
    NonceMissing,
}

/// A command cannot be written.
pub type CommandError = Error<CommandErrorKind>;

impl From<subject::SubjectError> for CommandError {
    fn from(error: subject::SubjectError) -> Self {
        error.map(CommandErrorKind::Subject)
    }
}

/// How a client says who it is.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// A shared token.
    Token(String),
    /// A name and a password.
    User {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A key pair that signs the server's nonce.
    Nkey(UserKey),
    /// A user's JWT with the key pair it was issued to.
    Jwt {
        /// The JWT as text.
        jwt: String,
        /// The key pair.
        key: UserKey,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(…)",
            Self::User { .. } => "User(…)",
            Self::Nkey(_) => "Nkey(…)",
            Self::Jwt { .. } => "Jwt(…)",
        })
    }
}

/// One command. Nothing is written when it is refused.
#[derive(Debug)]
pub enum Command<'a> {
    /// Answers `INFO`.
    Connect {
        /// A name for the server's monitoring.
        name: &'a str,
        /// Whether the transport is TLS.
        tls: bool,
        /// Whether messages published here come back to own subscriptions.
        echo: bool,
        /// Who is there.
        credentials: &'a Credentials,
        /// What the server said; its nonce is signed.
        info: &'a ServerInfo,
    },
    /// Publishes a message, as `HPUB` when there are headers.
    Publish {
        /// A literal subject.
        subject: &'a str,
        /// Where an answer is wanted.
        reply_to: Option<&'a str>,
        /// Headers, may be empty.
        headers: &'a Headers,
        /// Any bytes.
        payload: &'a [u8],
    },
    /// Opens a subscription.
    Subscribe {
        /// The number that messages will carry.
        sid: u64,
        /// A subject, perhaps with wildcards.
        pattern: &'a str,
        /// A queue group, of which one member gets each message.
        queue_group: Option<&'a str>,
    },
    /// Ends a subscription, at once or after so many messages since it was opened.
    Unsubscribe {
        /// The subscription.
        sid: u64,
        /// The number of messages after which it ends by itself.
        after: Option<u64>,
    },
    /// Asks for a `PONG`.
    Ping,
    /// Answers a `PING`.
    Pong,
}

/// The JSON of `CONNECT`.
#[derive(Serialize)]
struct ConnectOptions<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

impl Command<'_> {
    /// Appends the command to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CommandError> {
        match *self {
            Self::Connect { name, tls, echo, credentials, info } => {
                let options = connect_options(name, tls, echo, credentials, info)?;
                // Serialising plain fields to memory has no failure to report; an empty object would be refused.
                let json = serde_json::to_string(&options).unwrap_or_default();
                line(out, &["CONNECT", &json])
            }
            Self::Publish { subject, reply_to, headers, payload } => publish(out, subject, reply_to, headers, payload),
            Self::Subscribe { sid, pattern, queue_group } => {
                subject::check_pattern(pattern)?;
                let sid = sid.to_string();
                match queue_group {
                    Some(group) => {
                        subject::check_literal(group)?;
                        line(out, &["SUB", pattern, group, &sid])
                    }
                    None => line(out, &["SUB", pattern, &sid]),
                }
            }
            Self::Unsubscribe { sid, after: None } => line(out, &["UNSUB", &sid.to_string()]),
            Self::Unsubscribe { sid, after: Some(after) } => {
                line(out, &["UNSUB", &sid.to_string(), &after.to_string()])
            }
            Self::Ping => line(out, &["PING"]),
            Self::Pong => line(out, &["PONG"]),
        }
    }
}

fn connect_options<'a>(
    name: &'a str,
    tls: bool,
    echo: bool,
    credentials: &'a Credentials,
    info: &ServerInfo,
) -> Result<ConnectOptions<'a>, CommandError> {
    let mut options = ConnectOptions {
        verbose: false,
        pedantic: false,
        tls_required: tls,
        name,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        // 1: the server may send `INFO` at any time.
        protocol: 1,
        echo,
        headers: true,
        no_responders: true,
        auth_token: None,
        user: None,
        pass: None,
        jwt: None,
        nkey: None,
        sig: None,
    };
    let sign =
        |key: &UserKey| info.nonce.as_deref().map(|nonce| key.sign_nonce(nonce)).ok_or(CommandErrorKind::NonceMissing);
    match credentials {
        Credentials::None => {}
        Credentials::Token(token) => options.auth_token = Some(token),
        Credentials::User { user, password } => {
            (options.user, options.pass) = (Some(user.as_str()), Some(password.as_str()));
        }
        Credentials::Nkey(key) => (options.nkey, options.sig) = (Some(key.public()), Some(sign(key)?)),
        Credentials::Jwt { jwt, key } => (options.jwt, options.sig) = (Some(jwt.as_str()), Some(sign(key)?)),
    }
    Ok(options)
}

fn publish(
    out: &mut Vec<u8>,
    subject: &str,
    reply_to: Option<&str>,
    headers: &Headers,
    payload: &[u8],
) -> Result<(), CommandError> {
    subject::check_literal(subject)?;
    if let Some(reply_to) = reply_to {
        subject::check_literal(reply_to)?;
    }
    let block = if headers.is_empty() { Vec::new() } else { headers.encode() };
    let block_len = block.len().to_string();
    let total_len = (block.len() + payload.len()).to_string();
    match (reply_to, block.is_empty()) {
        (None, true) => line(out, &["PUB", subject, &total_len])?,
        (Some(reply_to), true) => line(out, &["PUB", subject, reply_to, &total_len])?,
        (None, false) => line(out, &["HPUB", subject, &block_len, &total_len])?,
        (Some(reply_to), false) => line(out, &["HPUB", subject, reply_to, &block_len, &total_len])?,
    }
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn line(out: &mut Vec<u8>, words: &[&str]) -> Result<(), CommandError> {
    let len: usize = words.iter().map(|word| word.len() + 1).sum::<usize>() + 1;
    if len > CONTROL_LINE_MAX {
        return Err(CommandErrorKind::LineTooLong.into());
    }
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn encoded(command: &Command<'_>) -> String {
        let mut out = Vec::new();
        command.encode(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commands_look_as_the_protocol_has_them() {
        let none = Headers::new();
        let mut headers = Headers::new();
        headers.append("A", "b").unwrap();
        for (command, expected) in [
            (Command::Publish { subject: "a", reply_to: None, headers: &none, payload: b"hi" }, "PUB a 2\r\nhi\r\n"),
            (Command::Publish { subject: "a", reply_to: Some("r"), headers: &none, payload: b"" }, "PUB a r 0\r\n\r\n"),
            (
                Command::Publish { subject: "a", reply_to: Some("r"), headers: &headers, payload: b"hi" },
                "HPUB a r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n",
            ),
            (
                Command::Publish { subject: "a", reply_to: None, headers: &headers, payload: b"" },
                "HPUB a 18 18\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n",
            ),
            (Command::Subscribe { sid: 3, pattern: "a.>", queue_group: None }, "SUB a.> 3\r\n"),
            (Command::Subscribe { sid: 3, pattern: "a", queue_group: Some("q") }, "SUB a q 3\r\n"),
            (Command::Unsubscribe { sid: 3, after: None }, "UNSUB 3\r\n"),
            (Command::Unsubscribe { sid: 3, after: Some(9) }, "UNSUB 3 9\r\n"),
            (Command::Ping, "PING\r\n"),
            (Command::Pong, "PONG\r\n"),
        ] {
            assert_eq!(encoded(&command), expected);
        }
    }

    #[test]
    fn connect_says_what_this_client_can_and_who_it_is() {
        let key = UserKey::from_random(&[3; 32]);
        let info = ServerInfo { nonce: Some("abc".into()), ..ServerInfo::default() };
        let connect = |credentials: &Credentials, info: &ServerInfo| {
            let mut out = Vec::new();
            let command = Command::Connect { name: "n", tls: false, echo: true, credentials, info };
            command.encode(&mut out).map(|()| String::from_utf8(out).unwrap())
        };
        let plain = connect(&Credentials::None, &info).unwrap();
        for part in
            [r#""verbose":false"#, r#""headers":true"#, r#""no_responders":true"#, r#""name":"n""#, r#""lang":"rust""#]
        {
            assert!(plain.contains(part), "{plain}");
        }
        assert!(!plain.contains("sig") && !plain.contains("user") && !plain.contains("token"), "{plain}");
        let token = connect(&Credentials::Token("t\"\r\n".into()), &info).unwrap();
        assert!(token.contains(r#""auth_token":"t\"\r\n""#), "{token}");
        assert_eq!(token.matches('\n').count(), 1, "a credential cannot end the line: {token}");
        let nkey = connect(&Credentials::Nkey(key.clone()), &info).unwrap();
        assert!(nkey.contains(&format!(r#""nkey":"{}""#, key.public())), "{nkey}");
        assert!(nkey.contains(&format!(r#""sig":"{}""#, key.sign_nonce("abc"))), "{nkey}");
        let jwt = connect(&Credentials::Jwt { jwt: "j.w.t".into(), key: key.clone() }, &info).unwrap();
        assert!(jwt.contains(r#""jwt":"j.w.t""#) && !jwt.contains("nkey"), "{jwt}");
        let refused = connect(&Credentials::Nkey(key), &ServerInfo::default());
        assert_eq!(refused.map_err(|error| *error.kind()), Err(CommandErrorKind::NonceMissing));
    }

    #[test]
    fn a_line_the_server_would_refuse_is_not_written() {
        let mut out = Vec::new();
        let long = "x".repeat(2100);
        let none = Headers::new();
        let command = Command::Publish { subject: &long, reply_to: Some(&long), headers: &none, payload: b"" };
        assert_eq!(command.encode(&mut out).map_err(|error| *error.kind()), Err(CommandErrorKind::LineTooLong));
        let command = Command::Publish { subject: "a b", reply_to: None, headers: &none, payload: b"" };
        assert!(command.encode(&mut out).is_err());
        assert!(out.is_empty());
    }

    #[test]
    fn credentials_are_not_printed() {
        let shown = format!("{:?}", Credentials::User { user: "u".into(), password: "hunter2".into() });
        assert!(!shown.contains("hunter2"));
    }
}
