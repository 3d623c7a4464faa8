//! An operator on the bus: whoever runs a command of this executable, with the credential `admin`.

use std::time::Duration;

use bodega_domain::{Failure, message::Request};
use bodega_platform::{Bus, CallError, Clock, Config, Entropy, RequestContext, bus::BusError};

/// Seconds for one message: a thousand rows on a busy laptop.
const MESSAGE_PATIENCE_S: u64 = 60;
/// Seconds to wait for the bus and for services that are still starting.
const CORE_PATIENCE_S: u64 = 30;

/// Why the core did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    #[error(transparent)]
    Configuration(#[from] BusError),
    #[error("no connection to the bus at {0}; is it running, and is [nats.services.admin] right?")]
    NoBus(String),
    #[error("{subject}: {source}; `bodega serve` must be running")]
    Away { subject: &'static str, source: CallError },
    #[error("{subject} refused: {}", words(failure))]
    Refused { subject: &'static str, failure: Failure },
}

/// What was refused, and which fields of it are wrong.
fn words(failure: &Failure) -> String {
    let fields = failure.fields.iter().map(|field| format!("\n  {} {}", field.pointer, field.detail));
    std::iter::once(failure.to_string()).chain(fields).collect()
}

/// A connection to a running core.
pub(crate) struct Operator {
    bus: Bus,
    clock: Clock,
}

impl Operator {
    /// Connects, waiting a while for the bus.
    pub(crate) async fn connect(config: &Config) -> Result<Self, OperatorError> {
        let clock = Clock::skewed(config.clock.skew_ms);
        let bus = Bus::connect(config, "admin", clock).await?;
        let connected = async {
            while !bus.is_connected() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(CORE_PATIENCE_S), connected)
            .await
            .map_err(|_| OperatorError::NoBus(config.nats.url.clone()))?;
        Ok(Self { bus, clock })
    }

    /// Asks, and asks again while the service is still starting: everything here may be repeated.
    pub(crate) async fn ask<R: Request + Sync>(&self, request: &R) -> Result<R::Answer, OperatorError> {
        let give_up = tokio::time::Instant::now() + Duration::from_secs(CORE_PATIENCE_S);
        loop {
            let context = RequestContext::service(&self.clock, &Entropy)
                .within(&self.clock, Duration::from_secs(MESSAGE_PATIENCE_S));
            match self.bus.request(request, &context).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Unavailable(_)) if tokio::time::Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(CallError::Refused(failure)) => {
                    return Err(OperatorError::Refused { subject: R::SUBJECT, failure });
                }
                Err(source) => return Err(OperatorError::Away { subject: R::SUBJECT, source }),
            }
        }
    }
}
