//! Runs the component: many instances, each reused, each with one request at a time, so that a trap ends one request.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wasmtime::component::{Component, GuestTaskId, Linker};
use wasmtime::{Config, Engine, Store, StoreContextMut};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::capability::{self, Shared};
use crate::guest::{Guest, Usage};
use crate::metrics::Metrics;
use crate::outbound::Allowed;
use crate::settings::{Limits, mib};
use crate::{artefact, guest_log};

/// Tells the component that this host overwrites `bodega-request-id`, so that it may believe it.
const NAMES_REQUESTS: &str = "BODEGA_HOST_NAMES_REQUESTS";
/// How often a computing instance looks up and lets its time limit be checked.
const EPOCH: Duration = Duration::from_millis(10);
/// What an instance may do after its answer: deferred merging of carts into the core.
const AFTER_ANSWER_MAX: Duration = Duration::from_secs(5);
/// Room for instances that have answered and not yet returned, in multiples of those that may have a request.
const INSTANCES_LIVE_FACTOR: u32 = 2;

/// Everything that instances are made from.
pub(crate) struct Runtime {
    pre: ServicePre<Guest>,
    engine: Engine,
    shared: Arc<Shared>,
    allowed: Allowed,
    /// Whether the component may resolve names: only when NATS is named and not numbered.
    names: bool,
    limits: Limits,
    live: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
    /// When the process ends, so do its instances: that is no fault of theirs.
    stopped: CancellationToken,
    /// Requests under way, and instances that are not done with what they put off.
    tasks: TaskTracker,
}

/// No instance is free and no further one may be made.
#[derive(Debug, thiserror::Error)]
#[error("all instances are in use")]
pub(crate) struct Exhausted;

/// Makes the engine and the thread that drives its epochs.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).epoch_interruption(true);
    let engine = Engine::new(&config)?;
    let ticked = engine.weak();
    std::thread::Builder::new().name("epochs".into()).spawn(move || {
        while let Some(engine) = ticked.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH);
        }
    })?;
    Ok(engine)
}

impl Runtime {
    /// Checks the component's imports against what is offered; nothing of it runs yet.
    pub(crate) fn new(
        engine: Engine,
        loaded: &artefact::Loaded,
        shared: Shared,
        allowed: Allowed,
        names: bool,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        capability::add_to_linker(&mut linker)?;
        let pre = ServicePre::new(linker.instantiate_pre(&loaded.component)?)?;
        let stopped = CancellationToken::new();
        Ok(Self {
            pre,
            engine,
            shared: Arc::new(shared),
            allowed,
            names,
            limits,
            live: Arc::default(),
            metrics,
            stopped,
            tasks: TaskTracker::new(),
        })
    }

    /// What an orderly stop waits for: requests outlive their connections, and instances their requests.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The host serves no more: instances that end now are not reported.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
    }

    /// Instances that exist now.
    pub(crate) fn live(&self) -> u32 {
        self.live.load(Relaxed)
    }

    fn store(&self) -> Store<Guest> {
        let allowed = self.allowed.clone();
        let wasi = WasiCtxBuilder::new()
            .stdout(guest_log::Lines)
            .stderr(guest_log::Lines)
            .env(NAMES_REQUESTS, "1")
            .allow_tcp(true)
            .allow_ip_name_lookup(self.names)
            .socket_addr_check(move |address: SocketAddr, purpose| {
                let granted = match purpose {
                    SocketAddrUse::TcpConnect => allowed.contains(&address),
                    // Connecting binds to any free port first; listening is denied below.
                    SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
                    _ => false,
                };
                Box::pin(async move { granted })
            })
            .build();
        let guest = Guest::new(Arc::clone(&self.shared), wasi, mib(self.limits.memory_mib));
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| &mut guest.bounds);
        // Yielding lets `Expiration` be polled, which drops the store when the time is over.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }
}

impl HandlerState for Runtime {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let place = Place::take(&self.live, self.limits.instances.saturating_mul(INSTANCES_LIVE_FACTOR))?;
        let begun = Instant::now();
        let mut store = self.store();
        let outgrown = store.data().outgrown();
        let making = ProxyPre::P3(self.pre.clone());
        let proxy = tokio::time::timeout(self.limits.request(), making.instantiate_async(&mut store))
            .await
            .map_err(|_| wasmtime::format_err!("the instance was not ready in time"))??;
        self.metrics.instantiated(begun.elapsed());
        let busy = Arc::new(Mutex::new(None));
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Expiration::new(self.limits, Arc::clone(&busy)),
            state: Worker {
                limits: self.limits,
                metrics: Arc::clone(&self.metrics),
                stopped: self.stopped.clone(),
                tasks: self.tasks.clone(),
                busy,
                outgrown,
                _place: place,
            },
        })
    }
}

/// One of the instances that may exist; given back when dropped.
struct Place(Arc<AtomicU32>);

impl Place {
    fn take(live: &Arc<AtomicU32>, max: u32) -> Result<Self, Exhausted> {
        live.try_update(Relaxed, Relaxed, |count| (count < max).then_some(count + 1)).map_err(|_| Exhausted)?;
        Ok(Self(Arc::clone(live)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Held by an instance from a request's start until it has nothing more to do, so that a stop waits for it.
type Busy = Arc<Mutex<Option<TaskTrackerToken>>>;

fn set_busy(busy: &Busy, token: Option<TaskTrackerToken>) {
    *busy.lock().unwrap_or_else(PoisonError::into_inner) = token;
}

/// Ends an instance from outside its store, also when it computes without end.
pub(crate) struct Expiration {
    limits: Limits,
    busy: Busy,
    due: Pin<Box<tokio::time::Sleep>>,
}

impl Expiration {
    fn new(limits: Limits, busy: Busy) -> Self {
        Self { limits, busy, due: Box::pin(tokio::time::sleep(limits.request())) }
    }
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, state: WorkerStatus, start: Instant) -> Poll<()> {
        let allowed = match state {
            WorkerStatus::Idle => {
                set_busy(&self.busy, None);
                self.limits.idle()
            }
            WorkerStatus::Requests => self.limits.request(),
            WorkerStatus::PostReturn => AFTER_ANSWER_MAX,
        };
        let due = tokio::time::Instant::from_std(start + allowed);
        if self.due.deadline() != due {
            self.due.as_mut().reset(due);
        }
        self.due.as_mut().poll(cx)
    }
}

/// Decides for one instance which requests it takes.
pub(crate) struct Worker {
    limits: Limits,
    metrics: Arc<Metrics>,
    stopped: CancellationToken,
    tasks: TaskTracker,
    busy: Busy,
    outgrown: Arc<AtomicBool>,
    _place: Place,
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = Arc<Usage>;

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        let served = u32::try_from(total_count).unwrap_or(u32::MAX);
        if served >= self.limits.requests_per_instance || (concurrent_count == 0 && self.outgrown.load(Relaxed)) {
            ShouldAccept::Never
        } else if concurrent_count == 0 {
            ShouldAccept::Yes
        } else {
            ShouldAccept::No
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        usage: Arc<Usage>,
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        store.data_mut().usage = usage;
        set_busy(&self.busy, Some(self.tasks.token()));
        Box::pin(tokio::time::sleep(self.limits.request()))
    }

    fn drop(&self, _store: Store<Guest>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result
            && !self.stopped.is_cancelled()
        {
            self.metrics.instance_failed();
            tracing::error!(error = format!("{error:#}"), "an instance ended with a fault");
        }
    }
}

/// The names of the component's imports, sorted: what it can reach at all.
pub(crate) fn imports(engine: &Engine, component: &Component) -> BTreeSet<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}
