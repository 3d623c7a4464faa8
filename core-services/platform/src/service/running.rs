//! Services that run in this process: how they are, and how they end.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Context, Service, StartError, context::Inner, start};
use crate::{
    bus::Bus,
    clock::Clock,
    config::Config,
    entropy::Entropy,
    failpoint::Failpoints,
    postgres::Postgres,
    principal::{Authenticator, Revocations},
    redis::Redis,
    tasks::Tasks,
};

/// Services that run in this process.
pub struct Running {
    contexts: Vec<Context>,
    tasks: Tasks,
    starts: Vec<tokio::task::JoinHandle<Result<(), StartError>>>,
    ready: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// How a service is.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Health {
    /// The service.
    pub service: &'static str,
    /// Whether it answers requests.
    pub ready: bool,
    /// Whether it has begun to.
    pub started: bool,
    /// Whether its bus connection stands.
    pub bus: bool,
    /// Whether its database answers; absent when it has none.
    pub database: Option<bool>,
}

/// Starts services. Each waits for its own database and the bus, which may come later, and then begins to answer.
///
/// # Errors
/// When a connection cannot even be prepared.
pub async fn run(config: Arc<Config>, services: Vec<Service>) -> Result<Running, StartError> {
    let tasks = Tasks::new();
    let clock = Clock::skewed(config.clock.skew_ms);
    let revocations = Revocations::default();
    let authenticator = Authenticator::new(&config.keys, revocations.clone(), clock);
    let redis = Redis::new(&config.redis);
    let ready = Arc::new(Mutex::new(BTreeSet::new()));
    let mut contexts = Vec::new();
    let mut starts = Vec::new();
    for service in services {
        let postgres = Postgres::new(&config, service.name)?;
        let bus = Bus::connect(&config, service.name, clock).await?;
        let failpoints = Failpoints::default();
        let context = Context(Arc::new(Inner {
            service: service.name,
            has_database: service.migrations.is_some(),
            config: config.clone(),
            postgres,
            bus,
            redis: redis.clone(),
            clock,
            entropy: Entropy,
            tasks: tasks.clone(),
            revocations: revocations.clone(),
            authenticator: authenticator.clone(),
            failpoints,
        }));
        contexts.push((service, context));
    }
    if let Some((_, first)) = contexts.first() {
        tasks.background(start::follow_revocations(first.clone()));
    }
    for (service, context) in &contexts {
        let (service, context, ready) = (*service, context.clone(), ready.clone());
        starts.push(tokio::spawn(async move {
            start::start(service, context).await?;
            ready.lock().unwrap_or_else(PoisonError::into_inner).insert(service.name);
            tracing::info!(service = service.name, "ready");
            Ok(())
        }));
    }
    let contexts = contexts.into_iter().map(|(_, context)| context).collect();
    Ok(Running { contexts, tasks, starts, ready })
}

impl Running {
    /// Waits until every service has begun to answer.
    ///
    /// # Errors
    /// The first one that could not.
    pub async fn started(&mut self) -> Result<(), StartError> {
        for start in self.starts.drain(..) {
            match start.await {
                Ok(outcome) => outcome?,
                Err(error) => return Err(StartError::Other(format!("a service broke while it started: {error}"))),
            }
        }
        Ok(())
    }

    /// Whether every service has begun to answer.
    #[must_use]
    pub fn all_started(&self) -> bool {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).len() == self.contexts.len()
    }

    /// The tasks of this process.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// How each service is, asked now.
    pub async fn health(&self) -> Vec<Health> {
        self.probe().health().await
    }

    /// Asks for health from elsewhere.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe { contexts: self.contexts.clone(), ready: self.ready.clone() }
    }

    /// The contexts of the services, for what runs beside them.
    #[must_use]
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// Ends gracefully: no new requests, the ones under way finish, then the loops. `false` when `patience` ran out.
    pub async fn stop(self, patience: Duration) -> bool {
        let ended = self.tasks.stop(patience).await;
        for context in &self.contexts {
            context.postgres().pool().close().await;
            // Replies on their way out leave before the connection does.
            let _ = tokio::time::timeout(Duration::from_secs(1), context.bus().client().drain()).await;
        }
        ended
    }
}

/// Asks services how they are.
#[derive(Clone)]
pub struct Probe {
    contexts: Vec<Context>,
    ready: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Probe {
    /// How each service is, asked now.
    pub async fn health(&self) -> Vec<Health> {
        let asked = self.contexts.iter().map(|context| async {
            let service = context.service();
            let started = self.ready.lock().unwrap_or_else(PoisonError::into_inner).contains(service);
            let bus = context.bus().is_connected();
            let database = if context.0.has_database { Some(context.postgres().ready().await.is_ok()) } else { None };
            Health { service, ready: started && bus && database.unwrap_or(true), started, bus, database }
        });
        futures::future::join_all(asked).await
    }
}
