//! The limits of replication, each with its unit in the name.

/// Entries asked of the catalogue for one batch: with a read and a write of each of the 64 manifests and the steps of the
/// ingest cell they stay below the 1,000 operations that Cloudflare allows to an invocation.
pub const BATCH_ENTRIES_MAX: u32 = 800;
const _: () = assert!(BATCH_ENTRIES_MAX as usize <= bodega_domain::limits::REPLICATION_ENTRIES_MAX);
/// Minutes for which a batch counts. The chain of hashes keeps it from being replayed; this only bounds how long an
/// unconfirmed batch is repeated before another is made.
pub const BATCH_VALID_MIN: i64 = 60;
/// Milliseconds between two looks at the catalogue when nobody tells of changes.
pub const LOOK_EVERY_MS: u64 = 1_000;
/// Seconds between two looks at an edge that is up to date: it may have lost its store.
pub const EDGE_LOOK_EVERY_S: i64 = 5;
/// Seconds between two comparisons of an edge's digest with the catalogue's.
pub const COMPARE_EVERY_S: i64 = 60;
/// Milliseconds for a connection to an edge.
pub const CONNECT_TIMEOUT_MS: u64 = 2_000;
/// Milliseconds for one request to an edge, as long as it may write a batch.
pub const EDGE_TIMEOUT_MS: u64 = 20_000;
/// Milliseconds to wait after the first failure of an edge; doubled by each further one.
pub const BACKOFF_MIN_MS: u64 = 100;
/// Milliseconds to wait at most, so that an edge that is back is served soon.
pub const BACKOFF_MAX_MS: u64 = 3_000;
/// Milliseconds between two attempts to lead an edge, while another process does.
pub const STANDBY_MS: u64 = 2_000;
/// Bytes of an edge's answer.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Characters of an error that is kept for operators.
pub const ERROR_CHARS_MAX: usize = 300;
