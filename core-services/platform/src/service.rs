//! A service: its name, its migrations, and what it does once its database and the bus are there.
//!
//! # A whole service
//!
//! ```no_run
//! # // The parts below are files of a service crate; here they stand in one.
//! # mod requests {}
//! use std::sync::Arc;
//!
//! use bodega_domain::{Code, Failure, id::OrderId, message::order::{Get, Placed, StatusChanged}, order::{OrderStatus, OrderView}};
//! use bodega_platform::{
//!     Applied, Call, Context, DatabaseError, EventTx, Received, Service, StartError, TransactionError, Tx, Wiring,
//!     outbox, sqlx::{self, migrate::Migrator},
//! };
//!
//! // lib.rs ------------------------------------------------------------------------------------------------------
//! // In a service crate: `static MIGRATIONS: Migrator = sqlx::migrate!();` reads `migrations/NNNN_name.sql`. They run
//! // as the service's role in the service's schema. `outbox` and `inbox` are there already.
//! static MIGRATIONS: Migrator = Migrator::DEFAULT;
//!
//! /// What the handlers of this service share.
//! struct State {
//!     context: Context,
//! }
//!
//! /// The service, for `bodega serve`.
//! pub fn service() -> Service {
//!     Service::new("order", &MIGRATIONS, |context| Box::pin(start(context)))
//! }
//!
//! async fn start(context: Context) -> Result<Wiring, StartError> {
//!     let state = Arc::new(State { context: context.clone() });
//!     let sweeper = state.clone();
//!     Ok(Wiring::new(&context)
//!         .on(state.clone(), get)                                // a request: its subject is part of its type
//!         .consume("mark_seen", state, mark_seen)                // an event: the name is the durable consumer's
//!         .background("sweep", move || sweep(sweeper.clone())))  // a loop: made anew when it ends or panics
//! }
//!
//! // requests/get.rs ---------------------------------------------------------------------------------------------
//! async fn get(state: Arc<State>, call: Call, request: Get) -> Result<OrderView, Failure> {
//!     let owner = call.principal.owner().ok_or(Code::Unauthenticated)?;
//!     let postgres = state.context.postgres();
//!     let found = load(postgres.pool(), request.order, &owner.to_string()).await?;   // DatabaseError → Failure
//!     found.ok_or_else(|| Code::OrderNotFound.into())
//! }
//!
//! // A write: one transaction, retried as a whole, with its events.
//! async fn cancel(state: &State, order: OrderId) -> Result<(), Failure> {
//!     let changed = state.context.event(order, &StatusChanged { order, status: OrderStatus::Cancelled });
//!     let changed = &[changed];
//!     state
//!         .context
//!         .postgres()
//!         .transaction(|mut tx| Box::pin(async move {
//!             if !mark_cancelled(&mut tx, order).await? {
//!                 return Err(TransactionError::Refused(Failure::from(Code::OrderStateConflict)));
//!             }
//!             outbox::append(&mut tx, changed).await?;
//!             Ok(())
//!         }))
//!         .await?;
//!     state.context.failpoints().hit("order.after_cancel").await;
//!     Ok(())
//! }
//!
//! // events.rs ---------------------------------------------------------------------------------------------------
//! // Up to 64 events that waited, in one transaction with their inbox rows: applied once, whatever JetStream repeats.
//! fn mark_seen<'t>(_state: Arc<State>, mut tx: EventTx<'t>, events: Vec<Arc<Received<Placed>>>) -> Applied<'t> {
//!     Box::pin(async move {
//!         for event in &events {
//!             mark_cancelled(&mut tx, event.data.order).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! // store.rs ----------------------------------------------------------------------------------------------------
//! async fn load(pool: &sqlx::PgPool, order: OrderId, owner: &str) -> Result<Option<OrderView>, DatabaseError> {
//!     # let _ = (pool, order, owner);
//!     Ok(None)
//! }
//! async fn mark_cancelled(tx: &mut Tx<'_, '_>, order: OrderId) -> Result<bool, sqlx::Error> {
//!     let id = sqlx::types::Uuid::from_u128(order.as_u128());
//!     let done = sqlx::query("update orders set status = 'cancelled' where id = $1").bind(id).execute(&mut **tx).await?;
//!     Ok(done.rows_affected() == 1)
//! }
//! async fn sweep(state: Arc<State>) {
//!     while !state.context.tasks().pause(std::time::Duration::from_secs(60)).await { /* … */ }
//! }
//! ```

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bodega_domain::{
    Failure,
    event::{Event, EventData},
    message::{Request, identity},
};
use futures::StreamExt as _;
use sqlx::migrate::Migrator;

use crate::{
    bus::{
        Bus, BusError, Call, RequestContext,
        server::{self, Host, RegisterError, Route},
    },
    clock::Clock,
    config::Config,
    entropy::Entropy,
    failpoint::Failpoints,
    outbox::{self, Applied, Consumer, EventTx, Received},
    postgres::{self, DatabaseError, Postgres, ProvisionError},
    principal::{Authenticator, Revocations},
    redis::Redis,
    tasks::Tasks,
};

/// Milliseconds between two looks for a database that is not there yet.
const START_PAUSE_MS: u64 = 500;
/// Milliseconds to wait before a loop that ended or panicked is begun anew.
const LOOP_PAUSE_MS: u64 = 1_000;
/// Seconds between two questions for revocations, which also arrive by themselves.
const REVOCATIONS_EVERY_S: u64 = 5;

type Start = fn(Context) -> Pin<Box<dyn Future<Output = Result<Wiring, StartError>> + Send>>;

/// A service as the executable knows it.
#[derive(Clone, Copy)]
pub struct Service {
    /// Its name: schema, role, queue group, first word of its subjects.
    pub name: &'static str,
    /// Its migrations; `None` for a service that keeps nothing.
    pub migrations: Option<&'static Migrator>,
    /// Postgres extensions in its schema, for instance `pg_trgm`.
    pub extensions: &'static [&'static str],
    start: Start,
}

impl Service {
    /// A service with a schema of its own.
    #[must_use]
    pub const fn new(name: &'static str, migrations: &'static Migrator, start: Start) -> Self {
        Self { name, migrations: Some(migrations), extensions: &[], start }
    }

    /// A service that keeps nothing, such as the gateway. Its [`Context::postgres`] must not be used.
    #[must_use]
    pub const fn without_database(name: &'static str, start: Start) -> Self {
        Self { name, migrations: None, extensions: &[], start }
    }

    /// The same service, with Postgres extensions in its schema.
    #[must_use]
    pub const fn with_extensions(mut self, extensions: &'static [&'static str]) -> Self {
        self.extensions = extensions;
        self
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({})", self.name)
    }
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something in the configuration is missing or wrong for it.
    #[error("configuration: {0}")]
    Config(String),
    /// The bus connection or registration.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Handlers that do not fit the operation table.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Its database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its migrations.
    #[error(transparent)]
    Migrations(#[from] ProvisionError),
    /// Its role, its password or its database is not there: waiting would not help.
    #[error("{service}: its database does not let it in ({source}); run `bodega migrate`")]
    Refused {
        /// The service.
        service: &'static str,
        /// What Postgres said.
        source: DatabaseError,
    },
    /// Its schema is older than the program.
    #[error("{service}: {count} migrations have not been applied; run `bodega migrate`")]
    Pending {
        /// The service.
        service: &'static str,
        /// How many.
        count: usize,
    },
    /// Anything else that it needs.
    #[error("{0}")]
    Other(String),
}

/// Everything that a service works with. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    service: &'static str,
    has_database: bool,
    config: Arc<Config>,
    postgres: Postgres,
    bus: Bus,
    redis: Redis,
    clock: Clock,
    entropy: Entropy,
    tasks: Tasks,
    revocations: Revocations,
    authenticator: Authenticator,
    failpoints: Failpoints,
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

type Loop = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What a service answers, consumes and runs.
pub struct Wiring {
    context: Context,
    routes: Vec<Route>,
    consumers: Vec<Consumer>,
    loops: Vec<(&'static str, Loop)>,
}

impl Wiring {
    /// Nothing yet.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { context: context.clone(), routes: Vec::new(), consumers: Vec::new(), loops: Vec::new() }
    }

    /// Answers a request: `async fn(state, Call, R) -> Result<R::Answer, Failure>`. Its subject must be in the
    /// operation table, which is checked before the handler runs.
    #[must_use]
    pub fn on<R, S, F, Fut>(mut self, state: S, handler: F) -> Self
    where
        R: Request,
        S: Clone + Send + Sync + 'static,
        F: Fn(S, Call, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R::Answer, Failure>> + Send + 'static,
    {
        self.routes.push(Route::of(state, handler));
        self
    }

    /// Applies events: `fn(state, EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t>`. `name` names the durable
    /// consumer `<service>_<name>`; it must never change.
    #[must_use]
    pub fn consume<D, S, F>(mut self, name: &'static str, state: S, apply: F) -> Self
    where
        D: EventData + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
        F: for<'t> Fn(S, EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
    {
        self.consumers.push(Consumer::new(name, move |tx, events| apply(state.clone(), tx, events)));
        self
    }

    /// Runs a loop until the stop; when it ends or panics before, it is begun anew after a second.
    #[must_use]
    pub fn background<F, Fut>(mut self, name: &'static str, body: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.loops.push((name, Box::new(move || Box::pin(body()))));
        self
    }
}

/// Services that run in this process.
pub struct Running {
    contexts: Vec<Context>,
    tasks: Tasks,
    starts: Vec<tokio::task::JoinHandle<Result<(), StartError>>>,
    ready: Arc<std::sync::Mutex<std::collections::BTreeSet<&'static str>>>,
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

/// Brings the databases of services up to date: database, role, schema, the platform's tables, the service's migrations.
/// `tell` hears of each service that is done. Idempotent; what `bodega migrate` does, and tests before [`run`].
///
/// # Errors
/// The first service that it failed for, and why; the ones before it are done.
pub async fn migrate(config: &Config, services: &[Service], mut tell: impl FnMut(&str)) -> Result<(), ProvisionError> {
    for service in services {
        if let Some(migrations) = service.migrations {
            postgres::provision(config, service.name, service.extensions).await?;
            postgres::migrate(config, service.name, migrations).await?;
            tell(service.name);
        }
    }
    Ok(())
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
    let ready = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
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
        tasks.background(follow_revocations(first.clone()));
    }
    for (service, context) in &contexts {
        let (service, context, ready) = (*service, context.clone(), ready.clone());
        starts.push(tokio::spawn(async move {
            start(service, context).await?;
            ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(service.name);
            tracing::info!(service = service.name, "ready");
            Ok(())
        }));
    }
    let contexts = contexts.into_iter().map(|(_, context)| context).collect();
    Ok(Running { contexts, tasks, starts, ready })
}

async fn start(service: Service, context: Context) -> Result<(), StartError> {
    let inner = &*context.0;
    let context = match service.migrations {
        None => context,
        Some(migrations) => {
            wait_for_database(&context).await?;
            let count = postgres::pending_migrations(&inner.config, service.name, migrations).await?;
            if count > 0 {
                return Err(StartError::Pending { service: service.name, count });
            }
            let failpoints = Failpoints::from_environment(&inner.postgres).await;
            Context(Arc::new(Inner { failpoints, ..inner.clone() }))
        }
    };
    let inner = context.0.clone();
    let mut wiring = (service.start)(context).await?;
    if service.migrations.is_some() {
        add_outbox_routes(&mut wiring, service.name);
        inner.tasks.background(outbox::run_publisher(
            inner.postgres.clone(),
            inner.bus.clone(),
            inner.clock,
            inner.tasks.clone(),
        ));
    }
    let host = Arc::new(Host {
        service: service.name,
        authenticator: inner.authenticator.clone(),
        rate: server::RateLimiter::default(),
        clock: inner.clock,
        entropy: inner.entropy,
        tasks: inner.tasks.clone(),
    });
    if !wiring.routes.is_empty() {
        // Dropping the registration would end it, so it lives as long as the process takes requests.
        let micro = server::register(&inner.bus, host, wiring.routes).await?;
        let stopping = inner.tasks.stopping();
        inner.tasks.background(async move {
            stopping.cancelled().await;
            drop(micro);
        });
    }
    let shell = outbox::Shell {
        postgres: inner.postgres.clone(),
        bus: inner.bus.clone(),
        clock: inner.clock,
        entropy: inner.entropy,
        tasks: inner.tasks.clone(),
    };
    for consumer in wiring.consumers {
        tracing::debug!(service = service.name, consumer = consumer.name(), "consuming");
        inner.tasks.background(consumer.run(shell.clone()));
    }
    for (name, body) in wiring.loops {
        inner.tasks.background(keep_running(service.name, name, inner.tasks.clone(), body));
    }
    Ok(())
}

fn add_outbox_routes(wiring: &mut Wiring, service: &str) {
    let context = wiring.context.clone();
    wiring.routes.push(Route::on(format!("{service}.v1.outbox_page"), move |_, ask: outbox::OutboxPage| {
        let context = context.clone();
        async move { outbox::page(context.postgres(), ask).await }
    }));
    let context = wiring.context.clone();
    wiring.routes.push(Route::on(format!("{service}.v1.outbox_republish"), move |_, ask: outbox::Republish| {
        let context = context.clone();
        async move { outbox::republish(context.postgres(), context.bus(), *context.clock(), ask).await }
    }));
}

/// Waits for a database that is away; one that is there and refuses is an error.
async fn wait_for_database(context: &Context) -> Result<(), StartError> {
    let mut told = false;
    while let Err(error) = context.postgres().ready().await {
        if !error.is_transient() {
            return Err(StartError::Refused { service: context.service(), source: error });
        }
        if !told {
            tracing::warn!(service = context.service(), %error, "waiting for the database");
            told = true;
        }
        if context.tasks().pause(Duration::from_millis(START_PAUSE_MS)).await {
            break;
        }
    }
    Ok(())
}

async fn keep_running(service: &'static str, name: &'static str, tasks: Tasks, body: Loop) {
    let stopping = tasks.stopping();
    while !stopping.is_cancelled() {
        let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async { body().await })).await;
        if stopping.is_cancelled() {
            return;
        }
        match outcome {
            Ok(()) => tracing::debug!(service, task = name, "a loop ended; it is begun anew"),
            Err(_) => tracing::error!(service, task = name, "a loop panicked; it is begun anew"),
        }
        tasks.pause(Duration::from_millis(LOOP_PAUSE_MS)).await;
    }
}

/// Keeps the deny list: each revocation is told as it happens, and asked for in case that was missed.
async fn follow_revocations(context: Context) {
    let revocations = context.revocations();
    let mut position = 0;
    let stopping = context.tasks().stopping();
    let mut told = None;
    let mut asking = tokio::time::interval(Duration::from_secs(REVOCATIONS_EVERY_S));
    loop {
        if told.is_none() {
            told = context.bus().client().subscribe(identity::SessionRevoked::SUBJECT).await.ok();
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            Some(message) = async { told.as_mut()?.next().await } => {
                let now = context.clock().now();
                if let Ok(event) = serde_json::from_slice::<Event>(&message.payload)
                    && let Ok(data) = serde_json::from_value::<identity::SessionRevoked>(event.data)
                {
                    revocations.revoke(data.session, data.until, now);
                }
            }
            _ = asking.tick() => {
                let ask = identity::Revoked { after: position };
                if let Ok(page) = context.bus().request(&ask, &context.request_context()).await {
                    position = revocations.note_page(&page, context.clock().now()).unwrap_or(position);
                }
            }
        }
    }
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
        self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len() == self.contexts.len()
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
    ready: Arc<std::sync::Mutex<std::collections::BTreeSet<&'static str>>>,
}

impl Probe {
    /// How each service is, asked now.
    pub async fn health(&self) -> Vec<Health> {
        let asked = self.contexts.iter().map(|context| async {
            let service = context.service();
            let started = self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(service);
            let bus = context.bus().is_connected();
            let database = if context.0.has_database { Some(context.postgres().ready().await.is_ok()) } else { None };
            Health { service, ready: started && bus && database.unwrap_or(true), started, bus, database }
        });
        futures::future::join_all(asked).await
    }
}
