//! Postgres: a pool per service, whole transactions that are retried, and the schema and role that a service lives in.

mod error;
mod provision;
mod transaction;

use std::{str::FromStr as _, sync::Arc, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::Notify;

pub use error::{DatabaseError, TransactionError};
pub use provision::{
    ProvisionError, TEST_DATABASE_SETTING, mark_as_test_database, migrate, pending_migrations, provision,
};
pub use transaction::Tx;

use crate::config::Config;

/// Seconds after which an unused connection is closed.
const IDLE_TIMEOUT_S: u64 = 300;
/// Milliseconds that a readiness probe may take.
const READY_TIMEOUT_MS: u64 = 1_000;

/// The database of one service, under its own role, in its own schema.
#[derive(Clone, Debug)]
pub struct Postgres {
    service: &'static str,
    pool: PgPool,
    appended: Arc<Notify>,
}

impl Postgres {
    /// Prepares the pool of a service. Connects when first used, so that a service starts before its database does.
    ///
    /// # Errors
    /// When the connection string cannot be read.
    pub fn new(config: &Config, service: &'static str) -> Result<Self, DatabaseError> {
        let options = options(config, service)?;
        let pool = PgPoolOptions::new()
            .max_connections(config.database.connections_max_of(service))
            .acquire_timeout(Duration::from_millis(config.database.acquire_timeout_ms))
            .idle_timeout(Duration::from_secs(IDLE_TIMEOUT_S))
            .connect_lazy_with(options);
        Ok(Self { service, pool, appended: Arc::new(Notify::new()) })
    }

    /// For reads. Writes go through [`Postgres::transaction`], which alone can tell "not done" from "not known".
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The service whose schema this is.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Woken after each commit that appended to the outbox.
    #[must_use]
    pub fn appended(&self) -> &Notify {
        &self.appended
    }

    /// Whether the database answers within a second.
    ///
    /// # Errors
    /// Why not.
    pub async fn ready(&self) -> Result<(), DatabaseError> {
        let probe = sqlx::query("select 1").execute(&self.pool);
        match tokio::time::timeout(Duration::from_millis(READY_TIMEOUT_MS), probe).await {
            Ok(answer) => Ok(answer.map(|_| ())?),
            Err(_) => Err(DatabaseError::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }
}

/// How a service connects: its role, its schema, its name in `pg_stat_activity`.
fn options(config: &Config, service: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(config.database.url_of(service).expose())?.application_name(service).options([
        ("search_path", quoted_identifier(service).as_str()),
        ("statement_timeout", config.database.statement_timeout_ms.to_string().as_str()),
        ("timezone", "UTC"),
    ]))
}

/// `order` is a keyword, so schemas are always quoted.
fn quoted_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
