//! The bus: requests to other services, and (in [`server`]) the requests that a service answers.

mod context;
mod rate;
pub(crate) mod server;
mod storable;

use std::time::Duration;

use async_nats::{Client, ConnectOptions, client::RequestErrorKind, connection::State, jetstream};
use bodega_domain::{
    Code, Failure,
    limits::MESSAGE_BYTES_MAX,
    message::{Reply, Request},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use context::Arrived;
pub use context::{Call, RequestContext, SERVICE_HEADER};

use crate::{clock::Clock, config::Config, telemetry::metrics};

/// Milliseconds between two attempts to reach the bus again, at most.
const RECONNECT_PAUSE_MAX_MS: u64 = 1_000;
/// Milliseconds after which an attempt to connect is given up.
const CONNECT_TIMEOUT_MS: u64 = 2_000;
/// Milliseconds to wait until the server has taken in a new service's subjects.
const SETTLE_TIMEOUT_MS: u64 = 1_000;
/// Seconds between two pings, so that a connection that died silently is noticed.
const PING_INTERVAL_S: u64 = 5;

/// A service's connection to the bus, under its own credential. It reconnects for ever. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    client: Client,
    service: &'static str,
    clock: Clock,
    request_timeout: Duration,
}

/// The connection could not even be prepared: an address or a credential that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the bus connection of {service} cannot be prepared: {reason}")]
pub struct BusError {
    /// Whose connection.
    pub service: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// Why a request has no answer. The three cases ask for three different reactions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not sent, or nobody listens: surely nothing was done.
    #[error("unavailable: {0}")]
    Unavailable(&'static str),
    /// It was sent and no reply came in time: whether it was done is not known.
    #[error("sent, and no reply came")]
    Unknown,
    /// It was refused.
    #[error("refused: {0}")]
    Refused(Failure),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unavailable(reason) => {
                tracing::warn!(reason, "a service could not be reached");
                Failure::from(Code::CoreUnavailable).retry_after_s(1)
            }
            CallError::Unknown => Failure::from(Code::OutcomeUnknown).retry_after_s(1),
            CallError::Refused(failure) => failure,
        }
    }
}

impl Bus {
    /// Prepares the connection of a service and begins to connect; the servers may come up later.
    ///
    /// # Errors
    /// When an address or credential cannot be read.
    pub async fn connect(config: &Config, service: &'static str, clock: Clock) -> Result<Self, BusError> {
        let credential = config.nats.credential_of(service);
        let mut options = ConnectOptions::new()
            .name(service)
            .custom_inbox_prefix(format!("_INBOX.{service}"))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .ping_interval(Duration::from_secs(PING_INTERVAL_S))
            .reconnect_delay_callback(|attempts| {
                let attempts = u64::try_from(attempts).unwrap_or(u64::MAX);
                Duration::from_millis(attempts.saturating_mul(50).min(RECONNECT_PAUSE_MAX_MS))
            })
            .event_callback(move |event| async move { tracing::info!(service, %event, "bus") });
        if !credential.nkey_seed.is_empty() {
            options = options.nkey(credential.nkey_seed.expose().to_owned());
        } else if !credential.user.is_empty() {
            options = options.user_and_password(credential.user, credential.password.expose().to_owned());
        }
        let servers: Vec<&str> = config.nats.url.split(',').map(str::trim).collect();
        let client = options.connect(servers).await.map_err(|error| BusError { service, reason: error.to_string() })?;
        Ok(Self { client, service, clock, request_timeout: Duration::from_millis(config.nats.request_timeout_ms) })
    }

    /// The client underneath, for what this module has no word for.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream over this connection.
    #[must_use]
    pub fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client.clone())
    }

    /// The service whose connection this is.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until the server has taken in what was sent before, subscriptions above all: it reads a connection in
    /// order, so an answer to anything tells. A server that is away is not waited for; it hears everything on its return.
    pub(crate) async fn settle(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(SETTLE_TIMEOUT_MS), self.jetstream().query_account()).await;
    }

    /// Asks another service and waits for its answer until the context's deadline, or for the configured time.
    ///
    /// # Errors
    /// [`CallError`]: nothing done, not known, or refused.
    pub async fn request<R: Request + Sync>(
        &self,
        request: &R,
        context: &RequestContext,
    ) -> Result<R::Answer, CallError> {
        self.request_on(R::SUBJECT, request, context).await
    }

    /// As [`Bus::request`], where the subject is not known to the request's type.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn request_on<Q, A>(&self, subject: &str, request: &Q, context: &RequestContext) -> Result<A, CallError>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let body = serde_json::to_vec(request).map_err(|error| {
            tracing::error!(%error, subject, "a request cannot be written as JSON");
            CallError::Refused(Failure::internal())
        })?;
        let reply = self.request_bytes(subject, body.into(), context).await?;
        match serde_json::from_slice::<Reply<A>>(&reply) {
            Ok(reply) => Result::from(reply).map_err(CallError::Refused),
            Err(error) => {
                // It was answered, so it may have been done.
                tracing::error!(%error, subject, "a reply could not be read");
                Err(CallError::Unknown)
            }
        }
    }

    /// As [`Bus::request`], with bodies as bytes: what the gateway passes through.
    ///
    /// # Errors
    /// [`CallError`], never `Refused` by the other side: that is inside the bytes.
    pub async fn request_bytes(
        &self,
        subject: &str,
        body: Bytes,
        context: &RequestContext,
    ) -> Result<Bytes, CallError> {
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(CallError::Refused(Code::PayloadTooLarge.into()));
        }
        if !self.is_connected() {
            // Sent now, it would wait in the client and be done at some later time, when nobody expects it.
            return Err(CallError::Unavailable("not connected to the bus"));
        }
        let timeout = match context.deadline {
            Some(deadline) => {
                let left = u64::try_from(deadline.ms_since(self.clock.now())).unwrap_or(0);
                if left == 0 {
                    return Err(CallError::Refused(Code::DeadlineExceeded.into()));
                }
                Duration::from_millis(left)
            }
            None => self.request_timeout,
        };
        let request =
            async_nats::Request::new().payload(body).headers(context.to_headers(self.service)).timeout(Some(timeout));
        let asked = tokio::time::Instant::now();
        let answer = self.client.send_request(subject.to_owned(), request).await;
        metrics::histogram("bodega_bus_request_seconds", &[("from", self.service), ("subject", subject)])
            .observe(asked.elapsed());
        answer.map(|message| message.payload).map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => CallError::Unavailable("nobody listens"),
            RequestErrorKind::InvalidSubject => CallError::Unavailable("not a subject"),
            RequestErrorKind::MaxPayloadExceeded => CallError::Refused(Code::PayloadTooLarge.into()),
            RequestErrorKind::TimedOut | RequestErrorKind::Other => CallError::Unknown,
        })
    }
}
