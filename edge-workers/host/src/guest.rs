//! What belongs to one instance: its WASI contexts, its bounds, and the account of the request that it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use crate::capability::{Bucket, Shared};
use crate::kv::{self, Stores};
use crate::media::MediaOrigin;

/// Tables, memories and core instances of one component instance: what the toolchain makes, with room.
const PARTS_MAX: usize = 32;
/// Elements of a table: function pointers of a large component.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Handles that an instance may hold at once: a replication batch writes some 900 keys side by side.
const HANDLES_MAX: usize = 16_384;

/// Linear memory that an instance may keep for further requests; one that grew beyond is replaced after its request, since
/// WebAssembly memory never shrinks.
const MEMORY_KEPT_BYTES: usize = 32 << 20;

/// Bounds an instance, and notices when it has become too large to keep.
pub(crate) struct Bounds {
    limits: StoreLimits,
    outgrown: Arc<AtomicBool>,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > MEMORY_KEPT_BYTES {
            self.outgrown.store(true, Relaxed);
        }
        self.limits.memory_growing(current, desired, maximum)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

/// What one request cost in storage; read by the access log and by the metrics.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    swaps: AtomicU64,
}

/// A [`Usage`] at one moment. Bytes are those of values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UsageSnapshot {
    pub(crate) reads: u64,
    pub(crate) read_bytes: u64,
    pub(crate) writes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) swaps: u64,
}

impl Usage {
    fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Relaxed);
        self.read_bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }

    fn wrote(&self, bytes: usize) {
        self.writes.fetch_add(1, Relaxed);
        self.written_bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts an attempt of compare-and-swap, won or lost.
    pub(crate) fn swapped(&self) {
        self.swaps.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> UsageSnapshot {
        UsageSnapshot {
            reads: self.reads.load(Relaxed),
            read_bytes: self.read_bytes.load(Relaxed),
            writes: self.writes.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            swaps: self.swaps.load(Relaxed),
        }
    }
}

/// The data of an instance's store.
pub(crate) struct Guest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: ResourceTable,
    /// Of the request that the instance serves now.
    pub(crate) usage: Arc<Usage>,
    pub(crate) bounds: Bounds,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Outbound,
}

impl Guest {
    pub(crate) fn new(shared: Arc<Shared>, wasi: WasiCtx, memory_bytes: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            table,
            usage: Arc::default(),
            bounds: Bounds {
                limits: StoreLimitsBuilder::new()
                    .memory_size(memory_bytes)
                    .table_elements(TABLE_ELEMENTS_MAX)
                    .instances(PARTS_MAX)
                    .tables(PARTS_MAX)
                    .memories(PARTS_MAX)
                    .build(),
                outgrown: Arc::default(),
            },
            wasi,
            http: WasiHttpCtx::new(),
            hooks: Outbound { media: shared.media.clone() },
            shared,
        }
    }

    /// Set once the instance has become too large to keep.
    pub(crate) fn outgrown(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.bounds.outgrown)
    }

    /// Reads a key on behalf of the current request. `Err` outside: the handle is not one.
    pub(crate) fn read(
        &self,
        bucket: &Resource<Bucket>,
        key: &str,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, kv::Error>> {
        let store = &self.table.get(bucket)?.0;
        let read = self.shared.stores.get(store, key);
        self.usage.read(read.as_ref().ok().and_then(Option::as_ref).map_or(0, Vec::len));
        Ok(read)
    }

    /// Counts a write of the current request, and says where to write.
    pub(crate) fn write(&self, bucket: &Resource<Bucket>, bytes: usize) -> wasmtime::Result<(Stores, Arc<str>)> {
        let store = Arc::clone(&self.table.get(bucket)?.0);
        self.usage.wrote(bytes);
        Ok((self.shared.stores.clone(), store))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Outgoing HTTP: pictures from one origin, nothing else.
struct Outbound {
    media: Option<Arc<MediaOrigin>>,
}

type SendRequest = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for Outbound {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // `host` is the request's business; all others of the list are the connection's.
        Arc::new(|name| *name != http::header::HOST && DEFAULT_FORBIDDEN_HEADERS.contains(name))
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = SendRequest> + Send> {
        let media = self.media.clone().filter(|media| media.serves(&request));
        Box::new(async move {
            let media = media.ok_or(Error::HttpRequestDenied)?;
            let answer = media.fetch(request.uri().path()).await?;
            Ok((answer, Box::new(async { Ok(()) }) as Box<dyn Future<Output = Result<(), Error>> + Send>))
        })
    }
}
