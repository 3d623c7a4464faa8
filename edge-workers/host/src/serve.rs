//! Listens, and stops in order: no new connection, requests under way are finished, then the stores are closed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Exchange, plain};

/// How long a client may take to send its headers, also on a connection kept open.
const HEADERS_WAIT: Duration = Duration::from_secs(30);
/// Fields of a request.
const HEADERS_MAX: usize = 100;
/// Line and fields of a request, bytes: room for the longest cart cookie and a token.
const HEADERS_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves shoppers until `stop`, then finishes what is under way, deferred work of instances included.
pub(crate) async fn shoppers(listener: TcpListener, exchange: Arc<Exchange>, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(usize::try_from(exchange.limits.connections).unwrap_or(usize::MAX)));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, peer, place) = accepted;
        let served = Arc::clone(&exchange);
        let service = service_fn(move |request| {
            let served = Arc::clone(&served);
            async move { Ok::<_, Infallible>(served.answer(request, peer).await) }
        });
        let connection = graceful.watch(builder().serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that breaks off is no event.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let limit = exchange.limits.stop();
    let finished = async {
        graceful.shutdown().await;
        exchange.tasks.close();
        exchange.tasks.wait().await;
    };
    if tokio::time::timeout(limit, finished).await.is_err() {
        tracing::warn!(
            seconds = limit.as_secs(),
            "requests or deferred work were still under way when the time to stop was over"
        );
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<tokio::sync::OwnedSemaphorePermit>) {
    let place = Arc::clone(connections).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written at once and whole; waiting for more only adds delay.
                let _ = stream.set_nodelay(true);
                return (stream, peer, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WAIT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADERS_BYTES_MAX)
        .half_close(true);
    builder
}

/// Serves operators: counters and whether the host is up. Ends with the process.
pub(crate) async fn operators(listener: TcpListener, exchange: Arc<Exchange>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let exchange = Arc::clone(&exchange);
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let exchange = Arc::clone(&exchange);
            async move {
                Ok::<_, Infallible>(match request.uri().path() {
                    "/metrics" => plain(http::StatusCode::OK, exchange.metrics.text(&exchange.now())),
                    "/healthz" => plain(http::StatusCode::OK, "ok\n".into()),
                    _ => plain(http::StatusCode::NOT_FOUND, "/metrics or /healthz\n".into()),
                })
            }
        });
        tokio::spawn(async move {
            let _ = builder().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
