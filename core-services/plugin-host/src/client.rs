//! Asks plugin hosts: keeps a few processes, replaces those that die, and turns whatever happens into an outcome.
//!
//! * [`Pool::run`] runs a batch in one process. When that process dies or hangs, each call is run again alone, so that
//!   only the culprit's ends in [`Outcome::HostLost`]: a plugin never costs the shopper another plugin's discount.
//!   A plugin's calls are pure, so running one twice is no harm. A plugin that goes on wasting time is left out for a
//!   while.
//! * [`Pool::admit`] checks an upload in a process of its own, because compiling a stranger's code may take long or
//!   end badly, and quotes must not wait for that.
//!
//! A caller that gives up drops the future; the process that was still busy for it is killed and not used again.

mod process;
mod strikes;

use crate::{
    limits::{CALLS_MAX, EPOCH_TICK, EPOCH_TICKS_MAX},
    protocol::{Batch, Component, Hash, Inspection, Loaded, Outcome, Rejection, Request, Response, Run, Verdict},
};
use process::{Lost, Process};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use strikes::Strikes;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// How the pool works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary `bodega-plugin-host`.
    pub program: PathBuf,
    /// Folder for compiled components; without one every process compiles for itself.
    pub cache: Option<PathBuf>,
    /// Processes that answer at once. Each uses one processor while it runs.
    pub processes: usize,
    /// How long a batch waits for a free process before it is [`Error::Busy`].
    pub wait_max: Duration,
    /// How long starting a process, or handing over a batch, may take beside the calls' own time.
    pub exchange_max: Duration,
    /// How long checking and compiling a component may take.
    pub load_max: Duration,
}

impl Options {
    /// Two processes, and patience that suits a shopper who waits for a quote.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            cache: None,
            processes: 2,
            wait_max: Duration::from_millis(500),
            exchange_max: Duration::from_secs(2),
            load_max: Duration::from_secs(20),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// All processes are busy and stayed so.
    #[error("all plugin hosts are busy")]
    Busy,
    /// The process cannot be started.
    #[error("{program} cannot be started: {source}")]
    Spawn {
        /// What was to be started.
        program: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// The component is not a plugin that may run here.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The process died or hung while it checked a component.
    #[error("the plugin host was lost: {detail}")]
    Lost {
        /// What was seen of it.
        detail: String,
    },
    /// The process does not understand the request: a fault on this side.
    #[error("the plugin host does not understand: {detail}")]
    Misunderstood {
        /// What it says.
        detail: String,
    },
}

/// A few plugin hosts. Cheap to clone; the processes end with the last clone.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    /// A permit for each process.
    slots: Semaphore,
    /// One upload at a time: they may be slow.
    admissions: Semaphore,
    idle: Mutex<Vec<Process>>,
    known: Mutex<HashMap<Hash, Component>>,
    alive: Arc<Mutex<BTreeSet<u32>>>,
    started: AtomicU64,
    strikes: Strikes,
}

impl Pool {
    /// A pool without processes: they are started as they are needed.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let slots = Semaphore::new(options.processes.max(1));
        Self {
            inner: Arc::new(Inner {
                options,
                slots,
                admissions: Semaphore::new(1),
                idle: Mutex::default(),
                known: Mutex::default(),
                alive: Arc::default(),
                started: AtomicU64::new(0),
                strikes: Strikes::default(),
            }),
        }
    }

    /// Lets calls name this component. It is handed to a process when a call first needs it there.
    pub fn register(&self, component: Component) -> Hash {
        let hash = component.hash();
        lock(&self.inner.known).insert(hash, component);
        hash
    }

    /// Whether calls may name this component.
    #[must_use]
    pub fn knows(&self, hash: &Hash) -> bool {
        lock(&self.inner.known).contains_key(hash)
    }

    /// Takes a component out of use. Processes drop it when they need the room.
    pub fn forget(&self, hash: &Hash) {
        lock(&self.inner.known).remove(hash);
    }

    /// The processes that live now.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        lock(&self.inner.alive).iter().copied().collect()
    }

    /// Processes started so far: more than `processes` means that some were lost, or that uploads were checked.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.inner.started.load(Ordering::Relaxed)
    }

    /// Asks a process for a sign of life and says which engine it has.
    ///
    /// # Errors
    /// No process is free, starts or answers.
    pub async fn ping(&self) -> Result<String, Error> {
        let _slot = self.slot().await?;
        let (mut process, _) = self.take()?;
        let response = process.exchange(&Request::Ping, self.inner.options.exchange_max).await?;
        self.give_back(process);
        match response {
            Response::Pong { engine } => Ok(engine),
            other => Err(Error::Misunderstood { detail: format!("{other:?}") }),
        }
    }

    /// Says what a component is, without compiling or running it.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it is none, and whatever kept a process from answering.
    pub async fn inspect(&self, component: &Component) -> Result<Inspection, Error> {
        let _slot = self.slot().await?;
        let (mut process, _) = self.take()?;
        let request = Request::Inspect { component: component.clone() };
        let response = process.exchange(&request, self.inner.options.load_max).await?;
        self.give_back(process);
        match response {
            Response::Inspected(inspection) => Ok(inspection),
            Response::Rejected(rejection) => Err(rejection.into()),
            other => Err(Error::Misunderstood { detail: format!("{other:?}") }),
        }
    }

    /// Checks a component and tries it on `trial`, in a process of its own, and registers nothing. In the trial's
    /// calls the plugin is this component, whatever they name.
    ///
    /// # Errors
    /// [`Error::Rejected`] with the reason for the merchant, or the process was lost over it.
    pub async fn admit(&self, component: &Component, trial: &Batch) -> Result<(Loaded, Vec<Verdict>), Error> {
        let options = &self.inner.options;
        let _turn = timeout(options.load_max, self.inner.admissions.acquire()).await.map_err(|_| Error::Busy)?;
        let mut process = self.spawn()?;
        let hash = component.hash();
        let load = Request::Load { hash, component: component.clone() };
        let loaded = match process.exchange(&load, options.load_max).await? {
            Response::Loaded(loaded) => loaded,
            Response::Rejected(rejection) => return Err(rejection.into()),
            other => return Err(Error::Misunderstood { detail: format!("{other:?}") }),
        };
        let mut verdicts = Vec::with_capacity(trial.calls.len());
        for calls in trial.calls.chunks(CALLS_MAX) {
            let mut batch = Batch { carts: trial.carts.clone(), calls: calls.to_vec() };
            batch.calls.iter_mut().for_each(|call| call.plugin = hash);
            let limit = self.run_max(batch.calls.len());
            match process.exchange(&Run { run: &batch }, limit).await? {
                Response::Ran(ran) => verdicts.extend(ran),
                other => return Err(Error::Misunderstood { detail: format!("{other:?}") }),
            }
        }
        Ok((loaded, verdicts))
    }

    /// Runs a batch of at most [`CALLS_MAX`] calls; a verdict for each, in order.
    ///
    /// # Errors
    /// All processes stay busy, none can be started, or the batch makes no sense. What a plugin does is no error.
    pub async fn run(&self, batch: &Batch) -> Result<Vec<Verdict>, Error> {
        let strikes = &self.inner.strikes;
        let left_out: Vec<bool> = batch.calls.iter().map(|call| strikes.suspended(&call.plugin)).collect();
        let mut ran = if left_out.contains(&true) {
            let asked = batch.calls.iter().zip(&left_out).filter(|(_, left_out)| !**left_out);
            let calls = asked.map(|(call, _)| call.clone()).collect();
            self.run_all(&Batch { carts: batch.carts.clone(), calls }).await?
        } else {
            self.run_all(batch).await?
        }
        .into_iter();
        let suspended = Verdict { outcome: Outcome::Suspended, fuel: 0 };
        let verdicts: Vec<Verdict> = left_out
            .into_iter()
            .map_while(|left_out| if left_out { Some(suspended.clone()) } else { ran.next() })
            .collect();
        for (call, verdict) in batch.calls.iter().zip(&verdicts) {
            strikes.count(&call.plugin, &verdict.outcome);
        }
        Ok(verdicts)
    }

    async fn run_all(&self, batch: &Batch) -> Result<Vec<Verdict>, Error> {
        if batch.calls.is_empty() {
            return Ok(Vec::new());
        }
        let _slot = self.slot().await?;
        let (process, fresh) = self.take()?;
        let lost = match self.attempt(process, batch).await {
            Ok(verdicts) => return Ok(verdicts),
            Err(Failed::Lost(lost)) => lost,
            Err(Failed::Error(error)) => return Err(error),
        };
        tracing::warn!(detail = %lost, calls = batch.calls.len(), "plugin host lost, each call is run alone");
        if fresh && batch.calls.len() == 1 {
            return Ok(vec![host_lost(&lost)]);
        }
        let mut verdicts = Vec::with_capacity(batch.calls.len());
        for call in &batch.calls {
            let alone = Batch { carts: batch.carts.clone(), calls: vec![call.clone()] };
            match self.attempt(self.spawn()?, &alone).await {
                Ok(alone) => verdicts.extend(alone),
                Err(Failed::Lost(lost)) => verdicts.push(host_lost(&lost)),
                Err(Failed::Error(error)) => return Err(error),
            }
        }
        Ok(verdicts)
    }

    /// Runs a batch in this process, and gives it back if it is as good as before.
    async fn attempt(&self, mut process: Process, batch: &Batch) -> Result<Vec<Verdict>, Failed> {
        self.load(&mut process, batch).await?;
        let limit = self.run_max(batch.calls.len());
        let mut response = process.exchange(&Run { run: batch }, limit).await?;
        // The process made room for other plugins meanwhile: once more, with all of them loaded.
        if matches!(&response, Response::Ran(verdicts) if self.made_room(batch, verdicts)) {
            process.loaded.clear();
            self.load(&mut process, batch).await?;
            response = process.exchange(&Run { run: batch }, limit).await?;
        }
        self.give_back(process);
        match response {
            Response::Ran(verdicts) if verdicts.len() == batch.calls.len() => Ok(verdicts),
            Response::Misunderstood { detail } => Err(Failed::Error(Error::Misunderstood { detail })),
            other => Err(Failed::Error(Error::Misunderstood { detail: format!("{other:?}") })),
        }
    }

    /// Hands over the components that this process does not have yet.
    async fn load(&self, process: &mut Process, batch: &Batch) -> Result<(), Failed> {
        for call in &batch.calls {
            let component = lock(&self.inner.known).get(&call.plugin).cloned();
            let Some(component) = component.filter(|_| !process.loaded.contains(&call.plugin)) else { continue };
            let request = Request::Load { hash: call.plugin, component };
            match process.exchange(&request, self.inner.options.load_max).await? {
                Response::Loaded(_) => {}
                // Its calls will end in `NotLoaded`, those of the others must not suffer.
                other => tracing::warn!(plugin = %call.plugin, answer = ?other, "a registered plugin does not load"),
            }
            process.loaded.insert(call.plugin);
        }
        Ok(())
    }

    fn made_room(&self, batch: &Batch, verdicts: &[Verdict]) -> bool {
        let known = lock(&self.inner.known);
        let mut pairs = batch.calls.iter().zip(verdicts);
        pairs.any(|(call, verdict)| verdict.outcome == Outcome::NotLoaded && known.contains_key(&call.plugin))
    }

    async fn slot(&self) -> Result<SemaphorePermit<'_>, Error> {
        match timeout(self.inner.options.wait_max, self.inner.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }

    /// An idle process, or a fresh one.
    fn take(&self) -> Result<(Process, bool), Error> {
        let idle = lock(&self.inner.idle).pop();
        idle.map_or_else(|| self.spawn().map(|process| (process, true)), |process| Ok((process, false)))
    }

    fn give_back(&self, process: Process) {
        let mut idle = lock(&self.inner.idle);
        // While calls are run alone there may be one more than there are slots.
        if idle.len() < self.inner.options.processes.max(1) {
            idle.push(process);
        }
    }

    fn spawn(&self) -> Result<Process, Error> {
        self.inner.started.fetch_add(1, Ordering::Relaxed);
        Process::spawn(&self.inner.options, &self.inner.alive)
            .map_err(|source| Error::Spawn { program: self.inner.options.program.clone(), source })
    }

    /// The host ends a call by itself, in the worst case by its clock; only then is it the process that hangs.
    fn run_max(&self, calls: usize) -> Duration {
        let ticks = u32::try_from(EPOCH_TICKS_MAX + 1).unwrap_or(u32::MAX);
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        self.inner.options.exchange_max + (EPOCH_TICK * ticks).saturating_mul(calls)
    }
}

/// Why an attempt has no verdicts.
enum Failed {
    Lost(Lost),
    Error(Error),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        Self::Lost { detail: lost.to_string() }
    }
}

fn host_lost(lost: &Lost) -> Verdict {
    Verdict { outcome: Outcome::HostLost { detail: lost.to_string() }, fuel: 0 }
}

/// Nothing that holds one of these locks can leave its content half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
