//! `bodega serve`

use std::{error::Error, sync::Arc, time::Duration};

use bodega_platform::{Config, health, service};
use tokio::signal::unix::{SignalKind, signal};

use crate::services;

/// Seconds that requests under way get to finish once a stop is asked for.
const STOP_PATIENCE_S: u64 = 20;

/// Runs services until SIGTERM or Ctrl-C.
pub(crate) async fn run(config: Config, only: &[String]) -> Result<(), Box<dyn Error>> {
    let chosen = services::chosen(only)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let config = Arc::new(config);
    let mut running = service::run(config.clone(), chosen).await?;
    let stopping = running.tasks().stopping();
    let metrics = health::listen(config.http.metrics, running.probe(), stopping)
        .await
        .map_err(|error| format!("http.metrics {} cannot be listened on: {error}", config.http.metrics))?;
    tracing::info!(%metrics, "waiting for Postgres and the bus");
    let outcome = tokio::select! {
        outcome = running.started() => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if outcome.is_ok() && running.all_started() {
        tracing::info!("every service is ready");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    tracing::info!("stopping: what has begun is finished first");
    if !running.stop(Duration::from_secs(STOP_PATIENCE_S)).await {
        tracing::warn!("some work did not end in {STOP_PATIENCE_S} s");
    }
    Ok(outcome?)
}
