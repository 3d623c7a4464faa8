//! Edges that are fed over HTTP from a real catalogue.

#[path = "support/edge.rs"]
mod edge;

use std::time::Duration;

use bodega_domain::{
    message::{
        catalog::{Digests, DigestsAnswer, PutViews, Retire},
        replicator::{EdgeState, Edges},
    },
    replication::{BatchKind, INGEST_CLAIM_MS},
};
use bodega_platform::sqlx;
use bodega_test_core::Core;
use bodega_test_core::goods::{product, products, shop};
use bodega_tests::{eventually, eventually_within};
use edge::Edge;

async fn open(edges: &[&Edge]) -> Core {
    let list: Vec<String> = edges.iter().map(|edge| edge.toml()).collect();
    let more = format!("[replicator]\nedges = [{}]\n", list.join(", "));
    let core = Core::open(&[bodega_catalog::service(), bodega_replicator::service()], &more).await;
    for edge in edges {
        edge.trust(core.config.keys.replication.iter().filter_map(bodega_domain::token::SecretKey::public).collect());
    }
    core
}

fn totals(digests: &DigestsAnswer) -> (i64, u64) {
    digests.kinds.values().fold((0, 0), |(keys, sum), (live, digest)| {
        (keys + live, sum.wrapping_add(u64::from_str_radix(digest, 16).unwrap()))
    })
}

/// Waits until an edge holds exactly what the catalogue says, at its head.
async fn converged(core: &Core, edge: &Edge) -> DigestsAnswer {
    eventually_within(Duration::from_secs(30), &format!("{} has everything", edge.id), async || {
        let digests = core.ask(Digests {}).await.ok()?;
        let store = edge.store();
        let at = &store.position;
        let same = at.ready && at.epoch == digests.epoch && at.position == digests.position;
        (same && (at.live_keys, at.digest) == totals(&digests)).then_some(digests)
    })
    .await
}

fn has(edge: &Edge, key: &str) -> bool {
    edge.store().views.contains_key(key)
}

async fn state_of(core: &Core, edge: &str) -> EdgeState {
    let edges = core.ask(Edges {}).await.unwrap();
    edges.into_iter().find(|state| state.edge == edge).unwrap()
}

fn flag(key: &str, value: u32) -> PutViews {
    PutViews { entries: vec![("flag".into(), key.into(), Some(serde_json::json!(value)))] }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_edges_get_a_snapshot_and_then_every_change() {
    let (one, two) = (Edge::start("one").await, Edge::start("two").await);
    let core = open(&[&one, &two]).await;
    core.ask(shop((0..50).map(|n| product(&format!("loaf-{n:02}"), "bakery", 100)).collect())).await.unwrap();
    for edge in [&one, &two] {
        converged(&core, edge).await;
        assert!(has(edge, "product/loaf-49") && has(edge, "listing/bakery/3") && has(edge, "skucode/LOAF-07"));
    }
    core.ask(Retire { slug: "loaf-07".into() }).await.unwrap();
    core.ask(flag("sale", 1)).await.unwrap();
    for edge in [&one, &two] {
        converged(&core, edge).await;
        assert!(!has(edge, "product/loaf-07") && !has(edge, "skucode/LOAF-07") && has(edge, "flag/sale"));
        let store = edge.store();
        assert_eq!(store.position.generation, 1, "one snapshot was enough");
        assert_eq!(store.accepted.last().unwrap().0, BatchKind::Delta);
        assert_eq!(store.views.len(), usize::try_from(store.position.live_keys).unwrap());
    }
    let state = eventually("the states", async || {
        let state = state_of(&core, "two").await;
        (state.state == "following" && state.position == state.head && state.lag_ms.is_some()).then_some(state)
    })
    .await;
    assert_eq!((state.url, state.error), (two.url(), None));
    assert!(state.confirmed_at.is_some());
    println!("lag: {:?} ms", state.lag_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_at_the_edge_soon() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    let mut waits = Vec::new();
    for round in 0..20 {
        let began = std::time::Instant::now();
        core.ask(flag("clock", round)).await.unwrap();
        eventually("the change", async || {
            (edge.store().views.get("flag/clock") == Some(&serde_json::json!(round))).then_some(())
        })
        .await;
        waits.push(began.elapsed());
    }
    waits.sort();
    println!("from the request to the edge: median {:?}, worst {:?}", waits[10], waits[19]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_catalogue_comes_in_several_batches_and_changes_meanwhile_are_not_lost() {
    let mut edge = Edge::start("one").await;
    // Away from the beginning: an edge that is there gets the empty catalogue as its snapshot, and the goods as changes.
    edge.down().await;
    let core = open(&[&edge]).await;
    for chunk in 0..2 {
        let goods = (0..800).map(|n| product(&format!("good-{chunk}-{n:03}"), "bakery", 100));
        core.ask(shop(goods.collect())).await.unwrap();
    }
    edge.up().await;
    eventually("the first part", async || (!edge.store().accepted.is_empty()).then_some(())).await;
    core.ask(Retire { slug: "good-0-000".into() }).await.unwrap();
    core.ask(products(vec![product("good-1-799", "bakery", 999), product("late", "produce", 5)])).await.unwrap();
    converged(&core, &edge).await;
    assert!(!has(&edge, "product/good-0-000") && has(&edge, "product/late"));
    let store = edge.store();
    let parts = store.accepted.iter().filter(|batch| batch.0 == BatchKind::Snapshot).count();
    assert!(parts > 3, "{parts} parts");
    assert!(store.accepted.iter().all(|batch| batch.4 <= 800));
    assert!(store.accepted.windows(2).all(|pair| pair[1].1 == pair[0].2), "each begins where the one before ended");
    assert_eq!(store.accepted.iter().filter(|batch| batch.3).count(), 1, "one of them completes the snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_crashes_while_it_writes_gets_the_same_bytes_again() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    let before = edge.store().posted.len();
    edge.crash_before_commit(1);
    core.ask(flag("crashed", 1)).await.unwrap();
    eventually("the crash", async || (edge.crashes_left() == 0).then_some(())).await;
    core.ask(flag("later", 2)).await.unwrap();
    // Nobody else may write while the crashed request holds its claim.
    edge.pass_ms(INGEST_CLAIM_MS);
    converged(&core, &edge).await;
    assert!(has(&edge, "flag/crashed") && has(&edge, "flag/later"));
    let store = edge.store();
    let posted = &store.posted[before..];
    assert!(posted.len() >= 3, "crashed, repeated, and what came later");
    assert!(posted[1..].contains(&posted[0]), "byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replicator_that_restarts_in_between_repeats_the_same_bytes_too() {
    let edge = Edge::start("one").await;
    let mut core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    let before = edge.store().posted.len();
    edge.crash_before_commit(1);
    core.ask(flag("crashed", 1)).await.unwrap();
    eventually("the crash", async || (edge.crashes_left() == 0).then_some(())).await;
    core.stop().await;
    edge.pass_ms(INGEST_CLAIM_MS);
    core.start().await;
    core.ask(flag("later", 2)).await.unwrap();
    converged(&core, &edge).await;
    let store = edge.store();
    assert!(store.posted[before + 1..].contains(&store.posted[before]), "byte for byte");
    assert_eq!(store.position.generation, 1, "no new snapshot was needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_batch_is_refused_and_changes_nothing() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    core.ask(flag("sale", 1)).await.unwrap();
    let digests = converged(&core, &edge).await;
    let posted = edge.store().posted.clone();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (number, batch) in posted.iter().enumerate() {
        let again = http.post(format!("{}/_edge/v1/ingest", edge.url())).body(batch.clone()).send().await.unwrap();
        assert_eq!(again.status(), 409, "batch {number}");
        let mut changed = batch.to_vec();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let forged = http.post(format!("{}/_edge/v1/ingest", edge.url())).body(changed).send().await.unwrap();
        assert_eq!(forged.status(), 401, "batch {number}");
    }
    let position = edge.store().position.clone();
    assert_eq!((position.live_keys, position.digest), totals(&digests));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_edge_and_one_that_hangs_delay_nobody() {
    let (good, mut dead, slow) = (Edge::start("good").await, Edge::start("dead").await, Edge::start("slow").await);
    let core = open(&[&good, &dead, &slow]).await;
    dead.down().await;
    let hanging = slow.hang().await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &good).await;
    let state = eventually("the dead one is known as such", async || {
        let state = state_of(&core, "dead").await;
        (state.state == "unreachable" && state.error.is_some() && state.head > 0).then_some(state)
    })
    .await;
    assert!(state.error.unwrap().starts_with("not reached"));
    core.ask(flag("meanwhile", 1)).await.unwrap();
    converged(&core, &good).await;
    dead.up().await;
    drop(hanging);
    for edge in [&dead, &slow] {
        converged(&core, edge).await;
        assert!(has(edge, "flag/meanwhile"));
    }
    eventually("it is following again", async || {
        let state = state_of(&core, "dead").await;
        (state.state == "following" && state.error.is_none()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_lost_its_store_is_filled_again() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    *edge.store() = edge::Store::default();
    converged(&core, &edge).await;
    assert!(has(&edge, "product/pear"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_of_the_catalogue_a_snapshot_begins_again_and_what_is_gone_is_gone() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    // In its place before the flag comes: what waits together is put in the order of the keys.
    converged(&core, &edge).await;
    core.ask(flag("unsaved", 1)).await.unwrap();
    let before = converged(&core, &edge).await;
    // As if a backup from before the flag had been restored.
    let pool = core.pool("catalog").await;
    let mut tx = pool.begin().await.unwrap();
    let restored = "delete from view where kind = 'flag'";
    sqlx::query(restored).execute(&mut *tx).await.unwrap();
    sqlx::query("update feed set head = (select max(position) from view)").execute(&mut *tx).await.unwrap();
    bodega_catalog::renew_epoch(&mut tx, "restored").await.unwrap();
    tx.commit().await.unwrap();
    let after = converged(&core, &edge).await;
    assert!(after.position < before.position);
    assert!(has(&edge, "product/pear") && !has(&edge, "flag/unsaved"));
    let store = edge.store();
    assert_eq!((store.position.epoch.as_str(), store.position.generation), ("restored", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_whose_digest_differs_gets_a_snapshot_once() {
    let edge = Edge::start("one").await;
    let mut core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1), product("plum", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    core.stop().await;
    {
        // A value that went missing, as storage does, with the manifest's knowledge of it.
        let mut store = edge.store();
        store.views.remove("product/pear");
        let (_, digest, _) = store.manifest.0.remove("product/pear").unwrap();
        store.position.live_keys -= 1;
        store.position.digest = store.position.digest.wrapping_sub(digest);
    }
    core.start().await;
    converged(&core, &edge).await;
    assert!(has(&edge, "product/pear"));
    assert_eq!(edge.store().position.generation, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_does_not_trust_the_key_is_reported() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    edge.trust(Vec::new());
    core.ask(flag("secret", 1)).await.unwrap();
    let state = eventually("the report", async || {
        let state = state_of(&core, "one").await;
        state.error.clone().filter(|error| error.contains("signature")).map(|_| state)
    })
    .await;
    assert_eq!(state.state, "unreachable");
    assert!(edge.store().views.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_was_away_costs_nothing_but_time() {
    let edge = Edge::start("one").await;
    let core = open(&[&edge]).await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    converged(&core, &edge).await;
    core.servers.kill_nats();
    core.servers.restart_nats().unwrap();
    eventually("the catalogue answers again", async || core.ask(flag("back", 1)).await.ok()).await;
    converged(&core, &edge).await;
    assert!(has(&edge, "flag/back"));
}
