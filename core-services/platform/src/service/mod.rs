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

mod context;
mod running;
mod start;
mod wiring;

use std::{future::Future, pin::Pin};

use sqlx::migrate::Migrator;

pub use context::Context;
pub use running::{Health, Probe, Running, run};
pub use wiring::Wiring;

use crate::{
    bus::{BusError, server::RegisterError},
    config::Config,
    postgres::{self, DatabaseError, ProvisionError},
};

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
