//! A core of chosen services on real servers, in this process, and somebody who asks it over the bus.

#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

pub mod goods;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bodega_domain::{Code, Failure, message::Request};
use bodega_platform::{
    Bus, Clock, Config, Context, Entropy, RequestContext, Service,
    config::Keys,
    postgres::{migrate, provision},
    service::{Running, run},
    sqlx::{PgPool, postgres::PgPoolOptions},
};
use bodega_tests::{FILLED_DATABASE, Servers};

/// Services that run, with servers of their own.
pub struct Core {
    pub config: Arc<Config>,
    pub servers: Servers,
    pub bus: Bus,
    pub clock: Clock,
    /// The configuration as text, for a process of its own.
    pub toml: String,
    services: Vec<Service>,
    clocks: Clocks,
    running: Vec<Running>,
}

/// How far the clocks of processes are from the real time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Milliseconds by which whoever asks is ahead.
    pub asker_ms: i64,
    /// Services that run in processes with other clocks: milliseconds by which each is ahead.
    pub services_ms: &'static [(&'static str, i64)],
}

impl Clocks {
    fn of(self, service: &str) -> i64 {
        self.services_ms.iter().find(|(name, _)| *name == service).map_or(0, |(_, skew_ms)| *skew_ms)
    }

    /// Half a minute, by the clock that is furthest ahead of the asker's: a deadline is a moment and no duration.
    fn patience(self) -> Duration {
        let ahead_ms = self.services_ms.iter().map(|(_, skew_ms)| skew_ms - self.asker_ms).max().unwrap_or(0);
        Duration::from_secs(30) + Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0))
    }
}

impl Core {
    /// Starts servers, migrates, starts the services, waits until they answer. `more` is configuration.
    pub async fn open(services: &[Service], more: &str) -> Self {
        Self::open_beside(services, &[], more, Clocks::default()).await
    }

    /// As [`Core::open`], where `apart` are migrated and run in another process, and where clocks disagree.
    pub async fn open_beside(services: &[Service], apart: &[Service], more: &str, clocks: Clocks) -> Self {
        let mut all: Vec<Service> = services.iter().chain(apart).copied().collect();
        all.sort_by_key(|service| service.name);
        let key = schemas_key(&all);
        let servers = Servers::start_filled(&key, async |servers| make_schemas(servers, &all).await);
        let servers = servers.await.expect("servers");
        let toml = configuration(&servers, more);
        let config = Arc::new(Config::parse(&toml).expect("a configuration"));
        let clock = Clock::skewed(clocks.asker_ms);
        let bus = Bus::connect(&config, "test", clock).await.expect("a bus");
        let mut core =
            Self { config, servers, bus, clock, toml, services: services.to_vec(), clocks, running: Vec::new() };
        core.start().await;
        core
    }

    /// Starts the services again.
    pub async fn start(&mut self) {
        let mut by_clock: BTreeMap<i64, Vec<Service>> = BTreeMap::new();
        for service in &self.services {
            by_clock.entry(self.clocks.of(service.name)).or_default().push(*service);
        }
        for (skew_ms, services) in by_clock {
            let mut config = Config::clone(&self.config);
            config.clock.skew_ms = skew_ms;
            let mut running = run(Arc::new(config), services).await.expect("services");
            running.started().await.expect("services that started");
            self.running.push(running);
        }
        for context in self.running.iter().flat_map(Running::contexts) {
            // Answered "nobody listens" once the server has taken in every subscription before it.
            let answer = context.bus().client().request("test.nobody", "".into()).await;
            assert!(answer.is_err(), "nobody is there");
        }
        bodega_tests::eventually("the bus", || async { self.bus.is_connected().then_some(()) }).await;
    }

    /// Stops the services; the servers go on.
    pub async fn stop(&mut self) {
        for running in self.running.drain(..) {
            assert!(running.stop(Duration::from_secs(10)).await, "the services did not end in time");
        }
    }

    /// The context of a service.
    pub fn context(&self, service: &str) -> Context {
        let mut contexts = self.running.iter().flat_map(Running::contexts);
        contexts.find(|c| c.service() == service).expect("this service").clone()
    }

    /// A few connections as the role of a service.
    pub async fn pool(&self, service: &str) -> PgPool {
        let url = self.config.database.url_of(service);
        PgPoolOptions::new().max_connections(4).connect(url.expose()).await.expect("a database")
    }

    /// Asks as a service.
    pub async fn ask<R: Request + Sync>(&self, request: R) -> Result<R::Answer, Failure> {
        let context = RequestContext::service(&self.clock, &Entropy);
        self.bus.request(&request, &context.within(&self.clock, self.clocks.patience())).await.map_err(Failure::from)
    }

    /// Asks as whoever has this token.
    pub async fn ask_as<R: Request + Sync>(&self, token: Option<&str>, request: R) -> Result<R::Answer, Failure> {
        let id = RequestContext::service(&self.clock, &Entropy).request_id;
        let context = RequestContext::bearer(id, token.map(str::to_owned));
        self.bus.request(&request, &context.within(&self.clock, self.clocks.patience())).await.map_err(Failure::from)
    }
}

fn configuration(servers: &Servers, more: &str) -> String {
    let admin = servers.postgres_url(FILLED_DATABASE);
    let (authority, database) = admin.split_once('@').and_then(|(_, rest)| rest.rsplit_once('/')).expect("an address");
    format!(
        "{}\n{more}\n[database]\nurl = \"postgres://bodega_{{service}}:bodega@{authority}/{database}\"\n\
         admin_url = \"{admin}\"\n[nats]\nurl = \"{}\"\n[redis]\nurl = \"{}\"\n",
        Keys::generate(&Entropy).to_toml(),
        servers.nats_url(),
        servers.redis_url(),
    )
}

/// How schemas are made, as the platform has it: another way of it asks for other clusters.
const PROVISION: &str = include_str!("../../../core-services/platform/src/postgres/provision.rs");

/// Stands for the schemas of these services: their names, extensions and migrations.
fn schemas_key(services: &[Service]) -> String {
    let mut hasher = DefaultHasher::new();
    PROVISION.hash(&mut hasher);
    for service in services {
        (service.name, service.extensions).hash(&mut hasher);
        for migration in service.migrations.into_iter().flat_map(|migrations| migrations.iter()) {
            (migration.version, &migration.checksum).hash(&mut hasher);
        }
    }
    format!("schemas-{:016x}", hasher.finish())
}

async fn make_schemas(servers: &Servers, services: &[Service]) {
    let config = Config::parse(&configuration(servers, "")).expect("a configuration");
    for service in services {
        provision(&config, service.name, service.extensions).await.expect("a role and a schema");
        if let Some(migrations) = service.migrations {
            migrate(&config, service.name, migrations).await.expect("migrations");
        }
    }
}

/// The code of a refusal.
pub fn code<T>(answer: &Result<T, Failure>) -> Option<Code> {
    answer.as_ref().err().map(|failure| failure.code)
}

/// The wrong fields of a refusal, with their codes.
pub fn fields<T>(answer: &Result<T, Failure>) -> Vec<(String, String)> {
    let failure = answer.as_ref().err();
    failure.map(|f| f.fields.iter().map(|f| (f.pointer.clone(), f.code.clone())).collect()).unwrap_or_default()
}
