//! What the storefront needs from the runtime it lives in, and nothing more.
//!
//! Three homes implement [`Platform`]: the Spin component (also run by the embedded host) and the Cloudflare Worker.
//! Futures are not `Send`: a WebAssembly guest has one thread. The trait is used as a type parameter, never as `dyn`.

use std::future::Future;

use http::{HeaderMap, Method, StatusCode};

/// Names of the settings that [`Platform::config`] knows. All are lower-case, as Spin demands of its variables.
pub mod setting {
    /// The name of this edge, as the replicator and the access log know it.
    pub const EDGE_ID: &str = "edge_id";
    /// Ring of public keys that sign account sessions: `kid:base64url,…`, Ed25519.
    pub const ACCOUNT_KEYS: &str = "account_keys";
    /// Ring of public keys that sign replication batches: `kid:base64url,…`, Ed25519.
    pub const REPLICATION_KEYS: &str = "replication_keys";
    /// Ring of secret keys of guest sessions and carts: `kid:base64url,…`; the first one signs, all verify.
    pub const GUEST_KEYS: &str = "guest_keys";
    /// Origin that shoppers see (`https://shop.example`), for links and the `Origin` check; absent: that of the request.
    pub const PUBLIC_ORIGIN: &str = "public_origin";
    /// Origin of the core's gateway (`http://127.0.0.1:8090`), from which pictures are read through; absent: only
    /// pictures that this edge has kept are served.
    pub const MEDIA_ORIGIN: &str = "media_origin";
    /// All of them, so that an adapter can be checked against its manifest.
    pub const ALL: [&str; 6] = [EDGE_ID, ACCOUNT_KEYS, REPLICATION_KEYS, GUEST_KEYS, PUBLIC_ORIGIN, MEDIA_ORIGIN];
}

/// An HTTP request whose body has been read (the runtime bounds its size).
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as sent, percent-encoded, beginning with `/`.
    pub path: String,
    /// The query as sent, without `?`; empty when there is none.
    pub query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// An HTTP response with its whole body.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers; the runtime adds `content-length` and `date`.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why the key-value store did not answer. A missing key is no error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The store is away, slow or over its limits; the text is for the log.
    #[error("key-value store unavailable: {0}")]
    Unavailable(String),
    /// This component may not use the store: a mistake in the deployment.
    #[error("key-value store denied")]
    Denied,
}

/// The kinds of atomic cell; each has its own merge function in this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// A shopper's cart, by the hash of its secret.
    Cart,
    /// The position and digests of replication: one cell per edge.
    Ingest,
}

impl CellKind {
    /// A short name for keys, classes and bindings of the runtime.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cart => "cart",
            Self::Ingest => "ingest",
        }
    }

    /// The kind of that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cart, Self::Ingest].into_iter().find(|kind| kind.name() == name)
    }
}

/// A delta was not merged; the cell keeps what it had. The bytes say why, in the encoding of that kind of cell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cell refused the delta")]
pub struct MergeRefused(pub Vec<u8>);

/// A merge function: pure, so that it may run in a compare-and-swap loop (and then more than once) or inside a Durable
/// Object. `Ok(Some(new))` is stored, `Ok(None)` leaves the cell as it is.
pub type Merge = fn(CellKind, Option<&[u8]>, &[u8]) -> Result<Option<Vec<u8>>, MergeRefused>;

/// Why a cell could not be read or merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// The cell is away or over its limits; whether the delta arrived is not known, which merging again repairs.
    #[error("atomic cell unavailable: {0}")]
    Unavailable(String),
    /// Others won every attempt; nothing was written by this call.
    #[error("atomic cell contended")]
    Contended,
    /// The merge function refused the delta; nothing was written.
    #[error(transparent)]
    Refused(#[from] MergeRefused),
}

/// A request to a service of the core.
#[derive(Debug, Clone, Copy)]
pub struct CoreRequest<'a> {
    /// `<service>.v1.<verb>`.
    pub subject: &'a str,
    /// NATS headers: request id, token, deadline, trace.
    pub headers: &'a [(&'a str, &'a str)],
    /// JSON.
    pub payload: &'a [u8],
    /// When to give up, Unix milliseconds: connecting, asking and waiting together.
    pub deadline_ms: i64,
}

/// Why the core did not answer. The two differ in what may be promised to the shopper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Surely not delivered to a service: no connection, no responder, refused by the bus. The text is for the log.
    #[error("core unavailable: {0}")]
    Unavailable(String),
    /// Handed to the bus and no answer: it may have been done or not. The text is for the log.
    #[error("core did not answer: {0}")]
    Unknown(String),
}

/// Why a picture could not be read through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The origin is away, slow, or not configured. The text is for the log.
    #[error("media unavailable: {0}")]
    Unavailable(String),
}

/// Header in which a runtime tells the shopper's address; it must drop one that came from outside. Absent: not known.
pub const CLIENT_ADDRESS: &str = "bodega-client-address";

/// Header in which a runtime tells the id that it has given the request; it must drop one that came from outside, or a
/// client could choose ids that collide. Absent: the storefront makes one.
pub const REQUEST_ID: &str = "bodega-request-id";

/// The runtime, as the storefront sees it. Cheap to clone: deferred work takes its own handle.
#[allow(async_fn_in_trait)]
pub trait Platform: Clone + 'static {
    /// The value of a key. Eventually consistent: on some edges a change shows after a minute or more.
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError>;

    /// Writes a key. The last writer wins; never read, change and write a key: that is what cells are for.
    async fn kv_put(&self, key: &str, value: Vec<u8>) -> Result<(), KvError>;

    /// Removes a key, whether it is there or not.
    async fn kv_delete(&self, key: &str) -> Result<(), KvError>;

    /// The value of a cell, as of the last merge that returned at this edge.
    async fn cell_read(&self, cell: CellKind, key: &str) -> Result<Option<Vec<u8>>, CellError>;

    /// Merges `delta` into the cell atomically with the [`Merge`] function of this crate, and returns its value after.
    async fn cell_merge(&self, cell: CellKind, key: &str, delta: Vec<u8>) -> Result<Vec<u8>, CellError>;

    /// Asks a service of the core and waits for its one answer.
    async fn request(&self, request: CoreRequest<'_>) -> Result<Vec<u8>, LinkError>;

    /// The time, Unix milliseconds.
    fn now_ms(&self) -> i64;

    /// Fills `bytes` from the runtime's secure source.
    fn random(&self, bytes: &mut [u8]);

    /// A setting of the deployment, by a name of [`setting`]; absent and empty are the same.
    fn config(&self, name: &str) -> Option<String>;

    /// Writes one line to the runtime's log: JSON with `request_id`, without personal data.
    fn log(&self, line: &str);

    /// Reads `/media/{name}` through from [`setting::MEDIA_ORIGIN`], at most 2 MiB; `None` when there is no such
    /// picture. The storefront checks the bytes against the hash in their name and keeps them. A runtime without an
    /// outgoing HTTP connection leaves this as it is.
    async fn fetch_media(&self, name: &str) -> Result<Option<Vec<u8>>, MediaError> {
        Err(MediaError::Unavailable(format!("this runtime does not read {name} through")))
    }

    /// Waits for so many milliseconds where the runtime can, inside [`Platform::defer`] only. One that cannot returns at
    /// once: what was to be spread in time then happens sooner, never wrongly.
    async fn pause(&self, ms: u64) {
        let _ = ms;
    }

    /// Runs `work` after the answer if the runtime can keep going, else before it. May be dropped with the instance:
    /// only for what another request repairs.
    fn defer(&self, work: impl Future<Output = ()> + 'static);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_kind_leads_back_to_it() {
        for kind in [CellKind::Cart, CellKind::Ingest] {
            assert_eq!(CellKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(CellKind::from_name("basket"), None);
    }

    #[test]
    fn settings_are_names_that_spin_accepts() {
        for name in setting::ALL {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        }
    }
}
