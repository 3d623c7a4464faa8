//! A set of real servers for one test.

use bodega_stack::{
    Durability, Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, StackError, Tools, free_port,
    silent, sweep_abandoned, test_folder,
};
use sqlx::{Connection, PgConnection};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// A free port may be gone when the server binds it: another test process is looking for one too.
const START_ATTEMPTS: u32 = 5;
const CONNECTIONS_MAX: u32 = 200;
const CLUSTER_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The database of [`Servers::start_filled`].
pub const FILLED_DATABASE: &str = "filled";

/// Why the servers could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A server did not start.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A database could not be made.
    #[error("cannot create the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The system gave no port or no thread.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

/// Postgres, NATS with JetStream, and Redis on free loopback ports, each its own, with empty data; stopped and deleted
/// when dropped. They end with the test process, however it ends.
#[derive(Debug)]
pub struct Servers {
    tools: Tools,
    folder: PathBuf,
    postgres: Mutex<Option<Postgres>>,
    nats: Mutex<Nats>,
    redis: Mutex<Redis>,
    postgres_port: u16,
    nats_port: u16,
    redis_port: u16,
    databases: AtomicU32,
}

impl Servers {
    /// Starts a set of its own: for tests that kill servers, or that need a bus that nobody else talks on. Takes about
    /// half a second.
    ///
    /// # Errors
    /// When a server is missing or does not come up.
    pub async fn start() -> Result<Self, HarnessError> {
        Self::start_with(None).await
    }

    /// The same with a NATS configuration file: accounts and permissions.
    ///
    /// # Errors
    /// When a server is missing or does not come up.
    pub async fn start_with(nats_configuration: Option<PathBuf>) -> Result<Self, HarnessError> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(nats_configuration.as_deref(), None));
        started.await.map_err(std::io::Error::other)?
    }

    /// A set of its own whose Postgres has [`FILLED_DATABASE`] as `fill` left it. `key` stands for everything that
    /// `fill` does: it runs once, and whoever comes with the same key begins from a copy of the cluster. Names a
    /// folder: letters, digits, `-`.
    ///
    /// # Errors
    /// When a server is missing or does not come up.
    pub async fn start_filled(key: &str, fill: impl AsyncFnOnce(&Self)) -> Result<Self, HarnessError> {
        let parent = test_folder().join("clusters");
        let cluster = parent.join(key);
        std::fs::create_dir_all(&parent)?;
        let file = File::create(parent.join(format!("{key}.lock")))?;
        // Says that it is still in use, whether it is made now or not.
        file.set_modified(SystemTime::now())?;
        if !cluster.exists() {
            sweep_unused(&parent);
            // Blocks its thread, which has nothing else to do: a test that waits here cannot begin without it.
            file.lock()?;
            if !cluster.exists() {
                let servers = Self::start().await?;
                servers.make_database(FILLED_DATABASE).await?;
                fill(&servers).await;
                servers.stop_into(&cluster)?;
            }
        }
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(None, Some(cluster)));
        started.await.map_err(std::io::Error::other)?
    }

    /// The set shared by all tests of this process; each takes a database of its own from it. Never stopped before the
    /// process ends.
    ///
    /// # Errors
    /// When a server is missing or does not come up.
    pub async fn shared() -> Result<&'static Self, HarnessError> {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    fn start_blocking(nats_configuration: Option<&Path>, cluster: Option<PathBuf>) -> Result<Self, HarnessError> {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let tools = match TOOLS.get() {
            Some(tools) => tools.clone(),
            None => {
                let found = Tools::obtain(&silent)?;
                TOOLS.get_or_init(|| found).clone()
            }
        };
        let parent = test_folder();
        sweep_abandoned(&parent);
        let folder = parent.join(format!("run-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed)));
        let postgres = attempt(|port| {
            let folder = folder.join("postgres");
            let options = PostgresOptions {
                folder,
                port,
                password: None,
                durability: Durability::None,
                database: None,
                cluster: cluster.clone(),
                max_connections: CONNECTIONS_MAX,
            };
            Postgres::start(&tools, options)
        })?;
        let nats = attempt(|port| {
            let configuration = nats_configuration.map(Path::to_path_buf);
            Nats::start(&tools, NatsOptions { folder: folder.join("nats"), port, monitor_port: None, configuration })
        })?;
        let redis = attempt(|port| Redis::start(&tools, RedisOptions { folder: folder.join("redis"), port }))?;
        Ok(Self {
            postgres_port: postgres.port(),
            nats_port: nats.port(),
            redis_port: redis.port(),
            tools,
            folder,
            postgres: Mutex::new(Some(postgres)),
            nats: Mutex::new(nats),
            redis: Mutex::new(redis),
            databases: AtomicU32::new(0),
        })
    }

    /// Makes an empty database whose name begins with `name` and returns the superuser's connection string for it.
    /// Every call makes another one.
    ///
    /// # Errors
    /// When Postgres refuses.
    pub async fn database(&self, name: &str) -> Result<String, HarnessError> {
        let name = format!("{name}_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.make_database(&name).await?;
        Ok(self.postgres_url(&name))
    }

    async fn make_database(&self, name: &str) -> Result<(), HarnessError> {
        let mut connection = PgConnection::connect(&self.postgres_url("postgres")).await?;
        // The name is the test's own word, not a user's.
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    fn stop_into(self, cluster: &Path) -> Result<(), HarnessError> {
        if let Some(postgres) = lock(&self.postgres).take() {
            postgres.stop_into(cluster)?;
        }
        Ok(())
    }

    /// The superuser's connection string for a database that exists.
    #[must_use]
    pub fn postgres_url(&self, database: &str) -> String {
        format!("postgres://postgres:postgres@127.0.0.1:{}/{database}", self.postgres_port)
    }

    /// `nats://127.0.0.1:<port>`
    #[must_use]
    pub fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.nats_port)
    }

    /// `redis://127.0.0.1:<port>/`
    #[must_use]
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.redis_port)
    }

    /// The folder of this set, deleted at the end; tests may put files there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The programs in use.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Ends Postgres as a crash would. Committed rows survive.
    pub fn kill_postgres(&self) {
        self.with_postgres(Postgres::kill);
    }

    /// Starts Postgres again, on the same port and data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_postgres(&self) -> Result<(), HarnessError> {
        Ok(self.with_postgres(Postgres::restart).unwrap_or(Ok(()))?)
    }

    /// It is there until [`Self::stop_into`] takes it, which ends the set.
    fn with_postgres<T>(&self, act: impl FnOnce(&mut Postgres) -> T) -> Option<T> {
        lock(&self.postgres).as_mut().map(act)
    }

    /// Kills NATS.
    pub fn kill_nats(&self) {
        lock(&self.nats).kill();
    }

    /// Starts NATS again, on the same port and JetStream store.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_nats(&self) -> Result<(), HarnessError> {
        Ok(lock(&self.nats).restart()?)
    }

    /// Kills Redis.
    pub fn kill_redis(&self) {
        lock(&self.redis).kill();
    }

    /// Starts Redis again, on the same port, empty.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_redis(&self) -> Result<(), HarnessError> {
        Ok(lock(&self.redis).restart()?)
    }
}

/// Deletes clusters that nobody has copied for a week: of migrations that are no more.
fn sweep_unused(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "lock"))
    {
        let unused = path
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|used| SystemTime::now().duration_since(used).is_ok_and(|unused| unused > CLUSTER_KEPT));
        if unused {
            let _ = std::fs::remove_dir_all(path.with_extension(""));
            let _ = std::fs::remove_file(&path);
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        lock(&self.redis).kill();
        lock(&self.nats).kill();
        self.with_postgres(Postgres::kill);
        // What cannot be deleted now is swept away by a later run.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn lock<T>(server: &Mutex<T>) -> MutexGuard<'_, T> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attempt<T>(mut start: impl FnMut(u16) -> Result<T, StackError>) -> Result<T, HarnessError> {
    let mut attempts = 1;
    loop {
        match start(free_port()?) {
            Err(StackError::Ended { .. }) if attempts < START_ATTEMPTS => attempts += 1,
            other => return Ok(other?),
        }
    }
}
