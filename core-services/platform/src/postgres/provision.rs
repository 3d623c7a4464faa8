//! What `bodega migrate` does before and with migrations: a role and a schema per service, and nothing shared.

use std::{str::FromStr as _, sync::LazyLock};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _,
    migrate::{Migrate as _, MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::config::Config;

/// A setting of the database itself that says: this one may be crashed on purpose. Fail points look for it.
pub const TEST_DATABASE_SETTING: &str = "bodega.test_database";

/// Serialises provisioning between processes that start at the same time. Any constant will do.
const PROVISION_LOCK: i64 = 0x0b0d_e6a0;

/// The platform's own tables in every service's schema, counted apart from the service's migrations.
static PLATFORM: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.dangerous_set_table_name(PLATFORM_MIGRATIONS_TABLE);
    migrator
});
const PLATFORM_MIGRATIONS_TABLE: &str = "_platform_migrations";

/// Attempts to prepare a service beside others that do the same on the same server.
const PROVISION_ATTEMPTS_MAX: u32 = 20;

/// Why a service has no schema, or an old one.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The admin connection failed; provisioning needs a role that may create roles, schemas and databases.
    #[error("{service}: preparing role and schema failed: {source}")]
    Provision {
        /// The service it was for.
        service: String,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("{service}: {source}")]
    Migrate {
        /// The service it was for.
        service: String,
        /// Which migration, and why.
        source: MigrateError,
    },
}

/// Makes sure that the database, the role and the schema of a service exist and that no other role gets in.
/// Idempotent; several processes may do it at once.
///
/// # Errors
/// When the admin role may not, or the server cannot be reached.
pub async fn provision(config: &Config, service: &str, extensions: &[&str]) -> Result<(), ProvisionError> {
    let mut attempt = 1;
    loop {
        match provision_inner(config, service, extensions).await {
            Ok(()) => return Ok(()),
            // Roles belong to the server: somebody who prepares another database of it was at the same role.
            Err(error) if attempt < PROVISION_ATTEMPTS_MAX && is_collision(&error) => attempt += 1,
            Err(source) => return Err(ProvisionError::Provision { service: service.to_owned(), source }),
        }
    }
}

/// Already there (a role, a schema, a database, their unique row), or changed by two at once.
fn is_collision(error: &sqlx::Error) -> bool {
    let state = error.as_database_error().and_then(|error| error.code());
    matches!(state.as_deref(), Some("42710" | "42P06" | "42P04" | "23505" | "XX000" | "55006"))
}

async fn provision_inner(config: &Config, service: &str, extensions: &[&str]) -> Result<(), sqlx::Error> {
    let url = config.database.url_of(service);
    let own = PgConnectOptions::from_str(url.expose())?;
    let role = own.get_username().to_owned();
    let database = own.get_database().unwrap_or(&role).to_owned();
    let admin =
        PgConnectOptions::from_str(config.database.admin_url_of(service).expose())?.application_name("bodega-migrate");

    let mut connection = PgConnection::connect_with(&admin).await?;
    lock(&mut connection).await?;
    let exists = sqlx::query("select 1 from pg_database where datname = $1").bind(&database);
    if exists.fetch_optional(&mut connection).await?.is_none() {
        run(&mut connection, "create database %I", &[&database]).await?;
    }
    connection.close().await?;

    let mut connection = PgConnection::connect_with(&admin.database(&database)).await?;
    lock(&mut connection).await?;
    let exists = sqlx::query("select 1 from pg_roles where rolname = $1").bind(&role);
    if exists.fetch_optional(&mut connection).await?.is_none() {
        run(&mut connection, "create role %I login nosuperuser nocreatedb nocreaterole noinherit", &[&role]).await?;
    }
    if let Some(password) = password_of(url.expose()) {
        run(&mut connection, "alter role %I login password %L", &[&role, &password]).await?;
    }
    run(&mut connection, "alter role %I in database %I set search_path = %I", &[&role, &database, service]).await?;
    run(&mut connection, "revoke all on database %I from public", &[&database]).await?;
    run(&mut connection, "revoke all on schema public from public", &[]).await?;
    run(&mut connection, "grant connect on database %I to %I", &[&database, &role]).await?;
    run(&mut connection, "create schema if not exists %I", &[service]).await?;
    for extension in extensions {
        run(&mut connection, "create extension if not exists %I schema %I", &[extension, service]).await?;
    }
    run(&mut connection, "alter schema %I owner to %I", &[service, &role]).await?;
    run(&mut connection, "revoke all on schema %I from public", &[service]).await?;
    connection.close().await
}

/// Declares the database of a service a test database, so that fail points may be armed there.
///
/// # Errors
/// When the admin role may not, or the server cannot be reached.
pub async fn mark_as_test_database(config: &Config, service: &str) -> Result<(), sqlx::Error> {
    let own = PgConnectOptions::from_str(config.database.url_of(service).expose())?;
    let admin = PgConnectOptions::from_str(config.database.admin_url_of(service).expose())?;
    let database = own.get_database().unwrap_or(own.get_username()).to_owned();
    let mut connection = PgConnection::connect_with(&admin).await?;
    run(&mut connection, &format!("alter database %I set {TEST_DATABASE_SETTING} = 'on'"), &[&database]).await?;
    connection.close().await
}

/// Applies the migrations of a service under its own role. Idempotent; Postgres serialises several processes.
///
/// # Errors
/// Names the migration that failed; the ones before it stay applied.
pub async fn migrate(config: &Config, service: &str, migrations: &Migrator) -> Result<(), ProvisionError> {
    let failed = |source| ProvisionError::Migrate { service: service.to_owned(), source };
    let options = super::options(config, service).map_err(|e| failed(e.into()))?;
    // Long index builds are fine here. (A pool of one: the migrator's future is `Send` with a pool only.)
    let options = options.options([("statement_timeout", "0")]);
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.map_err(|e| failed(e.into()))?;
    PLATFORM.run(&pool).await.map_err(failed)?;
    migrations.run(&pool).await.map_err(failed)?;
    pool.close().await;
    Ok(())
}

/// How many migrations of a service have not been applied to its database.
///
/// # Errors
/// When the database cannot be read.
pub async fn pending_migrations(
    config: &Config,
    service: &str,
    migrations: &Migrator,
) -> Result<usize, ProvisionError> {
    let failed = |source| ProvisionError::Migrate { service: service.to_owned(), source };
    let options = super::options(config, service).map_err(|e| failed(e.into()))?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(|e| failed(e.into()))?;
    let mut pending = 0;
    for (table, migrator) in [(PLATFORM_MIGRATIONS_TABLE, &*PLATFORM), ("_sqlx_migrations", migrations)] {
        let known: Option<String> = sqlx::query("select to_regclass($1)::text")
            .bind(table)
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(|e| failed(e.into()))?;
        let applied = match known {
            Some(_) => connection.list_applied_migrations(table).await.map_err(failed)?.len(),
            None => 0,
        };
        pending += migrator.iter().filter(|m| m.migration_type.is_up_migration()).count().saturating_sub(applied);
    }
    connection.close().await.map_err(|e| failed(e.into()))?;
    Ok(pending)
}

async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_lock($1)").bind(PROVISION_LOCK).execute(connection).await.map(|_| ())
}

/// Runs a utility statement, which takes no parameters, with names (`%I`) and texts (`%L`) quoted by Postgres itself.
async fn run(connection: &mut PgConnection, template: &str, values: &[&str]) -> Result<(), sqlx::Error> {
    let statement: String = sqlx::query("select format($1, variadic $2::text[])")
        .bind(template)
        .bind(values)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(|_| ())
}

/// The password in a connection string, percent-decoded. The client library keeps it to itself.
fn password_of(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let (_, password) = authority.rsplit_once('@')?.0.split_once(':')?;
    let mut decoded = Vec::with_capacity(password.len());
    let mut bytes = password.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok().filter(|password| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_read_from_connection_strings() {
        assert_eq!(password_of("postgres://u:p%40ss@h:1/d").as_deref(), Some("p@ss"));
        assert_eq!(password_of("postgres://u@h/d"), None);
        assert_eq!(password_of("postgres://u:@h/d"), None);
        assert_eq!(password_of("nonsense"), None);
    }
}
