//! Metrics, liveness and readiness, on an address of their own that is not for the public.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{service::Probe, telemetry::metrics};

/// Begins to listen and gives the address it got, which differs from the asked one when that has port 0.
///
/// # Errors
/// When the address is taken.
pub async fn listen(address: SocketAddr, probe: Probe, stopping: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render()) }))
        .with_state(probe);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the metrics address is not served any more");
        }
    });
    Ok(address)
}

async fn ready(State(probe): State<Probe>) -> impl IntoResponse {
    let health = probe.health().await;
    let status =
        if health.iter().all(|service| service.ready) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}
