//! One connection to NATS: a socket of the runtime under the protocol of `nats-wire`, shared by overlapping requests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bodega_storefront::platform::{LinkError, setting};
use futures::channel::oneshot;
use futures::future::{Either, select};
use nats_wire::{Client, ClientEvent, Credentials, Event, Headers, Options, RequestToken, State, UserKey};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use worker::wasm_bindgen_futures::spawn_local;
use worker::{Delay, SecureTransport, Socket};

use super::remaining;
use crate::clock::now_ms;
use crate::entropy;
use crate::settings::{Settings, nats};

/// Default port of NATS.
const NATS_PORT: u16 = 4222;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Random bytes of an inbox: who guesses it could forge answers.
const INBOX_RANDOM_BYTES: usize = 16;
/// Silence after which a request brings a ping along, so that a dead peer is told from a slow service.
const PING_AFTER_MS: i64 = 5_000;

/// A connection, open or on its way, or over.
pub(super) struct Connection {
    client: RefCell<Client>,
    socket: RefCell<Socket>,
    /// Those who wait for a reply.
    asking: RefCell<BTreeMap<RequestToken, oneshot::Sender<()>>>,
    /// Those who wait for the server's first word.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
    writing: Cell<bool>,
    received_ms: Cell<i64>,
    pinged_ms: Cell<Option<i64>>,
}

impl Connection {
    /// Starts to connect. What goes wrong on the way is said by [`Self::greeted`].
    pub(super) fn open(settings: &Settings) -> Result<Rc<Self>, String> {
        let url = settings.get(nats::URL).ok_or("nats_url is not set")?;
        let (host, port, tls) = parse_url(&url).ok_or("nats_url is not nats://HOST[:PORT] or tls://HOST[:PORT]")?;
        let options = Options {
            name: settings.get(setting::EDGE_ID).unwrap_or_else(|| "edge".into()),
            credentials: credentials(settings)?,
            transport_is_tls: tls,
            echo: false,
            ..Options::default()
        };
        let mut random = [0; INBOX_RANDOM_BYTES];
        entropy::fill(&mut random);
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let own = settings.get(nats::INBOX_PREFIX).or_else(|| settings.get(setting::EDGE_ID));
        let inbox = own.map_or_else(|| random.clone(), |own| format!("{own}.{random}"));
        let client = Client::new(options, &inbox).map_err(|error| format!("nats_inbox_prefix: {error}"))?;
        let transport = if tls { SecureTransport::On } else { SecureTransport::Off };
        let socket = Socket::builder()
            .secure_transport(transport)
            .connect(host, port)
            .map_err(|error| format!("{url}: {error}"))?;
        let connection = Rc::new(Self {
            client: RefCell::new(client),
            socket: RefCell::new(socket),
            asking: RefCell::default(),
            waiting: RefCell::default(),
            writing: Cell::new(false),
            received_ms: Cell::new(now_ms()),
            pinged_ms: Cell::new(None),
        });
        spawn_local(Rc::clone(&connection).read());
        Ok(connection)
    }

    /// Whether it ended; the next request opens another one.
    pub(super) fn is_over(&self) -> bool {
        self.client.borrow().connection().state() == State::Closed
    }

    /// Waits until requests can be written.
    pub(super) async fn greeted(self: &Rc<Self>, by_ms: i64) -> Result<(), String> {
        loop {
            match self.client.borrow().connection().state() {
                State::AwaitingInfo => {}
                State::AwaitingPong | State::Ready => return Ok(()),
                State::Closed => return Err(self.why_over()),
            }
            let (tell, told) = oneshot::channel();
            self.waiting.borrow_mut().push(tell);
            if let Either::Right(_) = select(told, std::pin::pin!(Delay::from(remaining(by_ms)))).await {
                self.end();
                return Err("NATS did not introduce itself in time".into());
            }
        }
    }

    /// Asks and waits.
    pub(super) async fn request(
        self: &Rc<Self>,
        subject: &str,
        headers: &Headers,
        payload: &[u8],
        deadline_ms: i64,
    ) -> Result<Vec<u8>, LinkError> {
        let begun_ms = now_ms();
        let (tell, told) = oneshot::channel();
        let token = self
            .client
            .borrow_mut()
            .begin_request(subject, headers, payload)
            .map_err(|error| LinkError::Unavailable(error.to_string()))?;
        self.asking.borrow_mut().insert(token, tell);
        if begun_ms.saturating_sub(self.received_ms.get()) > PING_AFTER_MS {
            self.ping();
        }
        self.flush();
        let _ = select(told, std::pin::pin!(Delay::from(remaining(deadline_ms)))).await;
        self.asking.borrow_mut().remove(&token);
        let outcome = self.client.borrow_mut().take_reply(token);
        match outcome {
            Some(Ok(reply)) => Ok(reply.payload),
            Some(Err(error)) if error.kind().surely_not_received() => {
                Err(LinkError::Unavailable(format!("{error}; {}", self.why_over())))
            }
            Some(Err(error)) => Err(LinkError::Unknown(format!("{error}; {}", self.why_over()))),
            None => {
                self.client.borrow_mut().cancel(token);
                self.doubt(begun_ms);
                Err(LinkError::Unknown(format!("{subject}: no answer before the deadline")))
            }
        }
    }

    /// A request got no answer: when a ping went unanswered as long, nobody is there any more.
    fn doubt(self: &Rc<Self>, since_ms: i64) {
        if self.received_ms.get() >= since_ms {
            return;
        }
        if self.pinged_ms.get().is_some_and(|pinged_ms| pinged_ms > self.received_ms.get()) {
            self.end();
        } else {
            self.ping();
            self.flush();
        }
    }

    /// Asks for a sign of life; too many without an answer end the connection.
    fn ping(self: &Rc<Self>) {
        if self.client.borrow().connection().state() != State::Ready {
            return;
        }
        self.pinged_ms.set(Some(now_ms()));
        let pinged = self.client.borrow_mut().ping();
        if pinged.is_err() {
            self.end();
        }
    }

    /// Reads until the end; the only reader.
    async fn read(self: Rc<Self>) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            let result =
                poll_fn(|context| Pin::new(&mut *self.socket.borrow_mut()).poll_read(context, &mut read)).await;
            if result.is_err() || read.filled().is_empty() {
                return self.end();
            }
            self.received_ms.set(now_ms());
            let events = self.client.borrow_mut().receive(read.filled());
            self.tell(&events);
            if self.is_over() {
                return self.end();
            }
            self.flush();
        }
    }

    /// Writes what waits, unless somebody is at it already.
    fn flush(self: &Rc<Self>) {
        if self.writing.get() || !self.client.borrow().connection().has_pending() {
            return;
        }
        self.writing.set(true);
        let connection = Rc::clone(self);
        // A task of its own: an asker that gives up must not leave half a command behind.
        spawn_local(async move {
            loop {
                let bytes = connection.client.borrow_mut().transmit();
                if bytes.is_empty() {
                    break;
                }
                if !connection.write(&bytes).await {
                    connection.end();
                    break;
                }
            }
            connection.writing.set(false);
        });
    }

    async fn write(&self, bytes: &[u8]) -> bool {
        let mut left = bytes;
        while !left.is_empty() {
            let written = poll_fn(|context| Pin::new(&mut *self.socket.borrow_mut()).poll_write(context, left)).await;
            match written {
                Ok(count) if count > 0 => left = left.get(count..).unwrap_or_default(),
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    fn tell(&self, events: &[ClientEvent]) {
        for event in events {
            match event {
                ClientEvent::Settled(token) => {
                    if let Some(tell) = self.asking.borrow_mut().remove(token) {
                        // The asker may have given up in this moment.
                        let _ = tell.send(());
                    }
                }
                ClientEvent::Connection(Event::Greeted | Event::Closed(_)) => {
                    for tell in self.waiting.borrow_mut().drain(..) {
                        let _ = tell.send(());
                    }
                }
                ClientEvent::Connection(_) => {}
            }
        }
    }

    /// Ends the connection: all who wait are told, and the socket is closed.
    fn end(self: &Rc<Self>) {
        let events = self.client.borrow_mut().transport_ended();
        self.tell(&events);
        // Whoever still waits finds the outcome in the client.
        let left = std::mem::take(&mut *self.asking.borrow_mut());
        for tell in left.into_values().chain(self.waiting.borrow_mut().drain(..)) {
            let _ = tell.send(());
        }
        let connection = Rc::clone(self);
        spawn_local(async move {
            let closed = poll_fn(|context| Pin::new(&mut *connection.socket.borrow_mut()).poll_shutdown(context));
            // It may be closed already; there is nobody left to tell.
            let _ = closed.await;
        });
    }

    fn why_over(&self) -> String {
        let client = self.client.borrow();
        client.connection().error().map_or_else(|| "the connection is open".into(), ToString::to_string)
    }
}

/// `nats://host:port`, or `tls://` with TLS from the first byte (the server's `handshake_first`).
fn parse_url(url: &str) -> Option<(&str, u16, bool)> {
    let (rest, tls) = match url.split_once("://") {
        Some(("nats", rest)) => (rest, false),
        Some(("tls", rest)) => (rest, true),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (rest, NATS_PORT),
    };
    (!host.is_empty() && !host.contains(['@', '/'])).then_some((host, port, tls))
}

fn credentials(settings: &Settings) -> Result<Credentials, String> {
    if let Some(seed) = settings.get(nats::NKEY_SEED) {
        let key = UserKey::from_seed(&seed).map_err(|error| format!("nats_nkey_seed: {error}"))?;
        return Ok(match settings.get(nats::JWT) {
            Some(jwt) => Credentials::Jwt { jwt, key },
            None => Credentials::Nkey(key),
        });
    }
    if let Some(user) = settings.get(nats::USER) {
        return Ok(Credentials::User { user, password: settings.get(nats::PASSWORD).unwrap_or_default() });
    }
    Ok(settings.get(nats::TOKEN).map_or(Credentials::None, Credentials::Token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_host_port_and_tls() {
        assert_eq!(parse_url("nats://127.0.0.1:4333"), Some(("127.0.0.1", 4333, false)));
        assert_eq!(parse_url("tls://bus.example/"), Some(("bus.example", NATS_PORT, true)));
        for wrong in ["", "127.0.0.1:4222", "http://a", "nats://", "nats://a:x", "nats://a:70000", "nats://u@a"] {
            assert_eq!(parse_url(wrong), None, "{wrong}");
        }
    }
}
