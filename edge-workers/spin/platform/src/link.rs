//! The way to the core: NATS over a WASI socket.
//!
//! No task outlives the exported call that spawned it, so nobody reads a connection between requests. Connections
//! therefore rest in a static, are taken out by one request at a time, and are looked at before they are used again.

use std::cell::RefCell;
use std::time::Duration;

use bodega_storefront::platform::{CoreRequest, LinkError};
use nats_wire::{Headers, RequestErrorKind};

use crate::settings::{NATS_URL, Settings};
use crate::time_limit::within;

mod connection;

use connection::Connection;

/// Connections that rest in an instance: it serves one request at a time, deferred work may overlap.
const IDLE_MAX: usize = 2;
/// Resting longer than this, a connection is not trusted: NATS pings every two minutes, and nobody answers for us.
const IDLE_S_MAX: u64 = 60;
/// Connecting may take this long at most, whatever time is left: a core that is away is said to be away soon.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Shortest time that is worth sending a request for.
const REMAINING_MIN: Duration = Duration::from_millis(5);

thread_local! {
    static IDLE: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// Asks and waits, see [`bodega_storefront::platform::Platform::request`].
pub(crate) async fn request(settings: &Settings, request: CoreRequest<'_>, now_ms: i64) -> Result<Vec<u8>, LinkError> {
    let remaining = u64::try_from(request.deadline_ms.saturating_sub(now_ms)).unwrap_or(0);
    let begun = connection::monotonic_ns();
    let left = || {
        let spent = Duration::from_nanos(connection::monotonic_ns().saturating_sub(begun));
        Duration::from_millis(remaining).saturating_sub(spent)
    };
    let mut headers = Headers::new();
    for (name, value) in request.headers {
        headers.append(name, value).map_err(|error| LinkError::Unavailable(format!("header {name}: {error}")))?;
    }

    // Two attempts at most: a resting connection may turn out to be dead, a fresh one is the last word.
    loop {
        if left() < REMAINING_MIN {
            return Err(LinkError::Unavailable("no time was left to ask".into()));
        }
        let (mut connection, fresh) = match take_idle().await {
            Some(connection) => (connection, false),
            None => (open(settings, left().min(CONNECT_MAX)).await?, true),
        };
        let token = match connection.client.begin_request(request.subject, &headers, request.payload) {
            Ok(token) => token,
            Err(error) => return Err(LinkError::Unavailable(error.to_string())),
        };
        if !connection.flush_first().await {
            if fresh {
                return Err(LinkError::Unavailable("the new connection to NATS was closed".into()));
            }
            // Not a byte of the request was taken: it may be sent again.
            continue;
        }
        let Some(outcome) = within(left(), connection.reply(token)).await else {
            return Err(LinkError::Unknown("no answer before the deadline".into()));
        };
        return match outcome {
            Ok(reply) => {
                rest(connection);
                Ok(reply.payload)
            }
            Err(error) => {
                let text = format!("{}: {error}", request.subject);
                let kind = error.kind();
                if matches!(kind, RequestErrorKind::NoResponders) {
                    rest(connection);
                }
                Err(if kind.surely_not_received() { LinkError::Unavailable(text) } else { LinkError::Unknown(text) })
            }
        };
    }
}

async fn open(settings: &Settings, limit: Duration) -> Result<Connection, LinkError> {
    let url = settings.get(NATS_URL).ok_or_else(|| LinkError::Unavailable("nats_url is not set".into()))?;
    match within(limit, Connection::open(url, settings)).await {
        Some(Ok(connection)) => Ok(connection),
        Some(Err(error)) => Err(LinkError::Unavailable(format!("{url}: {error}"))),
        None => Err(LinkError::Unavailable(format!("{url}: no connection in time"))),
    }
}

/// A resting connection that is still good.
async fn take_idle() -> Option<Connection> {
    loop {
        let mut connection = IDLE.with_borrow_mut(Vec::pop)?;
        if connection.rested() < Duration::from_secs(IDLE_S_MAX) && connection.still_open().await {
            return Some(connection);
        }
    }
}

fn rest(mut connection: Connection) {
    connection.rest();
    IDLE.with_borrow_mut(|idle| {
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    });
}
