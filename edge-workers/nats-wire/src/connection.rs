//! One connection: the handshake, subscriptions, the server's pings and refusals.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::command::{Command, CommandErrorKind, Credentials};
use crate::error::Error;
use crate::header::Headers;
use crate::limits::{PENDING_MAX, PINGS_OUTSTANDING_MAX, PONG_RESERVE, RECEIVED_MESSAGE_MAX, SUBSCRIPTIONS_MAX};
use crate::parser::{Message, ParseErrorKind, Parser, ServerInfo, ServerOp};
use crate::server_error::ServerError;

/// What a connection needs to know before its first byte.
#[derive(Debug, Clone)]
pub struct Options {
    /// A name for the server's monitoring.
    pub name: String,
    /// Who is there.
    pub credentials: Credentials,
    /// Whether the bytes travel over TLS. When they do not and the server wants TLS, the connection closes with
    /// [`ConnectionErrorKind::TlsRequired`] and no credential is sent.
    pub transport_is_tls: bool,
    /// Whether messages published here come back to own subscriptions.
    pub echo: bool,
    /// Largest message accepted from the server, in bytes with its headers.
    pub received_message_max: usize,
    /// Most bytes that may wait for [`Connection::transmit`].
    pub pending_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "nats-wire".into(),
            credentials: Credentials::None,
            transport_is_tls: false,
            echo: true,
            received_message_max: RECEIVED_MESSAGE_MAX,
            pending_max: PENDING_MAX,
        }
    }
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The server speaks first.
    AwaitingInfo,
    /// `CONNECT` and `PING` are written; commands may follow them at once and save a round trip.
    AwaitingPong,
    /// The server has accepted the credentials.
    Ready,
    /// Over. A new connection starts with a new value.
    Closed,
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionErrorKind {
    /// The stream cannot be read.
    #[error("{0}")]
    Parse(ParseErrorKind),
    /// The server said why it closes.
    #[error("{0}")]
    Server(ServerError),
    /// The server wants TLS and the transport is none.
    #[error("the server wants TLS")]
    TlsRequired,
    /// The server passes no headers on, and without them nobody says that a request has no responder.
    #[error("the server does not support headers")]
    HeadersUnsupported,
    /// `CONNECT` could not be written.
    #[error("{0}")]
    Connect(CommandErrorKind),
    /// Something else than `INFO` came first.
    #[error("the server did not introduce itself")]
    InfoMissing,
    /// The server asks for more answers than it reads.
    #[error("the server does not read")]
    Overrun,
    /// [`PINGS_OUTSTANDING_MAX`] own pings are without an answer.
    #[error("the server does not answer")]
    Stale,
    /// The transport ended.
    #[error("the transport ended")]
    TransportEnded,
}

/// A connection is over.
pub type ConnectionError = Error<ConnectionErrorKind>;

/// Why a command was not taken. The connection goes on as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UseErrorKind {
    /// Before the server's `INFO` nothing can be sent.
    #[error("not connected yet")]
    NotConnected,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
    /// Headers and payload exceed what the server takes.
    #[error("the message exceeds {max} bytes")]
    PayloadTooLarge {
        /// The server's `max_payload`.
        max: usize,
    },
    /// What was to be sent is malformed.
    #[error("{0}")]
    Command(CommandErrorKind),
    /// Too much waits to be written already.
    #[error("too many bytes wait to be written")]
    PendingFull,
    /// [`SUBSCRIPTIONS_MAX`] are open.
    #[error("too many subscriptions")]
    TooManySubscriptions,
    /// No such subscription.
    #[error("unknown subscription")]
    UnknownSubscription,
}

/// A command was not taken.
pub type UseError = Error<UseErrorKind>;

/// What received bytes meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `INFO` arrived and `CONNECT` is written: from here on commands are taken.
    Greeted,
    /// The server has accepted the credentials.
    Ready,
    /// A later `INFO`: see [`Connection::info`].
    InfoChanged,
    /// The server is about to go: open another connection and let this one run out.
    LameDuck,
    /// A message for an open subscription.
    Message(Message),
    /// The answer to an own [`Connection::ping`].
    Pong,
    /// The server refused one command and keeps the connection.
    Refused(ServerError),
    /// The connection is over; nothing comes after this.
    Closed(ConnectionError),
}

#[derive(Debug)]
struct Subscription {
    delivered: u64,
    /// The number of messages after which the server ends it.
    ends_after: Option<u64>,
}

/// A connection without a socket: hand it what was read, write what it hands out.
#[derive(Debug)]
pub struct Connection {
    options: Options,
    parser: Parser,
    state: State,
    info: Box<ServerInfo>,
    pending: Vec<u8>,
    /// Bytes handed out by [`Self::transmit`] so far.
    transmitted: u64,
    subscriptions: BTreeMap<u64, Subscription>,
    last_sid: u64,
    pings_outstanding: u32,
    error: Option<ConnectionError>,
    was_ready: bool,
}

impl Connection {
    /// A connection that waits for the server's first word.
    pub fn new(options: Options) -> Self {
        Self {
            parser: Parser::new(options.received_message_max),
            options,
            state: State::AwaitingInfo,
            info: Box::default(),
            pending: Vec::new(),
            transmitted: 0,
            subscriptions: BTreeMap::new(),
            last_sid: 0,
            pings_outstanding: 0,
            error: None,
            was_ready: false,
        }
    }

    /// Where the connection stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What the server said last about itself; empty before [`Event::Greeted`].
    pub const fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Why the connection is over, once it is.
    pub const fn error(&self) -> Option<&ConnectionError> {
        self.error.as_ref()
    }

    /// Takes bytes that the transport read, in pieces of any size, and says what they meant. Answers the server needs
    /// (`CONNECT`, `PONG`) are then waiting in [`Self::transmit`].
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        if self.state == State::Closed {
            return events;
        }
        self.parser.push(bytes);
        while self.state != State::Closed {
            match self.parser.next_op() {
                Ok(Some(op)) => self.apply(op, &mut events),
                Ok(None) => break,
                Err(error) => {
                    self.close(error.map(ConnectionErrorKind::Parse), &mut events);
                }
            }
        }
        events
    }

    /// The transport ended or failed. Says so once.
    pub fn transport_ended(&mut self) -> Option<Event> {
        let mut events = Vec::new();
        if self.state != State::Closed {
            self.close(ConnectionErrorKind::TransportEnded.into(), &mut events);
        }
        events.pop()
    }

    /// All bytes that wait to be written, in order. The caller writes them all before it calls this again.
    pub fn transmit(&mut self) -> Vec<u8> {
        self.transmitted = self.transmitted.saturating_add(self.pending.len() as u64);
        core::mem::take(&mut self.pending)
    }

    /// Whether anything waits to be written.
    pub const fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Publishes a message.
    pub fn publish(
        &mut self,
        subject: &str,
        reply_to: Option<&str>,
        headers: &Headers,
        payload: &[u8],
    ) -> Result<(), UseError> {
        let total = payload.len().saturating_add(if headers.is_empty() { 0 } else { headers.encode().len() });
        // 0: the server did not say, so its own check decides.
        if self.is_open() && self.info.max_payload > 0 && total > self.info.max_payload {
            let kind = UseErrorKind::PayloadTooLarge { max: self.info.max_payload };
            return Err(Error::with_detail(kind, total.to_string()));
        }
        self.send(&Command::Publish { subject, reply_to, headers, payload })
    }

    /// Opens a subscription and returns its number, which every message for it carries.
    pub fn subscribe(&mut self, pattern: &str, queue_group: Option<&str>) -> Result<u64, UseError> {
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(UseErrorKind::TooManySubscriptions.into());
        }
        let sid = self.last_sid.saturating_add(1);
        self.send(&Command::Subscribe { sid, pattern, queue_group })?;
        self.last_sid = sid;
        self.subscriptions.insert(sid, Subscription { delivered: 0, ends_after: None });
        Ok(sid)
    }

    /// Ends a subscription: at once, or after `after` messages since it was opened. Messages still on their way to an
    /// ended subscription are dropped.
    pub fn unsubscribe(&mut self, sid: u64, after: Option<u64>) -> Result<(), UseError> {
        let Some(subscription) = self.subscriptions.get(&sid) else {
            return Err(UseErrorKind::UnknownSubscription.into());
        };
        let over = after.is_none_or(|after| subscription.delivered >= after);
        // Zero would mean "no limit" to the server.
        let on_wire = if over { None } else { after };
        self.send(&Command::Unsubscribe { sid, after: on_wire })?;
        if over {
            self.subscriptions.remove(&sid);
        } else if let Some(subscription) = self.subscriptions.get_mut(&sid) {
            subscription.ends_after = after;
        }
        Ok(())
    }

    /// Asks the server for a sign of life. The third in a row without an answer closes the connection.
    pub fn ping(&mut self) -> Result<(), ConnectionError> {
        if self.state != State::Closed && self.pings_outstanding >= PINGS_OUTSTANDING_MAX {
            self.close(ConnectionErrorKind::Stale.into(), &mut Vec::new());
        }
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        // Before `INFO` nothing can be asked, and a full buffer will tell for itself.
        if self.send(&Command::Ping).is_ok() {
            self.pings_outstanding += 1;
        }
        Ok(())
    }

    /// The position in the outgoing stream behind the last command, and how much of the stream was handed out.
    pub(crate) fn stream_positions(&self) -> (u64, u64) {
        (self.transmitted.saturating_add(self.pending.len() as u64), self.transmitted)
    }

    /// Whether the server refused the connection while it looked at `CONNECT`: it then reads nothing of what follows.
    /// Other ends before the `PONG` leave that open, for a `PONG` may be lost.
    pub(crate) fn refused_at_the_door(&self) -> bool {
        let refused = self.error.as_ref().is_some_and(|error| match error.kind() {
            ConnectionErrorKind::Server(ServerError::Authorization(text)) => {
                // Not the expiry or revocation of credentials that had been accepted.
                text.eq_ignore_ascii_case("authorization violation")
            }
            ConnectionErrorKind::Server(
                ServerError::AuthenticationTimeout | ServerError::MaximumConnections(_) | ServerError::TlsRequired,
            ) => true,
            _ => false,
        });
        refused && !self.was_ready
    }

    const fn is_open(&self) -> bool {
        matches!(self.state, State::AwaitingPong | State::Ready)
    }

    fn send(&mut self, command: &Command<'_>) -> Result<(), UseError> {
        match self.state {
            State::AwaitingInfo => return Err(UseErrorKind::NotConnected.into()),
            State::Closed => return Err(UseErrorKind::Closed.into()),
            State::AwaitingPong | State::Ready => {}
        }
        let before = self.pending.len();
        if let Err(error) = command.encode(&mut self.pending) {
            self.pending.truncate(before);
            return Err(error.map(UseErrorKind::Command));
        }
        if self.pending.len() > self.options.pending_max {
            self.pending.truncate(before);
            return Err(UseErrorKind::PendingFull.into());
        }
        Ok(())
    }

    fn apply(&mut self, op: ServerOp, events: &mut Vec<Event>) {
        if self.state == State::AwaitingInfo && !matches!(op, ServerOp::Info(_) | ServerOp::Err(_)) {
            return self.close(ConnectionErrorKind::InfoMissing.into(), events);
        }
        match op {
            ServerOp::Info(info) => self.apply_info(info, events),
            ServerOp::Message(message) => self.apply_message(message, events),
            ServerOp::Ping => {
                // The reserve keeps a full buffer of own commands from silencing this answer.
                if self.pending.len() > self.options.pending_max.saturating_add(PONG_RESERVE) {
                    return self.close(ConnectionErrorKind::Overrun.into(), events);
                }
                self.pending.extend_from_slice(b"PONG\r\n");
            }
            ServerOp::Pong if self.state == State::AwaitingPong => {
                self.state = State::Ready;
                self.was_ready = true;
                events.push(Event::Ready);
            }
            ServerOp::Pong => {
                self.pings_outstanding = self.pings_outstanding.saturating_sub(1);
                events.push(Event::Pong);
            }
            ServerOp::Ok => {}
            ServerOp::Err(error) if error.keeps_connection() && self.state != State::AwaitingInfo => {
                events.push(Event::Refused(error));
            }
            ServerOp::Err(error) => self.close(ConnectionErrorKind::Server(error).into(), events),
        }
    }

    fn apply_info(&mut self, info: Box<ServerInfo>, events: &mut Vec<Event>) {
        if self.state != State::AwaitingInfo {
            let leaving = info.ldm && !self.info.ldm;
            self.info = info;
            events.push(if leaving { Event::LameDuck } else { Event::InfoChanged });
            return;
        }
        if info.tls_required && !self.options.transport_is_tls {
            return self.close(ConnectionErrorKind::TlsRequired.into(), events);
        }
        if !info.headers {
            return self.close(ConnectionErrorKind::HeadersUnsupported.into(), events);
        }
        self.info = info;
        let connect = Command::Connect {
            name: &self.options.name,
            tls: self.options.transport_is_tls,
            echo: self.options.echo,
            credentials: &self.options.credentials,
            info: &self.info,
        };
        if let Err(error) = connect.encode(&mut self.pending) {
            return self.close(ConnectionErrorKind::Connect(*error.kind()).into(), events);
        }
        self.pending.extend_from_slice(b"PING\r\n");
        self.state = State::AwaitingPong;
        events.push(Event::Greeted);
    }

    fn apply_message(&mut self, message: Message, events: &mut Vec<Event>) {
        let Some(subscription) = self.subscriptions.get_mut(&message.sid) else { return };
        subscription.delivered = subscription.delivered.saturating_add(1);
        if subscription.ends_after.is_some_and(|after| subscription.delivered >= after) {
            self.subscriptions.remove(&message.sid);
        }
        events.push(Event::Message(message));
    }

    /// Nothing is written any more: what was not handed out never reaches the server.
    fn close(&mut self, error: ConnectionError, events: &mut Vec<Event>) {
        self.state = State::Closed;
        self.pending = Vec::new();
        self.subscriptions.clear();
        self.error = Some(error.clone());
        events.push(Event::Closed(error));
    }
}
