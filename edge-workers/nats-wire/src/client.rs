//! Requests: many at once over one inbox subscription.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::connection::{Connection, ConnectionError, Event, Options, State, UseError, UseErrorKind};
use crate::error::Error;
use crate::header::{HeaderErrorKind, Headers};
use crate::limits::{REPLIES_HELD_MAX, REQUESTS_IN_FLIGHT_MAX};
use crate::parser::Message;
use crate::server_error::{Operation, ServerError};
use crate::subject::{self, SubjectError};

/// A request that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestToken(u64);

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The responder's headers.
    pub headers: Headers,
    /// The responder's payload.
    pub payload: Vec<u8>,
}

/// Why a request has no reply. [`RequestErrorKind::surely_not_received`] tells whether it may have had an effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestErrorKind {
    /// The command was not taken: nothing was sent.
    #[error("{0}")]
    Refused(UseErrorKind),
    /// [`REQUESTS_IN_FLIGHT_MAX`] are waiting: nothing was sent.
    #[error("too many requests in flight")]
    TooManyInFlight,
    /// Nobody listens to the subject.
    #[error("no responders")]
    NoResponders,
    /// The credentials may not publish to the subject.
    #[error("no permission to ask")]
    Permissions,
    /// The credentials may not read the inbox: the request was delivered, its answer is out of reach.
    #[error("no permission to read the inbox")]
    InboxPermissions,
    /// The connection ended before the request was handed to the transport.
    #[error("the connection ended before the request was sent")]
    NotSent,
    /// The server refused the connection itself, and with it what had been written together with the credentials.
    #[error("the server refused the connection")]
    ConnectionRefused,
    /// The connection ended after the request was handed to the transport: it may have been received.
    #[error("the connection ended before the reply")]
    ReplyLost,
    /// The reply's headers cannot be read.
    #[error("the reply is malformed: {0}")]
    Malformed(HeaderErrorKind),
    /// The reply found no room among those that nobody takes.
    #[error("too many bytes of replies wait")]
    ReplyDropped,
    /// Never begun, already taken, or cancelled.
    #[error("no such request")]
    Unknown,
}

impl RequestErrorKind {
    /// True when no responder can have seen the request, so that it may be sent again without care.
    pub const fn surely_not_received(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::TooManyInFlight
                | Self::NoResponders
                | Self::Permissions
                | Self::NotSent
                | Self::ConnectionRefused
        )
    }
}

/// A request has no reply.
pub type RequestError = Error<RequestErrorKind>;

/// What received bytes meant to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// [`Client::take_reply`] has an outcome for this request.
    Settled(RequestToken),
    /// Everything that does not concern a request.
    Connection(Event),
}

#[derive(Debug)]
struct Pending {
    subject: String,
    /// Position in the outgoing stream where the request begins.
    starts_at: u64,
    outcome: Option<Result<Message, RequestErrorKind>>,
}

/// A [`Connection`] that also asks and collects answers.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    /// `_INBOX.<prefix>.`
    inbox: String,
    inbox_sid: Option<u64>,
    last_token: u64,
    requests: BTreeMap<u64, Pending>,
    reply_bytes: usize,
}

impl Client {
    /// A client whose answers come to `_INBOX.<inbox_prefix>.<n>`. Put at least 128 random bits into the prefix:
    /// who knows it and may publish to it can forge answers, and two clients must not share one. Where permissions allow
    /// `_INBOX.<name>.>` only, the prefix is `<name>.<random>`.
    pub fn new(options: Options, inbox_prefix: &str) -> Result<Self, SubjectError> {
        subject::check_inbox_prefix(inbox_prefix)?;
        Ok(Self {
            connection: Connection::new(options),
            inbox: format!("_INBOX.{inbox_prefix}."),
            inbox_sid: None,
            last_token: 0,
            requests: BTreeMap::new(),
            reply_bytes: 0,
        })
    }

    /// The connection below, to publish and subscribe.
    pub const fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection below, to look at.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// See [`Connection::transmit`].
    pub fn transmit(&mut self) -> Vec<u8> {
        self.connection.transmit()
    }

    /// Requests begun and neither taken nor cancelled.
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Writes a request. Allowed from [`Event::Greeted`] on, before the server has confirmed the credentials: should it
    /// refuse them, the request fails with the connection.
    pub fn begin_request(
        &mut self,
        subject: &str,
        headers: &Headers,
        payload: &[u8],
    ) -> Result<RequestToken, RequestError> {
        if self.requests.len() >= REQUESTS_IN_FLIGHT_MAX {
            return Err(RequestErrorKind::TooManyInFlight.into());
        }
        if self.inbox_sid.is_none() {
            let sid = self.connection.subscribe(&format!("{}*", self.inbox), None).map_err(refused)?;
            self.inbox_sid = Some(sid);
        }
        let (starts_at, _) = self.connection.stream_positions();
        let token = self.last_token.saturating_add(1);
        let reply_to = format!("{}{token}", self.inbox);
        self.connection.publish(subject, Some(&reply_to), headers, payload).map_err(refused)?;
        self.last_token = token;
        self.requests.insert(token, Pending { subject: subject.into(), starts_at, outcome: None });
        Ok(RequestToken(token))
    }

    /// The outcome of a request, once: `None` while it is open.
    pub fn take_reply(&mut self, token: RequestToken) -> Option<Result<Reply, RequestError>> {
        let Some(pending) = self.requests.get(&token.0) else {
            return Some(Err(RequestErrorKind::Unknown.into()));
        };
        pending.outcome.as_ref()?;
        let Pending { subject, outcome, .. } = self.requests.remove(&token.0)?;
        let message = match outcome? {
            Ok(message) => message,
            Err(kind) => return Some(Err(Error::with_detail(kind, subject))),
        };
        self.reply_bytes = self.reply_bytes.saturating_sub(size(&message));
        Some(match message.headers() {
            Ok(headers) => Ok(Reply { headers, payload: message.payload }),
            Err(error) => Err(Error::with_detail(RequestErrorKind::Malformed(*error.kind()), subject)),
        })
    }

    /// Forgets a request; its reply will be dropped. Says whether there was one.
    pub fn cancel(&mut self, token: RequestToken) -> bool {
        let Some(pending) = self.requests.remove(&token.0) else { return false };
        if let Some(Ok(message)) = pending.outcome {
            self.reply_bytes = self.reply_bytes.saturating_sub(size(&message));
        }
        true
    }

    /// Takes bytes that the transport read, see [`Connection::receive`].
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<ClientEvent> {
        let mut events = Vec::new();
        for event in self.connection.receive(bytes) {
            self.apply(event, &mut events);
        }
        events
    }

    /// The transport ended or failed: every open request has an outcome now.
    pub fn transport_ended(&mut self) -> Vec<ClientEvent> {
        let mut events = Vec::new();
        if let Some(event) = self.connection.transport_ended() {
            self.apply(event, &mut events);
        }
        events
    }

    /// See [`Connection::ping`].
    pub fn ping(&mut self) -> Result<(), ConnectionError> {
        let was_open = self.connection.state() != State::Closed;
        let result = self.connection.ping();
        if was_open && result.is_err() {
            self.connection_closed(&mut Vec::new());
        }
        result
    }

    fn apply(&mut self, event: Event, events: &mut Vec<ClientEvent>) {
        match event {
            Event::Message(message) if self.inbox_sid == Some(message.sid) => self.settle(message, events),
            Event::Refused(ServerError::Permissions { operation, ref subject }) => {
                self.permission_refused(operation, subject, events);
                events.push(ClientEvent::Connection(event));
            }
            Event::Closed(_) => {
                self.connection_closed(events);
                events.push(ClientEvent::Connection(event));
            }
            other => events.push(ClientEvent::Connection(other)),
        }
    }

    /// The first answer counts; further ones, and those to cancelled requests, are dropped.
    fn settle(&mut self, message: Message, events: &mut Vec<ClientEvent>) {
        let token = message.subject.strip_prefix(&self.inbox).and_then(|number| number.parse().ok());
        let Some(token) = token else { return };
        let Some(pending) = self.requests.get_mut(&token).filter(|pending| pending.outcome.is_none()) else { return };
        pending.outcome = Some(if message.is_no_responders() {
            Err(RequestErrorKind::NoResponders)
        } else if self.reply_bytes.saturating_add(size(&message)) > REPLIES_HELD_MAX {
            Err(RequestErrorKind::ReplyDropped)
        } else {
            self.reply_bytes += size(&message);
            Ok(message)
        });
        events.push(ClientEvent::Settled(RequestToken(token)));
    }

    /// The server names the subject and not the request: a permission holds for the connection, so it fails all of
    /// them alike.
    fn permission_refused(&mut self, operation: Operation, subject: &str, events: &mut Vec<ClientEvent>) {
        let inbox_pattern = format!("{}*", self.inbox);
        for (token, pending) in self.requests.iter_mut().filter(|(_, pending)| pending.outcome.is_none()) {
            pending.outcome = match operation {
                Operation::Publish if pending.subject == subject => Some(Err(RequestErrorKind::Permissions)),
                Operation::Subscribe if subject == inbox_pattern => Some(Err(RequestErrorKind::InboxPermissions)),
                Operation::Publish | Operation::Subscribe => continue,
            };
            events.push(ClientEvent::Settled(RequestToken(*token)));
        }
        if operation == Operation::Subscribe && subject == inbox_pattern {
            self.inbox_sid = None;
        }
    }

    fn connection_closed(&mut self, events: &mut Vec<ClientEvent>) {
        self.inbox_sid = None;
        let (_, transmitted) = self.connection.stream_positions();
        for (token, pending) in self.requests.iter_mut().filter(|(_, pending)| pending.outcome.is_none()) {
            let kind = if pending.starts_at >= transmitted {
                RequestErrorKind::NotSent
            } else if self.connection.refused_at_the_door() {
                RequestErrorKind::ConnectionRefused
            } else {
                RequestErrorKind::ReplyLost
            };
            pending.outcome = Some(Err(kind));
            events.push(ClientEvent::Settled(RequestToken(*token)));
        }
    }
}

fn refused(error: UseError) -> RequestError {
    let kind = RequestErrorKind::Refused(error.kind().clone());
    Error::with_detail(kind, error.to_string())
}

fn size(message: &Message) -> usize {
    message.header_block.len() + message.payload.len()
}
