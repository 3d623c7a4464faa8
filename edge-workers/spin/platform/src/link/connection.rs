//! One connection to NATS: a WASI TCP socket under the protocol of `nats-wire`.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nats_wire::{Client, Credentials, Options, Reply, RequestError, RequestToken, State, UserKey};
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::sockets::ip_name_lookup::resolve_addresses;
use spin_sdk::wasip3::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket,
};
use spin_sdk::wasip3::wit_stream;
use spin_sdk::wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

use crate::platform::random;
use crate::settings::{NATS_INBOX_PREFIX, NATS_NKEY_SEED, NATS_PASSWORD, NATS_TOKEN, NATS_USER, Settings};

/// Default port of NATS.
const NATS_PORT: u16 = 4222;
/// Bytes asked for at once.
const READ_BYTES: usize = 16 * 1024;
/// Random bytes of an inbox: who guesses it could forge answers.
const INBOX_RANDOM_BYTES: usize = 16;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the address is not nats://HOST[:PORT]")]
    Url,
    #[error("the name was not found: {0}")]
    Name(String),
    #[error("{0}")]
    Socket(String),
    #[error("the credentials cannot be used: {0}")]
    Credentials(String),
    #[error("NATS refused: {0}")]
    Refused(String),
}

impl From<ErrorCode> for OpenError {
    fn from(code: ErrorCode) -> Self {
        Self::Socket(code.to_string())
    }
}

/// A connection that NATS has accepted.
pub(super) struct Connection {
    pub(super) client: Client,
    outgoing: StreamWriter<u8>,
    incoming: StreamReader<u8>,
    resting_since_ns: u64,
    // The host ends the streams when these go away.
    _sent: FutureReader<Result<(), ErrorCode>>,
    _received: FutureReader<Result<(), ErrorCode>>,
    _socket: TcpSocket,
}

/// The monotonic clock, nanoseconds.
pub(super) fn monotonic_ns() -> u64 {
    monotonic_clock::now()
}

impl Connection {
    /// Connects, authenticates, and waits until NATS has agreed.
    pub(super) async fn open(url: &str, settings: &Settings) -> Result<Self, OpenError> {
        let socket = connect(url).await?;
        let (outgoing, outgoing_reader) = wit_stream::new();
        let sent = socket.send(outgoing_reader);
        let (incoming, received) = socket.receive();
        let mut connection = Self {
            client: client(settings)?,
            outgoing,
            incoming,
            resting_since_ns: monotonic_ns(),
            _sent: sent,
            _received: received,
            _socket: socket,
        };
        while connection.client.connection().state() != State::Ready {
            connection.read().await;
            connection.flush().await;
            if let Some(error) = connection.client.connection().error() {
                return Err(OpenError::Refused(error.to_string()));
            }
        }
        Ok(connection)
    }

    /// Writes what waits. False: the connection took not a byte of it, so nothing has reached NATS.
    pub(super) async fn flush_first(&mut self) -> bool {
        let bytes = self.client.transmit();
        let total = bytes.len();
        self.outgoing.write_all(bytes).await.len() < total || total == 0
    }

    async fn flush(&mut self) {
        if self.client.connection().has_pending() && !self.flush_first().await {
            self.client.transport_ended();
        }
    }

    /// Waits for bytes and takes them.
    async fn read(&mut self) {
        let (outcome, bytes) = self.incoming.read(Vec::with_capacity(READ_BYTES)).await;
        self.took(outcome, &bytes);
    }

    fn took(&mut self, outcome: StreamResult, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.client.receive(bytes);
        }
        if outcome == StreamResult::Dropped {
            self.client.transport_ended();
        }
    }

    /// Waits for the outcome of a request.
    pub(super) async fn reply(&mut self, token: RequestToken) -> Result<Reply, RequestError> {
        loop {
            if let Some(outcome) = self.client.take_reply(token) {
                return outcome;
            }
            self.read().await;
            self.flush().await;
        }
    }

    /// Marks the begin of a rest.
    pub(super) fn rest(&mut self) {
        self.resting_since_ns = monotonic_ns();
    }

    /// How long the connection has rested.
    pub(super) fn rested(&self) -> Duration {
        Duration::from_nanos(monotonic_ns().saturating_sub(self.resting_since_ns))
    }

    /// Takes what arrived meanwhile, without waiting: a ping to answer, or the end.
    pub(super) async fn still_open(&mut self) -> bool {
        let polled = {
            let mut reading = pin!(self.incoming.read(Vec::with_capacity(READ_BYTES)));
            match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => reading.as_mut().cancel(),
            }
        };
        let (outcome, bytes) = polled;
        self.took(outcome, &bytes);
        self.flush().await;
        self.client.connection().state() == State::Ready
    }
}

fn client(settings: &Settings) -> Result<Client, OpenError> {
    let credentials = if let Some(seed) = settings.get(NATS_NKEY_SEED) {
        let key = UserKey::from_seed(seed).map_err(|error| OpenError::Credentials(error.to_string()))?;
        Credentials::Nkey(key)
    } else if let Some(token) = settings.get(NATS_TOKEN) {
        Credentials::Token(token.to_owned())
    } else if let Some(user) = settings.get(NATS_USER) {
        let password = settings.get(NATS_PASSWORD).unwrap_or_default().to_owned();
        Credentials::User { user: user.to_owned(), password }
    } else {
        Credentials::None
    };
    let mut bytes = [0; INBOX_RANDOM_BYTES];
    random(&mut bytes);
    let unguessable: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let prefix = match settings.get(NATS_INBOX_PREFIX) {
        Some(prefix) => format!("{prefix}.{unguessable}"),
        None => unguessable,
    };
    let options = Options { name: "bodega-edge".into(), credentials, ..Options::default() };
    Client::new(options, &prefix).map_err(|error| OpenError::Credentials(error.to_string()))
}

async fn connect(url: &str) -> Result<TcpSocket, OpenError> {
    let (host, port) = host_and_port(url).ok_or(OpenError::Url)?;
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => resolve(host).await?,
    };
    let mut failure = OpenError::Name("no address".into());
    for address in addresses {
        let family = if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
        let socket = TcpSocket::create(family)?;
        match socket.connect(socket_address(address, port)).await {
            Ok(()) => return Ok(socket),
            Err(code) => failure = code.into(),
        }
    }
    Err(failure)
}

async fn resolve(name: &str) -> Result<Vec<IpAddr>, OpenError> {
    let found = resolve_addresses(name.to_owned()).await.map_err(|error| OpenError::Name(error.to_string()))?;
    Ok(found
        .into_iter()
        .map(|address| match address {
            IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::from([a, b, c, d, e, f, g, h]),
        })
        .collect())
}

fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let authority = url.strip_prefix("nats://").unwrap_or(url).trim_end_matches('/');
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = rest.strip_prefix(':').map_or(Some(NATS_PORT), |port| port.parse().ok())?;
        return Some((host, port));
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None if authority.is_empty() => None,
        None => Some((authority, NATS_PORT)),
    }
}

fn socket_address(address: IpAddr, port: u16) -> IpSocketAddress {
    match address {
        IpAddr::V4(v4) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: v4.octets().into() }),
        IpAddr::V6(v6) => {
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address: v6.segments().into(), scope_id: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_or_a_number_with_or_without_a_port() {
        assert_eq!(host_and_port("nats://127.0.0.1:4333"), Some(("127.0.0.1", 4333)));
        assert_eq!(host_and_port("nats.shop.example"), Some(("nats.shop.example", 4222)));
        assert_eq!(host_and_port("nats://[::1]:4333/"), Some(("::1", 4333)));
        assert_eq!(host_and_port("nats://[::1]"), Some(("::1", 4222)));
        assert_eq!(host_and_port("nats://"), None);
        assert_eq!(host_and_port("h:x"), None);
    }
}
