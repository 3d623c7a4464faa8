//! What hits the shop, carried out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bodega_stack::Signal;
use bodega_tests::black_box::{OpenShop, Shopper};
use bodega_tests::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use crate::plan::{Blow, Dice, Plan, SERVICES};
use crate::shoppers::control;

/// Bytes for events while the queue is full: less than one message.
const NO_ROOM_BYTES: u64 = 64;
/// How long that lasts.
const NO_ROOM_FOR: Duration = Duration::from_millis(1_500);
/// How long webhooks are kept back.
const KEPT_BACK_FOR: Duration = Duration::from_millis(800);
/// How long a blow waits for an order at most.
const AN_ORDER_WITHIN: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two words about how far it is.
const TELL_EVERY: Duration = Duration::from_secs(20);

/// A clock that is so many minutes off.
fn skew(minutes: i64) -> Vec<(String, String)> {
    vec![("BODEGA__CLOCK__SKEW_MS".to_owned(), (minutes * 60_000).to_string())]
}

/// Lets all blows of a plan fall, one after the other, and gives how often each process was killed.
/// `confirmed` counts orders: a storm that lets nobody buy anything proves nothing, so each blow waits a moment for one.
pub(crate) async fn fall(shop: &Arc<OpenShop>, plan: &Plan, confirmed: &AtomicU64) -> BTreeMap<&'static str, u32> {
    let mut killed: BTreeMap<&'static str, u32> = BTreeMap::new();
    let mut dice = Dice::new(plan.seed ^ 0x5EED);
    let (begun, mut told) = (Instant::now(), Instant::now());
    for (at, (pause, blow)) in plan.blows.iter().enumerate() {
        let (before, waited) = (confirmed.load(SeqCst), Instant::now());
        sleep(Duration::from_millis(*pause)).await;
        while confirmed.load(SeqCst) == before && waited.elapsed() < AN_ORDER_WITHIN {
            sleep(LOOK_EVERY).await;
        }
        match blow {
            Blow::Kill(names) => {
                for name in kill(shop, names, &BTreeMap::new()).await {
                    *killed.entry(name).or_default() += 1;
                }
            }
            Blow::Clock(name, minutes) => {
                // Wrong until it is killed the next time.
                for name in kill(shop, &[*name], &BTreeMap::from([(*name, *minutes)])).await {
                    *killed.entry(name).or_default() += 1;
                }
            }
            Blow::Freeze(name, ms) => freeze(shop, name, Duration::from_millis(*ms)).await,
            Blow::CutDatabase(service) => cut(shop, service).await,
            Blow::Provider(operation, mode) => {
                let fault = json!({"operation": operation, "mode": mode, "status": 500, "hang_ms": 400, "count": 1});
                control(shop, "faults", &fault).await;
            }
            Blow::Webhooks => shuffle_webhooks(shop, &mut dice).await,
            Blow::FullQueue => fill_the_queue(shop).await,
        }
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            let sum: u32 = killed.values().sum();
            eprintln!("storm: {} of {} blows, {sum} kills, after {:?}", at + 1, plan.blows.len(), begun.elapsed());
        }
    }
    eprintln!("storm: over after {:?}", begun.elapsed());
    killed
}

/// Ends these at one moment, and brings them back.
async fn kill(shop: &Arc<OpenShop>, names: &[&'static str], clocks: &BTreeMap<&'static str, i64>) -> Vec<&'static str> {
    let (shop, names, clocks) = (shop.clone(), names.to_vec(), clocks.clone());
    tokio::task::spawn_blocking(move || {
        let killed: Vec<&'static str> = names.iter().copied().filter(|name| shop.processes().kill(name)).collect();
        for name in &names {
            let environment = clocks.get(name).map(|minutes| skew(*minutes)).unwrap_or_default();
            shop.processes().revive(name, &environment).unwrap_or_else(|error| panic!("{name} comes back: {error}"));
        }
        for name in names {
            shop.processes().wait_for_service(name).unwrap_or_else(|error| panic!("{name} is ready again: {error}"));
        }
        killed
    })
    .await
    .expect("a blow")
}

async fn freeze(shop: &OpenShop, name: &str, time: Duration) {
    let signal = |signal| {
        if let Some(child) = shop.processes().process(name) {
            child.signal(signal);
        }
    };
    signal(Signal::Stop);
    sleep(time).await;
    signal(Signal::Continue);
}

/// Cuts every connection of a service to its database.
async fn cut(shop: &OpenShop, service: &str) {
    let url = shop.processes().postgres().url("bodega");
    let Ok(mut connection) = PgConnection::connect(&url).await else { return };
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1")
        .bind(format!("bodega_{service}"))
        .execute(&mut connection)
        .await
        .expect("connections are cut");
}

async fn switches(shop: &OpenShop, change: impl Fn(&mut Value)) {
    let provider = Shopper::at(shop.simulator());
    let now = provider.try_send(Method::GET, "/control/switches", &[], None).await;
    let Ok(mut now) = now.map(|answer| answer.json) else { return };
    change(&mut now);
    let _ = provider.try_send(Method::PUT, "/control/switches", &[], Some(&now)).await;
}

async fn shuffle_webhooks(shop: &OpenShop, dice: &mut Dice) {
    switches(shop, |switches| switches["hold"] = json!(true)).await;
    sleep(KEPT_BACK_FOR).await;
    switches(shop, |switches| switches["hold"] = json!(false)).await;
    let provider = Shopper::at(shop.simulator());
    let Ok(events) = provider.try_send(Method::GET, "/control/events", &[], None).await else { return };
    let mut held: Vec<String> = events.json["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["delivery"] == "held")
        .filter_map(|event| event["id"].as_str().map(str::to_owned))
        .collect();
    // Some of them twice, all of them in another order.
    let twice: Vec<String> = held.iter().filter(|_| dice.below(3) == 0).cloned().collect();
    held.extend(twice);
    held.sort_by_cached_key(|_| dice.below(1_000_000));
    if !held.is_empty() {
        let _ = provider.try_send(Method::POST, "/control/release", &[], Some(&json!({"events": held}))).await;
    }
}

/// The bus refuses events for lack of room, then has room again.
async fn fill_the_queue(shop: &Arc<OpenShop>) {
    let nats = async |room: Option<u64>| {
        let shop = shop.clone();
        tokio::task::spawn_blocking(move || {
            let mut processes = shop.processes();
            match room {
                Some(bytes) => processes.nats().restart_with_room(bytes),
                None => processes.nats().restart(),
            }
        })
        .await
        .expect("the bus")
        .expect("the bus starts again");
    };
    nats(Some(NO_ROOM_BYTES)).await;
    sleep(NO_ROOM_FOR).await;
    nats(None).await;
}

/// No more blows: everything runs, nothing is kept back, and clocks are right, or so many minutes later for those who wait.
pub(crate) async fn calm(shop: &Arc<OpenShop>, minutes: i64) {
    switches(shop, |switches| {
        switches["hold"] = json!(false);
        switches["faults"] = json!([]);
    })
    .await;
    let provider = Shopper::at(shop.simulator());
    let _ = provider.try_send(Method::POST, "/control/release", &[], Some(&json!({}))).await;
    let late: BTreeMap<&'static str, i64> =
        ["order", "inventory", "payment"].into_iter().map(|name| (name, minutes)).collect();
    kill(shop, SERVICES, &late).await;
    eventually_within(Duration::from_secs(60), "both edges and the gateway to answer", || async {
        let all = answers(shop.edge(0)).await && answers(shop.edge(1)).await && answers(shop.gateway()).await;
        all.then_some(())
    })
    .await;
}

/// Whether somebody answers there.
async fn answers(url: &str) -> bool {
    Shopper::at(url).try_send(Method::GET, "/", &[], None).await.is_ok()
}
