//! The requests that a service answers: registered as a NATS micro service, checked against the operation table, run as
//! tracked tasks, answered with a typed reply whatever happens.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use async_nats::service::{Service as MicroService, ServiceExt as _, endpoint::Endpoint};
use bodega_domain::{
    Code, Failure,
    limits::MESSAGE_BYTES_MAX,
    message::{Reply, Request},
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

pub(crate) use super::rate::RateLimiter;
use super::{Arrived, Bus, Call, storable};
use crate::{
    clock::Clock, entropy::Entropy, operation::Operation, principal::Authenticator, tasks::Tasks, telemetry::metrics,
};

/// Requests of one subject under way in one process; one more is refused as `overloaded`.
const IN_FLIGHT_MAX: usize = 2_048;

type Handle = Arc<dyn Fn(Call, Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> + Send + Sync>;

/// A subject with its handler, not registered yet.
pub(crate) struct Route {
    pub(crate) subject: String,
    handle: Handle,
}

impl Route {
    /// A handler of a request of the wire contract.
    pub(crate) fn of<R, S, F, Fut>(state: S, handler: F) -> Self
    where
        R: Request,
        S: Clone + Send + Sync + 'static,
        F: Fn(S, Call, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R::Answer, Failure>> + Send + 'static,
    {
        Self::on(R::SUBJECT.to_owned(), move |call, request: R| handler(state.clone(), call, request))
    }

    /// A handler on a subject that only the running program knows.
    pub(crate) fn on<Q, A, F, Fut>(subject: String, handler: F) -> Self
    where
        Q: serde::de::DeserializeOwned + Send + 'static,
        A: Serialize + 'static,
        F: Fn(Call, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Failure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let handle = move |call: Call, body: Bytes| {
            let handler = handler.clone();
            async move {
                let request: Q = serde_json::from_slice(&body).map_err(|error| {
                    tracing::debug!(%error, "a request could not be read");
                    // serde's message names the field and what was expected of it, and repeats no secret.
                    Failure::new(Code::MalformedBody, format!("The request could not be read: {error}."))
                })?;
                // The handlers of a large service are large futures: on the heap they do not fill the caller's stack.
                let answer = Box::pin(handler(call, request)).await?;
                encode(&Reply::Ok(answer))
            }
            .boxed()
        };
        Self { subject, handle: Arc::new(handle) }
    }
}

fn encode<T: Serialize>(reply: &Reply<T>) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(reply).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Failure::internal()
    })?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        tracing::error!(bytes = bytes.len(), "an answer is larger than a message may be");
        return Err(Failure::internal());
    }
    Ok(bytes.into())
}

/// What every handler of a service shares.
pub(crate) struct Host {
    pub(crate) service: &'static str,
    pub(crate) authenticator: Authenticator,
    pub(crate) rate: RateLimiter,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) tasks: Tasks,
}

/// A service could not be put on the bus.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A handler for a subject that nobody has said who may call.
    #[error("`{0}` is not in the operation table (platform/src/operation.rs)")]
    NotInTable(String),
    /// Two handlers for one subject.
    #[error("`{0}` has two handlers")]
    Twice(String),
    /// A handler for somebody else's subject.
    #[error("`{subject}` is not a subject of {service}")]
    Foreign {
        /// The service that tried.
        service: &'static str,
        /// The subject.
        subject: String,
    },
    /// The client refused.
    #[error("registering {service} on the bus failed: {reason}")]
    Bus {
        /// The service.
        service: &'static str,
        /// What the client said.
        reason: String,
    },
}

/// Registers the service and its routes, and begins to answer.
///
/// # Errors
/// [`RegisterError`].
pub(crate) async fn register(
    bus: &Bus,
    host: Arc<Host>,
    routes: Vec<Route>,
) -> Result<Option<MicroService>, RegisterError> {
    let service = host.service;
    let mut operations = Vec::with_capacity(routes.len());
    for route in &routes {
        let operation =
            Operation::find(&route.subject).ok_or_else(|| RegisterError::NotInTable(route.subject.clone()))?;
        if route.subject.split('.').next() != Some(service) {
            return Err(RegisterError::Foreign { service, subject: route.subject.clone() });
        }
        operations.push(operation);
    }
    let failed = |error: async_nats::Error| RegisterError::Bus { service, reason: error.to_string() };
    let micro = bus
        .client()
        .service_builder()
        .description(format!("Bodega {service}"))
        .queue_group(service)
        .start(service, env!("CARGO_PKG_VERSION"))
        .await
        .map_err(failed)?;
    let mut seen = std::collections::BTreeSet::new();
    for (route, operation) in routes.into_iter().zip(operations) {
        if !seen.insert(route.subject.clone()) {
            return Err(RegisterError::Twice(route.subject));
        }
        let name = route.subject.replace('.', "-");
        let endpoint = micro.endpoint_builder().name(name).add(&route.subject).await.map_err(failed)?;
        let tasks = host.tasks.clone();
        tasks.background(serve(host.clone(), endpoint, route, operation));
    }
    Ok(Some(micro))
}

/// Takes requests of one subject until the stop begins.
async fn serve(host: Arc<Host>, mut endpoint: Endpoint, route: Route, operation: Operation) {
    let stopping = host.tasks.stopping();
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let subject: Arc<str> = route.subject.into();
    loop {
        let request = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            request = endpoint.next() => match request {
                Some(request) => request,
                None => break,
            },
        };
        let permit = room.clone().try_acquire_owned();
        let (host, handle, subject) = (host.clone(), route.handle.clone(), subject.clone());
        let tasks = host.tasks.clone();
        // Tracked, and not the asker's: whoever goes away, the work is finished.
        drop(tasks.request(async move {
            let body = match permit {
                Ok(_permit) => answer(&host, &handle, &subject, operation, &request.message).await,
                Err(_) => failure_bytes(Failure::from(Code::Overloaded).retry_after_s(1)),
            };
            if let Err(error) = request.respond(Ok(body)).await {
                tracing::warn!(%error, subject = &*subject, "a reply could not be sent");
            }
        }));
    }
    // What arrived is answered by others of the queue group from here on.
    if let Err(error) = endpoint.stop().await {
        tracing::debug!(%error, "unsubscribing failed");
    }
}

async fn answer(
    host: &Host,
    handle: &Handle,
    subject: &str,
    operation: Operation,
    message: &async_nats::Message,
) -> Bytes {
    let began = Instant::now();
    let arrived = Arrived::read(message.headers.as_ref(), &host.clock, &host.entropy);
    let trace_id = arrived.trace_id().map(ToOwned::to_owned);
    let span =
        tracing::info_span!("request", request_id = %arrived.request_id, trace_id, subject, service = host.service);
    let outcome = AssertUnwindSafe(check_and_handle(host, handle, operation, arrived, message.payload.clone()))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let outcome = outcome.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a handler panicked"));
        Err(Failure::internal())
    });
    let took = began.elapsed();
    let code = outcome.as_ref().err().map_or("ok", |failure| failure.code.as_str());
    metrics::counter("bodega_requests_total", &[("subject", subject), ("code", code)]).add(1);
    metrics::histogram("bodega_request_seconds", &[("subject", subject)]).observe(took);
    span.in_scope(|| tracing::info!(code, took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "answered"));
    outcome.unwrap_or_else(failure_bytes)
}

async fn check_and_handle(
    host: &Host,
    handle: &Handle,
    operation: Operation,
    arrived: Arrived,
    body: Bytes,
) -> Result<Bytes, Failure> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Code::PayloadTooLarge.into());
    }
    let now = host.clock.now();
    if arrived.deadline.is_some_and(|deadline| now > deadline) {
        return Err(Code::DeadlineExceeded.into());
    }
    let principal = host.authenticator.caller(&operation, &arrived)?;
    operation.admit(&principal)?;
    host.rate.take(operation.rate, &principal, now)?;
    storable::check(&body)?;
    handle(Call::new(principal, arrived), body).await
}

fn failure_bytes(failure: Failure) -> Bytes {
    // A failure of plain texts can always be written.
    serde_json::to_vec(&Reply::<()>::Failure(failure)).unwrap_or_default().into()
}
