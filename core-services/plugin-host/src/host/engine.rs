//! The engine, configured so that a plugin can neither leave nor differ from one run to the next.

use bodega_plugin_host::limits::{
    CORE_INSTANCES_MAX, EPOCH_TICK, INSTANCES_MAX, MEMORY_BYTES_MAX, STACK_BYTES_MAX, TABLE_ELEMENTS_MAX,
};
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// What an instance's own bookkeeping may take, in bytes: many functions and types mean much of it.
const INSTANCE_BOOKKEEPING_BYTES_MAX: usize = 256 * 1024;

/// Version of the engine: a part of the name of every compiled component. Pinned in the workspace's manifest, and a
/// test keeps the two together.
pub(crate) const VERSION: &str = "48.0.8";

/// The engine with a clock that ticks only while something runs.
pub(crate) struct Clocked {
    engine: Engine,
    running: Arc<(Mutex<bool>, Condvar)>,
}

impl Clocked {
    /// Builds the engine and starts its clock.
    pub(crate) fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config())?;
        let running = Arc::new((Mutex::new(false), Condvar::new()));
        let (ticking, watched) = (engine.clone(), Arc::clone(&running));
        thread::Builder::new().name("epoch".into()).spawn(move || tick(&ticking, &watched))?;
        Ok(Self { engine, running })
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Lets the clock tick until the guard is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        self.set(true);
        Running(self)
    }

    fn set(&self, running: bool) {
        let (flag, changed) = &*self.running;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = running;
        changed.notify_one();
    }
}

/// The clock ticks while this lives.
pub(crate) struct Running<'a>(&'a Clocked);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn tick(engine: &Engine, running: &(Mutex<bool>, Condvar)) {
    let (flag, changed) = running;
    loop {
        let flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(flag, |running| !*running).unwrap_or_else(PoisonError::into_inner));
        thread::sleep(EPOCH_TICK);
        engine.increment_epoch();
    }
}

fn config() -> Config {
    let mut config = Config::new();
    // Cranelift and nothing else: the single-pass compiler has neither its review nor its fuzzing.
    config.strategy(Strategy::Cranelift);
    config.consume_fuel(true);
    config.epoch_interruption(true);
    // The two ways in which the same instructions may differ between machines: the bits of a NaN, and relaxed SIMD.
    // (Threads, the third, are not compiled in; `inspect` refuses a component that asks for any of them.)
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.max_wasm_stack(STACK_BYTES_MAX);
    // A trap is an outcome, its frames interest nobody.
    config.wasm_backtrace_max_frames(None);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX);
    pool.total_core_instances(INSTANCES_MAX * CORE_INSTANCES_MAX);
    pool.total_memories(INSTANCES_MAX);
    pool.total_tables(INSTANCES_MAX * CORE_INSTANCES_MAX);
    pool.total_stacks(INSTANCES_MAX);
    pool.max_core_instances_per_component(CORE_INSTANCES_MAX);
    pool.max_memories_per_component(1);
    pool.max_tables_per_component(CORE_INSTANCES_MAX);
    pool.max_component_instance_size(INSTANCE_BOOKKEEPING_BYTES_MAX);
    pool.max_core_instance_size(INSTANCE_BOOKKEEPING_BYTES_MAX);
    pool.max_memory_size(MEMORY_BYTES_MAX);
    pool.table_elements(TABLE_ELEMENTS_MAX);
    pool
}

#[cfg(test)]
mod tests {
    use super::VERSION;

    #[test]
    fn compiled_components_are_named_after_the_engine_that_the_workspace_pins() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(
            manifest.contains(&format!("wasmtime = {{ version = \"={VERSION}\"")),
            "{VERSION} is not the pinned one"
        );
    }
}
