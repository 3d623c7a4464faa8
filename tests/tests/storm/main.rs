//! The real stack, each service a process of its own, while shoppers shop and everything is killed, frozen, cut off, told
//! twice and filled up by a plan that follows from a seed. Afterwards everything is read, and laws are laid beside it.
//!
//! `cargo xtask test faults --seed N --minutes M` runs it alone; `BODEGA_STORM_SEED` and `BODEGA_STORM_MINUTES` do the same.

mod blows;
mod laws;
mod plan;
mod provider;
mod rush;
mod shoppers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bodega_tests::black_box::{ADMIN, OpenShop, Shopper, Staff};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::RwLock;

use crate::laws::{LAWS, lies};
use crate::plan::{ARTICLES, KILLS_EACH_MIN, KILLS_MIN, Plan, Purchase, SERVICES, UNITS};
use crate::provider::{Provider, let_banks_speak};
use crate::shoppers::{Told, come};

/// The seed of the short storm of every run.
const USUAL_SEED: u64 = 20_261_127;
/// Shoppers at once.
const SHOPPERS: usize = 8;
/// How long it may take afterwards until nothing moves any more.
const QUIET_WITHIN: Duration = Duration::from_secs(240);
/// Orders that are confirmed during a storm at least: some three hundred are, on two cores that do nothing else.
const BOUGHT_MIN: usize = 20;
/// Between two looks whether anything moves.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// An account's token is good for ten minutes.
const SIGN_IN_EVERY: Duration = Duration::from_secs(8 * 60);
/// Minutes by which clocks are put forward afterwards: whoever has not paid has had time enough.
const AFTERWARDS_MIN: i64 = 45;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a whole number, not `{text}`")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_nothing_is_oversold_lost_or_charged_twice() {
    let seed = setting("BODEGA_STORM_SEED").unwrap_or(USUAL_SEED);
    let minutes = u32::try_from(setting("BODEGA_STORM_MINUTES").unwrap_or(0)).unwrap_or(u32::MAX);
    let plan = Plan::new(seed, minutes);
    let kills: u32 = plan.kills().values().sum();
    eprintln!("storm: seed {seed}, plan {:016x}: {} blows with {kills} kills", plan.digest(), plan.blows.len());
    let shop = Arc::new(OpenShop::start_apart(2, SERVICES).await);
    let admin = Staff::sign_in(&shop, ADMIN).await;
    let mut skus = scarce(&shop, &admin).await;
    let wanted = skus.remove(0);
    let mut told = rush::rush(&shop, &wanted).await;
    let in_storm = storm(&shop, &Arc::new(skus), admin, &plan).await;
    blows::calm(&shop, AFTERWARDS_MIN).await;
    let mut connection = quiet(&shop).await;
    report(&in_storm, &mut connection).await;
    told.extend(in_storm);

    let mut broken = lies(&told, &mut connection).await;
    for law in LAWS {
        broken.extend(law.broken(&mut connection).await);
    }
    broken.extend(Provider::look(&shop).await.misfits(&mut connection).await);
    assert!(broken.is_empty(), "seed {seed}: {} laws are broken:\n{}", broken.len(), broken.join("\n"));
    // A law that cannot be broken proves nothing.
    for law in LAWS {
        assert!(law.is_seen_broken(&mut connection).await, "nobody sees it when it is broken: {}", law.name);
    }
    eprintln!("storm: {} laws hold, and each is seen when it is broken", LAWS.len());
}

/// Leaves so many units of some SKUs, so that everybody wants the same: half of them of one merchant. The first one is for
/// the rush before the storm.
async fn scarce(shop: &OpenShop, admin: &Staff) -> Vec<String> {
    let levels = admin.levels().await;
    let merchant = levels[0]["merchant"].clone();
    let all = on_shelves(&shop.shopper(0), &levels).await;
    let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, rows)| rows[0]["merchant"] == merchant);
    let half = ARTICLES / 2;
    let chosen: Vec<_> = mine.into_iter().take(1 + half).chain(others.into_iter().take(ARTICLES - half)).collect();
    assert_eq!(chosen.len(), 1 + ARTICLES, "articles of several merchants");
    let units = std::iter::once(i64::from(rush::UNITS)).chain(std::iter::repeat(UNITS));
    for ((_, rows), units) in chosen.iter().zip(units) {
        admin.leave(rows, &[units / 2, units - units / 2]).await;
    }
    // Of one merchant money is taken as the goods leave, of all others at once.
    let policy = json!({"merchant": merchant, "capture": "shipment"});
    admin.send(Method::PUT, "/api/v1/payments/policies", Some(&policy)).await.expect(200);
    chosen.into_iter().map(|(sku, _)| sku).collect()
}

/// SKUs that can be bought, with their shelves.
async fn on_shelves(shopper: &Shopper, levels: &[Value]) -> Vec<(String, Vec<Value>)> {
    let list = shopper.get("/api/v1/products?limit=50").await.expect(200);
    let mut found = Vec::new();
    for item in list["items"].as_array().into_iter().flatten() {
        let slug = item["slug"].as_str().unwrap_or_default();
        let product = shopper.get(&format!("/api/v1/products/{slug}")).await.expect(200);
        let variants = product["variants"].as_array().cloned().unwrap_or_default();
        let Some(variant) = variants.iter().find(|variant| variant["band"] == "in_stock") else { continue };
        let rows: Vec<Value> = levels.iter().filter(|level| level["sku_no"] == variant["sku_no"]).cloned().collect();
        if let Some(sku) = variant["sku"].as_str().filter(|_| !rows.is_empty()) {
            found.push((sku.to_owned(), rows));
        }
    }
    found
}

/// Shoppers shop until all blows have fallen.
async fn storm(shop: &Arc<OpenShop>, skus: &Arc<Vec<String>>, admin: Staff, plan: &Plan) -> Vec<Told> {
    let queue: Arc<Mutex<VecDeque<(usize, Purchase)>>> =
        Arc::new(Mutex::new(plan.purchases.iter().cloned().enumerate().collect()));
    let staff = Arc::new(RwLock::new(Arc::new(admin)));
    let told = Arc::new(Mutex::new(Vec::new()));
    let confirmed = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..SHOPPERS)
        .map(|_| {
            let (shop, skus, queue) = (shop.clone(), skus.clone(), queue.clone());
            let (staff, told, confirmed) = (staff.clone(), told.clone(), confirmed.clone());
            tokio::spawn(async move {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((n, purchase)) = next else { return };
                    let staff = staff.read().await.clone();
                    let one = come(&shop, &skus, &staff, (n, &purchase), &confirmed).await;
                    told.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            })
        })
        .collect();
    let signing_in = tokio::spawn(sign_in_again(shop.clone(), staff.clone()));
    let killed = blows::fall(shop, plan, &confirmed).await;
    // Nobody begins any more; whoever has begun goes on to the end.
    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for worker in workers {
        worker.await.expect("a shopper");
    }
    signing_in.abort();
    eprintln!("storm: killed {killed:?}");
    assert!(killed.values().all(|count| *count >= KILLS_EACH_MIN), "{killed:?}");
    assert!(killed.values().sum::<u32>() >= KILLS_MIN, "{killed:?}");
    Arc::try_unwrap(told).expect("all shoppers are home").into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn sign_in_again(shop: Arc<OpenShop>, staff: Arc<RwLock<Arc<Staff>>>) {
    loop {
        tokio::time::sleep(SIGN_IN_EVERY).await;
        if let Ok(again) = Staff::try_sign_in(&shop, ADMIN).await {
            *staff.write().await = Arc::new(again);
        }
    }
}

/// Waits until nothing is on its way any more.
async fn quiet(shop: &OpenShop) -> PgConnection {
    let url = shop.processes().postgres().url("bodega");
    let mut connection = PgConnection::connect(&url).await.expect("the database");
    let deadline = tokio::time::Instant::now() + QUIET_WITHIN;
    loop {
        let_banks_speak(shop).await;
        let mut restless = Vec::new();
        for law in LAWS.iter().filter(|law| law.at_rest) {
            restless.extend(law.broken(&mut connection).await);
        }
        if restless.is_empty() {
            return connection;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not come to rest:\n{}", restless.join("\n"));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What came of the storm, for whoever watches it.
async fn report(told: &[Told], connection: &mut PgConnection) {
    let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
    told.iter().filter_map(|told| told.refused.as_deref()).for_each(|why| *refused.entry(why).or_default() += 1);
    let confirmed = told.iter().filter(|told| !told.orders.is_empty()).count();
    let open = told.iter().filter(|told| told.orders.is_empty() && told.refused.is_none()).count();
    let orders: Vec<(String, i64)> =
        sqlx::query_as("select status, count(*) from \"order\".orders group by 1 order by 2 desc")
            .fetch_all(&mut *connection)
            .await
            .expect("orders");
    eprintln!(
        "storm: {} purchases: {confirmed} orders confirmed, refused {refused:?}, {open} never told; orders {orders:?}",
        told.len()
    );
    let wishes = told.iter().fold(BTreeMap::new(), |mut wishes: BTreeMap<String, u32>, told| {
        *wishes.entry(format!("{:?}", told.wish)).or_default() += 1;
        wishes
    });
    eprintln!("storm: wishes {wishes:?}");
    assert!(open * 2 <= told.len(), "most shoppers were told nothing at all: a storm that proves little");
    assert!(confirmed >= BOUGHT_MIN, "hardly anybody could buy: a storm that proves nothing");
}
