//! The key-value stores of this edge, kept on disk.
//!
//! Plain writes become durable with the next atomic one, or after [`FLUSH_INTERVAL`]: a catalogue can be replicated again,
//! and replication writes its entries first and its position, an atomic cell, after. A swap is durable before it is
//! answered. One thread writes; what waits while it is busy shares the next commit.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableDatabase, TableDefinition, TableError};
use tokio::sync::oneshot;

mod expiry;
mod writer;

pub(crate) use expiry::Rule;
pub(crate) use writer::Swap;
use writer::{Answer, Change, Write};

/// How long a plain write may wait for its durable commit: what a power cut may take from the catalogue.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Longest key, bytes: as on the narrowest of the edges.
pub(crate) const KEY_BYTES_MAX: usize = 512;
/// Largest value, bytes: as on the narrowest of the edges.
pub(crate) const VALUE_BYTES_MAX: usize = 25 * 1024 * 1024;

type Table<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

/// Why a store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    #[error("the key has {0} bytes, at most {KEY_BYTES_MAX} are allowed")]
    KeyTooLong(usize),
    #[error("the value has {0} bytes, at most {VALUE_BYTES_MAX} are allowed")]
    ValueTooLarge(usize),
    #[error("the value is not a counter")]
    NotACounter,
    #[error("the store failed: {0}")]
    Failed(Arc<redb::Error>),
    #[error("the store is closed")]
    Closed,
}

impl<E: Into<redb::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Failed(Arc::new(error.into()))
    }
}

/// All stores of this edge. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Stores {
    database: Arc<Database>,
    writes: mpsc::Sender<Write>,
    today: Today,
}

/// Days since 1970; passed in, so that tests let years go by.
pub(crate) type Today = fn() -> u32;

/// The calendar's day, UTC.
pub(crate) fn today() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs() / 86_400).unwrap_or(u32::MAX)
}

impl Stores {
    /// Opens or creates the file. It is locked: a second host on the same folder fails here.
    pub(crate) fn open(path: &Path, cache_bytes: usize, rules: Vec<Rule>, today: Today) -> Result<Self, Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let database = Arc::new(builder.create(path)?);
        let (writes, queue) = mpsc::channel();
        let writer = Arc::clone(&database);
        std::thread::Builder::new()
            .name("kv-writer".into())
            .spawn(move || writer::run(&writer, &rules, &queue))
            .map_err(redb::Error::Io)?;
        Ok(Self { database, writes, today })
    }

    /// The value of `key`. Reads a snapshot on the caller's thread: almost always from the page cache.
    pub(crate) fn get(&self, store: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        check_key(key)?;
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(Table::new(store)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Writes `key`; visible when this returns, durable a little later.
    pub(crate) async fn set(&self, store: &Arc<str>, key: String, value: Vec<u8>) -> Result<(), Error> {
        check_value(&value)?;
        self.write(store, key, Change::Set(value)).await.map(|_| ())
    }

    /// Removes `key`; visible when this returns, durable a little later.
    pub(crate) async fn delete(&self, store: &Arc<str>, key: String) -> Result<(), Error> {
        self.write(store, key, Change::Delete).await.map(|_| ())
    }

    /// Puts `value` in place of `expected`, or says what is there instead. Durable when it returns.
    pub(crate) async fn swap(
        &self,
        store: &Arc<str>,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<Swap, Error> {
        check_value(&value)?;
        match self.write(store, key, Change::Swap { expected, value }).await? {
            Answer::Swap(swap) => Ok(swap),
            Answer::Done | Answer::Counter(_) | Answer::Swept(_) => Err(Error::Closed),
        }
    }

    /// Adds to a counter (absent: zero) and returns the sum. Durable when it returns.
    pub(crate) async fn increment(&self, store: &Arc<str>, key: String, delta: i64) -> Result<i64, Error> {
        match self.write(store, key, Change::Increment(delta)).await? {
            Answer::Counter(sum) => Ok(sum),
            Answer::Done | Answer::Swap(_) | Answer::Swept(_) => Err(Error::Closed),
        }
    }

    /// Makes all that was written durable.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        self.write(&Arc::from(""), String::new(), Change::Flush).await.map(|_| ())
    }

    /// Removes what has expired, and says how many keys that were.
    pub(crate) async fn sweep(&self) -> Result<usize, Error> {
        let mut removed = 0;
        loop {
            match self.write(&Arc::from(""), String::new(), Change::Sweep).await? {
                Answer::Swept(count) => {
                    removed += count;
                    if count < expiry::SWEEP_MAX {
                        return Ok(removed);
                    }
                }
                Answer::Done | Answer::Swap(_) | Answer::Counter(_) => return Err(Error::Closed),
            }
        }
    }

    async fn write(&self, store: &Arc<str>, key: String, change: Change) -> Result<Answer, Error> {
        check_key(&key)?;
        let (answer, answered) = oneshot::channel();
        self.writes
            .send(Write { store: Arc::clone(store), key, change, today: (self.today)(), answer })
            .map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    if key.len() > KEY_BYTES_MAX { Err(Error::KeyTooLong(key.len())) } else { Ok(()) }
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.len() > VALUE_BYTES_MAX { Err(Error::ValueTooLarge(value.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
