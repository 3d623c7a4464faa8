//! Everything that a service works with.

use std::sync::Arc;

use bodega_domain::event::{Event, EventData};

use crate::{
    bus::{Bus, RequestContext},
    clock::Clock,
    config::Config,
    entropy::Entropy,
    failpoint::Failpoints,
    outbox,
    postgres::Postgres,
    principal::{Authenticator, Revocations},
    redis::Redis,
    tasks::Tasks,
};

/// Everything that a service works with. Cheap to clone.
#[derive(Clone)]
pub struct Context(pub(super) Arc<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) service: &'static str,
    pub(super) has_database: bool,
    pub(super) config: Arc<Config>,
    pub(super) postgres: Postgres,
    pub(super) bus: Bus,
    pub(super) redis: Redis,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) tasks: Tasks,
    pub(super) revocations: Revocations,
    pub(super) authenticator: Authenticator,
    pub(super) failpoints: Failpoints,
}

impl Context {
    /// The name of the service.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// The configuration, keys included.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.0.config
    }

    /// Its database.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.0.postgres
    }

    /// Its bus connection.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// Redis, if there is one.
    #[must_use]
    pub fn redis(&self) -> &Redis {
        &self.0.redis
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Random bytes.
    #[must_use]
    pub fn entropy(&self) -> &Entropy {
        &self.0.entropy
    }

    /// Its tasks, and when they are to end.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Turns tokens into principals; on the bus that has happened already.
    #[must_use]
    pub fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    /// Sessions that were ended before their time.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Places where a test may crash this process.
    #[must_use]
    pub fn failpoints(&self) -> &Failpoints {
        &self.0.failpoints
    }

    /// A new event of this service; [`outbox::append`] writes it into a transaction.
    #[must_use]
    pub fn event<D: EventData>(&self, about: impl std::fmt::Display, data: &D) -> Event {
        outbox::event(self.0.service, &self.0.clock, &self.0.entropy, about, data)
    }

    /// The context of a request that this service makes on its own account.
    #[must_use]
    pub fn request_context(&self) -> RequestContext {
        RequestContext::service(&self.0.clock, &self.0.entropy)
    }
}
