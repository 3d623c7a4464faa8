//! The core is killed with SIGKILL at each named point, started again, and asked again with the same key: one order,
//! one hold, one intent, balanced books.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bodega_domain::{
    Code, Failure,
    message::{inventory::HoldState, order::Outcome, payment::State},
    order::{OrderStatus, OrderView},
};
use bodega_platform::{Config, RequestContext, Service, postgres::mark_as_test_database, service::run, sqlx};
use bodega_test_core::Clocks;
use bodega_tests::eventually_within;

use crate::shop::{BREAD, Guest, LAMP, Shop};

/// Where the child finds its configuration.
const CONFIGURATION: &str = "BODEGA_TEST_CONFIGURATION";
/// Kills of a run.
const ROUNDS: usize = 50;
/// The seed of the plan, printed with every failure.
const SEED: u64 = 0x00b0_dec0_ffee;
/// Long enough that the process never gets past its point by itself.
pub(crate) const STALL_MS: u64 = 600_000;

/// Every point between a checkout and its paid order.
const POINTS: &[&str] = &[
    "inventory.before_hold",
    "inventory.after_hold",
    "order.after_hold",
    "order.in_commit",
    "order.after_commit",
    "order.after_open",
    "payment.after_open",
    "payment.after_call",
    "payment.before_tell",
    "order.before_post",
    "inventory.before_post",
    "inventory.after_post",
    "order.after_post",
    "order.before_capture",
    "payment.after_claim",
    "payment.after_capture",
    "order.after_capture",
];

fn apart() -> Vec<Service> {
    vec![bodega_inventory::service(), bodega_order::service(), bodega_payment::service()]
}

/// Not a test: what the others start as a process of its own. It ends when its standard input does.
#[test]
#[ignore = "started by the other tests in a process of its own"]
fn the_core_as_a_process() {
    let Ok(path) = std::env::var(CONFIGURATION) else { return };
    let config = Arc::new(Config::parse(&std::fs::read_to_string(path).unwrap()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut running = run(config, apart()).await.unwrap();
        running.started().await.unwrap();
        let waited = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        waited.await.unwrap().unwrap();
    });
    runtime.shutdown_background();
}

/// A core in a process of its own, armed to stall at one point.
pub(crate) struct Process {
    child: Child,
    pub(crate) stalled: tokio::sync::watch::Receiver<bool>,
}

impl Process {
    pub(crate) fn start(configuration: &Path, failpoints: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash::the_core_as_a_process", "--nocapture"])
            .env(CONFIGURATION, configuration)
            .env(bodega_platform::failpoint::VARIABLE, failpoints)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, stalled) = tokio::sync::watch::channel(false);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.starts_with("fail point") {
                    tell.send_replace(true);
                } else if line.contains("panicked") {
                    eprintln!("the core: {line}");
                }
            }
        });
        Self { child, stalled }
    }

    pub(crate) fn is_stalled(&self) -> bool {
        *self.stalled.borrow()
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small generator (SplitMix64): the same seed is the same plan on every machine.
pub(crate) struct Plan(pub(crate) u64);

impl Plan {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Each point in turn first, then by chance.
    fn point(&mut self, round: usize) -> &'static str {
        let chosen = usize::try_from(self.next() % u64::try_from(POINTS.len()).unwrap()).unwrap();
        POINTS.get(round).copied().unwrap_or(POINTS[chosen])
    }
}

/// A shop whose stock, orders and payments live in a process that is started from the configuration; none runs yet,
/// and the shelves are full.
pub(crate) async fn open_apart() -> (Shop, PathBuf) {
    let mut shop = Shop::open_beside(&["inventory", "order", "payment"], Clocks::default()).await;
    for service in apart() {
        mark_as_test_database(&shop.core.config, service.name).await.unwrap();
    }
    let configuration = shop.core.servers.folder().join("core.toml");
    std::fs::write(&configuration, &shop.core.toml).unwrap();
    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    shop.stock().await;
    process.kill();
    (shop, configuration)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_it_is_still_one_order_one_hold_one_intent() {
    let (shop, configuration) = open_apart().await;
    let mut plan = Plan(SEED);
    let (mut kills, mut orders) = (0, Vec::new());
    let mut killed_at: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
    while kills < ROUNDS {
        let guest = shop.guest();
        let quote = shop.quote(&guest, &[(BREAD, 1), (LAMP, 1)]).await;
        let key = format!("order-{}", orders.len());
        let mut paid = None;
        while paid.is_none() {
            let point = plan.point(kills);
            let arm = if kills < ROUNDS { format!("{point}=delay:{STALL_MS}") } else { String::new() };
            let process = Process::start(&configuration, &arm);
            paid = push(&shop, &guest, &process, || shop.order(&quote, &key, "card_ok")).await;
            if paid.is_none() {
                kills += 1;
                *killed_at.entry(point).or_default() += 1;
            }
            process.kill();
        }
        orders.push((guest, paid.unwrap()));
    }
    for point in POINTS {
        assert!(killed_at.contains_key(point), "never killed at {point} (seed {SEED:#x}): {killed_at:?}");
    }
    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    check(&shop, &orders).await;
    process.kill();
    shop.close().await;
}

pub(crate) async fn until_answering(shop: &Shop) {
    eventually_within(Duration::from_secs(60), "the core", || async {
        let context = RequestContext::service(&shop.core.clock, &bodega_platform::Entropy);
        let levels = bodega_domain::message::inventory::Levels::default();
        let (stock, state) = (shop.core.bus.request(&levels, &context), State { orders: Vec::new() });
        let (stock, payment) = (stock.await, shop.core.bus.request(&state, &context).await);
        let order = Outcome { key: "nobody".into(), deadline: None };
        let order = shop.core.ask_as(Some(&shop.guest().token), order).await;
        let answered = order.as_ref().err().is_some_and(|failure| failure.code == Code::CheckoutNotFound);
        (stock.is_ok() && payment.is_ok() && answered).then_some(())
    })
    .await;
}

/// Asks with the same key until the order is paid, or until the process stalls and has to be killed.
async fn push(
    shop: &Shop,
    guest: &Guest,
    process: &Process,
    place: impl Fn() -> bodega_domain::message::order::Place,
) -> Option<OrderView> {
    eventually_within(Duration::from_secs(90), "the order to be paid or the core to stall", || async {
        if process.is_stalled() {
            return Some(None);
        }
        let mut asked = place();
        asked.wait_ms = 200;
        asked.deadline = shop.core.clock.now().plus_s(3);
        let context = RequestContext::bearer(
            RequestContext::service(&shop.core.clock, &bodega_platform::Entropy).request_id,
            Some(guest.token.clone()),
        );
        let context = context.within(&shop.core.clock, Duration::from_secs(3));
        let request = shop.core.bus.request(&asked, &context);
        let mut told = process.stalled.clone();
        let stalled = async { told.wait_for(|stalled| *stalled).await.is_ok() };
        let answer = tokio::select! {
            answer = request => answer.map_err(Failure::from),
            true = stalled => return Some(None),
        };
        match answer {
            Ok(order) if order.status == OrderStatus::Paid => Some(Some(order)),
            Ok(_) => None,
            Err(failure) => {
                let fine = [Code::CoreUnavailable, Code::OutcomeUnknown, Code::DeadlineExceeded, Code::Overloaded];
                assert!(fine.contains(&failure.code), "a crash is never told like this: {failure}");
                None
            }
        }
    })
    .await
}

/// One order, one hold, one intent for each key; stock and books as if nothing had ever been killed.
async fn check(shop: &Shop, orders: &[(Guest, OrderView)]) {
    let count = i64::try_from(orders.len()).unwrap();
    for (guest, order) in orders {
        let order = shop.until_status(guest, order.id, OrderStatus::Paid).await;
        assert_eq!(order.payment.amounts.captured, order.totals.total);
        assert_eq!(shop.hold(order.id).await, HoldState::Posted);
    }
    let scalar = async |service: &str, sql: &'static str| -> i64 {
        let pool = shop.core.pool(service).await;
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(scalar("order", "select count(*) from orders").await, count, "seed {SEED:#x}");
    assert_eq!(scalar("order", "select count(*) from claim where outcome = 1").await, count);
    assert_eq!(scalar("payment", "select count(*) from intent").await, count);
    assert_eq!(scalar("inventory", "select count(*) from hold where state = 1").await, count);
    for sku in [BREAD, LAMP] {
        // Holds of crashed attempts belong to the same order: none is left over.
        let level = shop.level(sku).await;
        assert_eq!((level.posted, level.pending, level.short), (count, 0, 0), "{sku}, seed {SEED:#x}");
    }
    shop.assert_balanced().await;
    let taken: i64 = orders.iter().map(|(_, order)| order.totals.total.amount()).sum();
    let report = reqwest::Client::new()
        .get(format!("{}/v1/balance_transactions?limit=100", shop.simulator.url()))
        .bearer_auth("sk_test_simulator")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let settled = report["data"].as_array().unwrap();
    let captured: i64 = settled.iter().map(|t| t["amount"].as_i64().unwrap()).sum();
    assert_eq!((settled.len(), captured), (orders.len(), taken), "the provider took exactly what was ordered");
}
