//! Components, built once, and pools with a folder of their own.

use bodega_plugin_build::built_for_tests;
use bodega_plugin_host::{
    client::{Options, Pool},
    protocol::{Batch, Call, Cart, Component, Effect, Hash, Line, Outcome, Verdict},
};
use std::{
    env, fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The built component of this name, an example or a hostile one.
pub(crate) fn plugin(name: &str) -> Component {
    let folder = built_for_tests().expect("the plugins of this workspace build");
    let file = format!("{name}.wasm");
    let bytes = fs::read(folder.join(&file)).or_else(|_| fs::read(folder.join("hostile").join(&file)));
    Component::new(bytes.expect("a plugin of this name"))
}

/// A folder that is gone at the end of the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bodega-plugin-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn options() -> Options {
    Options { wait_max: Duration::from_secs(60), load_max: Duration::from_secs(60), ..Options::new(program()) }
}

pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_bodega-plugin-host")
}

/// A pool of so many processes that knows these plugins.
pub(crate) fn pool(processes: usize, plugins: &[&str]) -> (Pool, Folder) {
    let folder = Folder::new();
    let pool = Pool::new(Options { processes, cache: Some(folder.0.clone()), ..options() });
    for name in plugins {
        pool.register(plugin(name));
    }
    (pool, folder)
}

/// A cart of so many lines of two pieces, the first ones cheaper.
pub(crate) fn cart(lines: u32) -> Cart {
    let lines: Vec<Line> = (0..lines)
        .map(|index| {
            let unit_price = 100 + i64::from(index);
            Line {
                index,
                sku: format!("sku-{index}"),
                product: format!("product-{index}"),
                merchant: "corner".into(),
                categories: vec!["coffee".into()],
                tags: vec![],
                attributes: vec![("origin".into(), "Colombia".into())],
                quantity: 2,
                unit_price,
                total: unit_price * 2,
            }
        })
        .collect();
    Cart {
        currency: "EUR".into(),
        minor_digits: 2,
        market: "eu".into(),
        subtotal: lines.iter().map(|line| line.total).sum(),
        lines,
        codes: vec![],
        customer_group: None,
        issued_at: None,
    }
}

pub(crate) fn call(plugin: Hash, configuration: &str) -> Call {
    Call { plugin, cart: 0, configuration: configuration.into(), fuel: None }
}

pub(crate) fn batch(cart: Cart, calls: Vec<Call>) -> Batch {
    Batch { carts: vec![cart], calls }
}

/// Runs one plugin with one configuration on a small cart, in a pool of its own.
pub(crate) async fn run(name: &str, configuration: &str) -> Verdict {
    let (pool, _folder) = pool(1, &[name]);
    let mut verdicts =
        pool.run(&batch(cart(3), vec![call(plugin(name).hash(), configuration)])).await.expect("verdicts");
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

pub(crate) fn effects(verdict: &Verdict) -> &[Effect] {
    match &verdict.outcome {
        Outcome::Ok(effects) => effects,
        other => panic!("no effects but {other:?}"),
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Ends a process as the kernel would: at once.
pub(crate) fn kill(id: u32) {
    let killed = std::process::Command::new("kill").args(["-9", &id.to_string()]).status().expect("kill");
    assert!(killed.success(), "process {id} was not there to be killed");
}
