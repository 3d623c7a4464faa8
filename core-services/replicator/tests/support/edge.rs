//! An edge without pages: it takes batches by the domain's own rules, forgets, hangs and crashes when told to.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use bodega_domain::{
    catalog::ViewEntry,
    replication::{Batch, BatchError, BatchKind, EdgePosition, IngestStep, Manifest, advance, completes, open},
    token::PublicKey,
};
use bodega_platform::Clock;
use tokio::{net::TcpListener, task::JoinHandle};

/// What the edge keeps.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) position: EdgePosition,
    pub(crate) manifest: Manifest,
    pub(crate) views: BTreeMap<String, serde_json::Value>,
    /// The batch that was written last, with what it changed: known again when it comes again.
    mark: Option<(String, i64, u64)>,
    /// Every body that was posted, in order.
    pub(crate) posted: Vec<Bytes>,
    /// Every batch that was accepted, in order.
    pub(crate) accepted: Vec<(BatchKind, i64, i64, bool, usize)>,
}

/// A running edge.
pub(crate) struct Edge {
    pub(crate) id: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

struct Shared {
    id: &'static str,
    keys: Mutex<Vec<PublicKey>>,
    store: Mutex<Store>,
    /// Batches that are written and then not committed, as by a crash.
    crashes: AtomicU32,
    /// The edge's clock runs ahead by so many milliseconds.
    ahead_ms: Mutex<i64>,
    /// Nobody gets an answer while this is held.
    hang: tokio::sync::RwLock<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Edge {
    pub(crate) async fn start(id: &'static str) -> Self {
        let shared = Arc::new(Shared {
            id,
            keys: Mutex::default(),
            store: Mutex::default(),
            crashes: AtomicU32::new(0),
            ahead_ms: Mutex::default(),
            hang: tokio::sync::RwLock::default(),
        });
        let mut edge = Self { id, address: "127.0.0.1:0".parse().unwrap(), shared, serving: None };
        edge.up().await;
        edge
    }

    /// Listens again, on the same port.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/_edge/v1/ingest", get(show).post(receive))
            .layer(DefaultBodyLimit::max(8 * 1024 * 1024))
            .with_state(self.shared.clone());
        self.serving = Some(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    }

    /// Stops listening.
    pub(crate) async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub(crate) fn trust(&self, keys: Vec<PublicKey>) {
        *lock(&self.shared.keys) = keys;
    }

    pub(crate) fn toml(&self) -> String {
        format!("{{ id = \"{}\", url = \"{}\" }}", self.id, self.url())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.shared.store)
    }

    /// The next so many batches are written, and the edge crashes before it moves its position.
    pub(crate) fn crash_before_commit(&self, times: u32) {
        self.shared.crashes.store(times, SeqCst);
    }

    pub(crate) fn crashes_left(&self) -> u32 {
        self.shared.crashes.load(SeqCst)
    }

    /// Lets time pass at the edge.
    pub(crate) fn pass_ms(&self, ms: i64) {
        *lock(&self.shared.ahead_ms) += ms;
    }

    /// Takes connections and answers nobody until the guard is dropped.
    pub(crate) async fn hang(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.shared.hang.write().await
    }
}

async fn show(State(edge): State<Arc<Shared>>) -> Response {
    let _hang = edge.hang.read().await;
    Json(lock(&edge.store).position.clone()).into_response()
}

async fn receive(State(edge): State<Arc<Shared>>, body: Bytes) -> Response {
    let _hang = edge.hang.read().await;
    let mut store = lock(&edge.store);
    store.posted.push(body.clone());
    let now = Clock::system().now().plus_ms(*lock(&edge.ahead_ms));
    let batch = match open(&body, edge.id, &lock(&edge.keys), now) {
        Ok(batch) => batch,
        Err(_) => return StatusCode::UNAUTHORIZED.into_response(),
    };
    let by = format!("request {}", store.posted.len());
    let (header, hash) = (batch.header.clone(), batch.hash.clone());
    let begin = IngestStep::Begin { header: header.clone(), batch: hash.clone(), by: by.clone(), now };
    match advance(&store.position, &begin) {
        Ok(position) => store.position = position,
        Err(BatchError::OutOfOrder | BatchError::Busy) => {
            return (StatusCode::CONFLICT, Json(store.position.clone())).into_response();
        }
        Err(error) => panic!("{error}"),
    }
    let (live_keys, digest) = store.write(&batch);
    let crash = edge.crashes.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
    if crash.is_ok() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let commit = IngestStep::Commit { header: header.clone(), batch: hash, by, live_keys, digest };
    store.position = advance(&store.position, &commit).expect("nobody else writes");
    store.accepted.push((header.kind, header.from, header.to, header.complete, batch.entries.len()));
    Json(store.position.clone()).into_response()
}

impl Store {
    fn write(&mut self, batch: &Batch) -> (i64, u64) {
        if let Some((hash, live_keys, digest)) = &self.mark
            && *hash == batch.hash
        {
            return (*live_keys, *digest);
        }
        let begins = batch.header.kind == BatchKind::Snapshot && batch.header.from == 0;
        let generation = self.position.generation + u32::from(begins);
        let (mut live_keys, mut digest) = (0_i64, 0_u64);
        for entry in &batch.entries {
            let key = format!("{}/{}", entry.kind, entry.key);
            if let Some((keys, d)) = self.manifest.note(&key, entry.version, entry.body.is_some(), generation) {
                live_keys += keys;
                digest = digest.wrapping_add(d);
                self.keep(key, entry);
            }
        }
        if completes(&batch.header) {
            let stale: Vec<String> =
                self.manifest.0.iter().filter(|(_, held)| held.2 != generation).map(|(key, _)| key.clone()).collect();
            for key in stale {
                self.manifest.0.remove(&key);
                self.views.remove(&key);
            }
            (live_keys, digest) = self.manifest.totals();
        }
        self.mark = Some((batch.hash.clone(), live_keys, digest));
        (live_keys, digest)
    }

    fn keep(&mut self, key: String, entry: &ViewEntry) {
        match &entry.body {
            Some(body) => drop(self.views.insert(key, body.clone())),
            None => drop(self.views.remove(&key)),
        }
    }
}
