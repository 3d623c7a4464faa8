//! Logs with the request id in every line, and metrics for Prometheus.

pub mod metrics;

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogFormat, Telemetry};

/// Starts logging to standard error. The first call in a process wins, so tests may call it too.
///
/// Every request runs in a span `request` with `request_id`, `subject` and `service`; a line logged anywhere below it
/// carries them.
pub fn init(config: &Telemetry) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|error| {
        eprintln!("telemetry.level `{}` is not understood ({error}); logging at info", config.level);
        EnvFilter::new("info")
    });
    let pretty = match config.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if pretty {
        tracing_subscriber::registry().with(filter).with(layer.compact()).try_init()
    } else {
        let layer = layer.json().flatten_event(true).with_current_span(true).with_span_list(true);
        tracing_subscriber::registry().with(filter).with(layer).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
