//! Redis, as something to be without: every failure, every missing value and every timeout is "slower", never an error.

use std::{sync::LazyLock, time::Duration};

use redis::{AsyncCommands as _, aio::ConnectionManager, aio::ConnectionManagerConfig};
use tokio::sync::OnceCell;

use crate::{config, telemetry::metrics};

/// Seconds after a failed connection during which nobody tries again.
const RETRY_PAUSE_S: u64 = 1;

/// Bytes of a version before the value that it belongs to: big-endian, so that the larger number is the larger text.
const VERSION_BYTES: usize = 8;

/// Compares byte by byte: Lua compares texts by the server's locale, and its numbers are no 64-bit integers.
static SET_NEWER: LazyLock<redis::Script> = LazyLock::new(|| {
    redis::Script::new(
        r"
        local kept = redis.call('GETRANGE', KEYS[1], 0, 7)
        for i = 1, #kept do
            local a, b = kept:byte(i), ARGV[1]:byte(i)
            if a > b then return end
            if a < b then break end
        end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        ",
    )
});

/// A connection that may not be there. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redis(Option<std::sync::Arc<Inner>>);

struct Inner {
    client: redis::Client,
    connection: OnceCell<ConnectionManager>,
    timeout: Duration,
    not_before: std::sync::Mutex<Option<tokio::time::Instant>>,
}

impl Redis {
    /// Prepares a connection when one is configured. A wrong address is logged and means "without".
    #[must_use]
    pub fn new(config: &config::Redis) -> Self {
        if config.url.is_empty() {
            return Self(None);
        }
        match redis::Client::open(config.url.expose()) {
            Ok(client) => Self(Some(std::sync::Arc::new(Inner {
                client,
                connection: OnceCell::new(),
                timeout: Duration::from_millis(config.timeout_ms),
                not_before: std::sync::Mutex::new(None),
            }))),
            Err(error) => {
                tracing::warn!(%error, "redis.url cannot be read; going on without Redis");
                Self(None)
            }
        }
    }

    /// The value of a key; `None` also when Redis is away or slow.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.run(|mut connection| async move { connection.get(key).await }).await.flatten()
    }

    /// Sets a key for so long. `false` when that is not sure.
    pub async fn set(&self, key: &str, value: &[u8], time_to_live: Duration) -> bool {
        let seconds = time_to_live.as_secs().max(1);
        self.run(|mut connection| async move { connection.set_ex::<_, _, ()>(key, value, seconds).await })
            .await
            .is_some()
    }

    /// Sets a key unless it holds a later version, so that writers who overtake each other leave the latest behind.
    /// A value set so is read with [`get_versioned`](Self::get_versioned). `false` when that is not sure.
    pub async fn set_newer(&self, key: &str, version: u64, value: &[u8], time_to_live: Duration) -> bool {
        let milliseconds = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut versioned = version.to_be_bytes().to_vec();
        versioned.extend_from_slice(value);
        let versioned = &versioned;
        self.run(|mut connection| async move {
            SET_NEWER.key(key).arg(versioned).arg(milliseconds).invoke_async::<()>(&mut connection).await
        })
        .await
        .is_some()
    }

    /// What [`set_newer`](Self::set_newer) kept; `None` also when Redis is away or slow.
    pub async fn get_versioned(&self, key: &str) -> Option<(u64, Vec<u8>)> {
        let value = self.get(key).await?;
        let (version, value) = value.split_first_chunk::<VERSION_BYTES>()?;
        Some((u64::from_be_bytes(*version), value.to_vec()))
    }

    /// Forgets a key. `false` when that is not sure.
    pub async fn delete(&self, key: &str) -> bool {
        self.run(|mut connection| async move { connection.del::<_, ()>(key).await }).await.is_some()
    }

    /// Adds to a counter that ends so long after its first change, and gives its new value.
    pub async fn count(&self, key: &str, by: i64, time_to_live: Duration) -> Option<i64> {
        let seconds = i64::try_from(time_to_live.as_secs().max(1)).unwrap_or(i64::MAX);
        self.run(|mut connection| async move {
            redis::pipe()
                .atomic()
                .incr(key, by)
                .cmd("EXPIRE")
                .arg(key)
                .arg(seconds)
                .arg("NX")
                .ignore()
                .query_async::<(i64,)>(&mut connection)
                .await
        })
        .await
        .map(|(value,)| value)
    }

    /// Whether Redis answers; `None` when none is configured.
    pub async fn ready(&self) -> Option<bool> {
        self.0.as_ref()?;
        Some(
            self.run(|mut connection| async move { redis::cmd("PING").query_async::<String>(&mut connection).await })
                .await
                .is_some(),
        )
    }

    /// Runs one command within the configured time. Whatever goes wrong is counted and forgotten.
    pub async fn run<T, F, Fut>(&self, command: F) -> Option<T>
    where
        F: FnOnce(ConnectionManager) -> Fut,
        Fut: Future<Output = redis::RedisResult<T>>,
    {
        let inner = self.0.as_ref()?;
        let outcome = tokio::time::timeout(inner.timeout, async {
            let connection = inner.connection().await?;
            command(connection).await.ok()
        })
        .await;
        if !matches!(outcome, Ok(Some(_))) {
            metrics::counter("bodega_redis_failures_total", &[]).add(1);
        }
        outcome.ok().flatten()
    }
}

impl Inner {
    async fn connection(&self) -> Option<ConnectionManager> {
        if let Some(connection) = self.connection.get() {
            return Some(connection.clone());
        }
        let now = tokio::time::Instant::now();
        if self.not_before().is_some_and(|at| now < at) {
            return None;
        }
        let connected = self
            .connection
            .get_or_try_init(|| {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(self.timeout))
                    .set_response_timeout(Some(self.timeout))
                    .set_number_of_retries(1);
                ConnectionManager::new_with_config(self.client.clone(), config)
            })
            .await;
        match connected {
            Ok(connection) => Some(connection.clone()),
            Err(error) => {
                tracing::debug!(%error, "Redis cannot be reached");
                *self.not_before() = Some(now + Duration::from_secs(RETRY_PAUSE_S));
                None
            }
        }
    }

    fn not_before(&self) -> std::sync::MutexGuard<'_, Option<tokio::time::Instant>> {
        self.not_before.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Redis(configured)" } else { "Redis(none)" })
    }
}
