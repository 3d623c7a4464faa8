//! A core of chosen services on real servers, in this process, and somebody who asks it over the bus.

#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

pub mod goods;

use std::{sync::Arc, time::Duration};

use bodega_domain::{Code, Failure, message::Request};
use bodega_platform::{
    Bus, Clock, Config, Context, Entropy, RequestContext, Service,
    config::Keys,
    postgres::{migrate, provision},
    service::{Running, run},
    sqlx::{PgPool, postgres::PgPoolOptions},
};
use bodega_tests::Servers;

/// Services that run, with servers of their own.
pub struct Core {
    pub config: Arc<Config>,
    pub servers: Servers,
    pub bus: Bus,
    pub clock: Clock,
    /// The configuration as text, for a process of its own.
    pub toml: String,
    services: Vec<Service>,
    running: Option<Running>,
}

impl Core {
    /// Starts servers, migrates, starts the services, waits until they answer. `more` is configuration.
    pub async fn open(services: &[Service], more: &str) -> Self {
        Self::open_beside(services, &[], more).await
    }

    /// As [`Core::open`], where `apart` are migrated and run in another process.
    pub async fn open_beside(services: &[Service], apart: &[Service], more: &str) -> Self {
        let servers = Servers::start().await.expect("servers");
        let admin = servers.database("shop").await.expect("a database");
        let (authority, database) =
            admin.split_once('@').and_then(|(_, rest)| rest.rsplit_once('/')).expect("an address");
        let toml = format!(
            "{}\n{more}\n[database]\nurl = \"postgres://bodega_{{service}}:bodega@{authority}/{database}\"\n\
             admin_url = \"{admin}\"\n[nats]\nurl = \"{}\"\n[redis]\nurl = \"{}\"\n",
            Keys::generate(&Entropy).to_toml(),
            servers.nats_url(),
            servers.redis_url(),
        );
        let config = Arc::new(Config::parse(&toml).expect("a configuration"));
        let clock = Clock::system();
        for service in services.iter().chain(apart) {
            provision(&config, service.name, service.extensions).await.expect("a role and a schema");
            if let Some(migrations) = service.migrations {
                migrate(&config, service.name, migrations).await.expect("migrations");
            }
        }
        let bus = Bus::connect(&config, "test", clock).await.expect("a bus");
        let mut core = Self { config, servers, bus, clock, toml, services: services.to_vec(), running: None };
        core.start().await;
        core
    }

    /// Starts the services again.
    pub async fn start(&mut self) {
        let mut running = run(self.config.clone(), self.services.clone()).await.expect("services");
        running.started().await.expect("services that started");
        for context in running.contexts() {
            // Answered "nobody listens" once the server has taken in every subscription before it.
            let answer = context.bus().client().request("test.nobody", "".into()).await;
            assert!(answer.is_err(), "nobody is there");
        }
        self.running = Some(running);
        bodega_tests::eventually("the bus", || async { self.bus.is_connected().then_some(()) }).await;
    }

    /// Stops the services; the servers go on.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            assert!(running.stop(Duration::from_secs(10)).await, "the services did not end in time");
        }
    }

    /// The context of a service.
    pub fn context(&self, service: &str) -> Context {
        let running = self.running.as_ref().expect("running services");
        running.contexts().iter().find(|c| c.service() == service).expect("this service").clone()
    }

    /// A few connections as the role of a service.
    pub async fn pool(&self, service: &str) -> PgPool {
        let url = self.config.database.url_of(service);
        PgPoolOptions::new().max_connections(4).connect(url.expose()).await.expect("a database")
    }

    /// Asks as a service.
    pub async fn ask<R: Request + Sync>(&self, request: R) -> Result<R::Answer, Failure> {
        let context = RequestContext::service(&self.clock, &Entropy);
        self.bus.request(&request, &context.within(&self.clock, Duration::from_secs(30))).await.map_err(Failure::from)
    }

    /// Asks as whoever has this token.
    pub async fn ask_as<R: Request + Sync>(&self, token: Option<&str>, request: R) -> Result<R::Answer, Failure> {
        let id = RequestContext::service(&self.clock, &Entropy).request_id;
        let context = RequestContext::bearer(id, token.map(str::to_owned));
        self.bus.request(&request, &context.within(&self.clock, Duration::from_secs(30))).await.map_err(Failure::from)
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
