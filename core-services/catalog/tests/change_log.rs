//! The change log: dense under concurrent writers, complete for whoever follows it, fed by other services' events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::SeqCst,
};

use bodega_domain::{
    catalog::{Band, ViewEntry},
    event::EventData,
    id::SessionId,
    message::{
        catalog::{Digests, EDGE_FEED, Get, ProductChanged, PutViews, Retire, Upsert, Views, ViewsChanged},
        identity::SessionRevoked,
        inventory::BandsChanged,
    },
};
use bodega_platform::{Entropy, outbox, sqlx};
use bodega_test_core::Core;
use bodega_test_core::goods::{category, merchant, product, products, shop};
use bodega_tests::{eventually, eventually_within};
use futures::StreamExt as _;

async fn open() -> Core {
    Core::open(&[bodega_catalog::service()], "").await
}

/// Follows the log from `after` and notes what it says; gives the position it came to.
async fn follow(core: &Core, held: &mut BTreeMap<String, ViewEntry>, mut after: i64) -> i64 {
    loop {
        let page = core.ask(Views { after, limit: 50, live_only: false }).await.unwrap();
        let Some((last, _)) = page.entries.last() else { return page.head };
        after = *last;
        for (_, entry) in page.entries {
            let key = format!("{}/{}", entry.kind, entry.key);
            let newer = held.get(&key).is_none_or(|h| h.version < entry.version);
            assert!(newer, "{key} came again in an older version");
            held.insert(key, entry);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_log_during_concurrent_changes_misses_nothing_and_positions_are_dense() {
    let core = open().await;
    core.ask(shop(vec![])).await.unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let writing = async {
        let writers = (0..6).map(|writer| {
            let core = &core;
            async move {
                for round in 0..8 {
                    let slug = format!("loaf-{writer}-{}", round % 3);
                    core.ask(products(vec![product(&slug, "bakery", round + 1)])).await.unwrap();
                    let flag = ("flag".to_owned(), format!("w{writer}"), Some(serde_json::json!(round)));
                    core.ask(PutViews { entries: vec![flag] }).await.unwrap();
                    if round % 4 == 3 {
                        core.ask(Retire { slug }).await.unwrap();
                    }
                }
            }
        });
        futures::future::join_all(writers).await;
        done.store(true, SeqCst);
    };
    let mut held = BTreeMap::new();
    let following = async {
        let mut position = 0;
        while !done.load(SeqCst) {
            position = follow(&core, &mut held, position).await;
        }
        position
    };
    let ((), position) = tokio::join!(writing, following);
    let digests = core.ask(Digests {}).await.unwrap();
    follow(&core, &mut held, position).await;

    let pool = core.pool("catalog").await;
    let rows: Vec<(String, String, i64, Option<String>, i64)> =
        sqlx::query_as("select kind, key, version, body::text, position from view").fetch_all(&pool).await.unwrap();
    let truth: BTreeMap<String, (i64, bool)> = rows
        .iter()
        .map(|(kind, key, version, body, _)| (format!("{kind}/{key}"), (*version, body.is_some())))
        .collect();
    let seen: BTreeMap<String, (i64, bool)> =
        held.iter().map(|(key, entry)| (key.clone(), (entry.version, entry.body.is_some()))).collect();
    assert_eq!(seen, truth);
    // Positions are given one after the other: each change has one, so the head is their number.
    let changes: i64 = rows.iter().map(|row| row.2).sum();
    assert!(digests.position <= changes && rows.iter().map(|r| r.4).collect::<BTreeSet<_>>().len() == rows.len());
    assert_eq!(rows.iter().map(|r| r.4).max(), Some(digests.position));
    let numbers: Vec<i32> =
        sqlx::query_scalar("select sku_no from variant order by sku_no").fetch_all(&pool).await.unwrap();
    assert_eq!(numbers, (1..=18).collect::<Vec<_>>(), "SKU numbers are dense under concurrent writers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_commits_late_is_not_lost_behind_one_that_began_later() {
    let core = open().await;
    let pool = core.pool("catalog").await;
    let put = "insert into view (kind, key, version, deleted, hash, digest, bytes, body) \
               values ('flag', $1, 1, false, 'x', 1, 1, '1')";
    let mut late = pool.begin().await.unwrap();
    sqlx::query(put).bind("late").execute(&mut *late).await.unwrap();
    sqlx::query(put).bind("early").execute(&pool).await.unwrap();
    let after = eventually("the early one has its position", async || {
        let page = core.ask(Views { after: 0, limit: 10, live_only: false }).await.unwrap();
        page.entries.last().map(|(position, entry)| (*position, entry.key.clone()))
    })
    .await;
    assert_eq!(after, (1, "early".to_owned()));
    late.commit().await.unwrap();
    let next = eventually("the late one has its position", async || {
        core.ask(Views { after: 1, limit: 10, live_only: false }).await.unwrap().entries.pop()
    })
    .await;
    assert_eq!((next.0, next.1.key.as_str()), (2, "late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_wakes_whoever_listens() {
    let core = open().await;
    let mut feed = core.bus.client().subscribe(EDGE_FEED).await.unwrap();
    core.bus.client().flush().await.unwrap();
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    let message = tokio::time::timeout(std::time::Duration::from_secs(10), feed.next()).await.unwrap().unwrap();
    let told: ViewsChanged = serde_json::from_slice(&message.payload).unwrap();
    assert!(told.head > 0);
    let stored = eventually("the event", async || {
        let events = core.bus.jetstream().get_stream("evt_catalog").await.ok()?;
        events.get_last_raw_message_by_subject(ProductChanged::SUBJECT).await.ok()
    })
    .await;
    assert!(String::from_utf8_lossy(&stored.payload).contains("\"pear\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn bands_and_revocations_arrive_as_events() {
    let core = open().await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    let say = async |event: bodega_domain::event::Event| {
        let payload = serde_json::to_vec(&event).unwrap();
        eventually("a stream that takes the event", async || {
            let sent = core.bus.jetstream().publish(event.r#type.clone(), payload.clone().into()).await.ok()?;
            sent.await.ok()
        })
        .await;
    };
    // The consumer makes the stream, so this also waits for it.
    let bands = BandsChanged { bands: vec![(1, Band::Low, 3)] };
    say(outbox::event("inventory", &core.clock, &Entropy, "stock", &bands)).await;
    eventually("the band", async || {
        let pear = core.ask_as(None, Get { slug: "pear".into() }).await.unwrap();
        (pear.variants[0].band == Band::Low).then_some(())
    })
    .await;

    let session = SessionId::from_u128(77);
    let spent = SessionId::from_u128(78);
    for (session, until) in [(session, core.clock.now().plus_min(10)), (spent, core.clock.now().plus_ms(-1))] {
        let revoked = SessionRevoked { session, until };
        say(outbox::event("identity", &core.clock, &Entropy, session, &revoked)).await;
    }
    let held = eventually("both revocations", async || {
        let mut held = BTreeMap::new();
        follow(&core, &mut held, 0).await;
        let keys = [session, spent].map(|s| format!("revoked/{s}"));
        keys.iter().all(|key| held.contains_key(key)).then_some(held)
    })
    .await;
    assert!(held[&format!("revoked/{session}")].body.as_ref().unwrap().is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_revocation_leaves_the_edges_after_a_start() {
    let mut core = open().await;
    let past = core.clock.now().plus_min(-1).to_string();
    let future = core.clock.now().plus_min(10).to_string();
    let entries = [("ses_spent", past), ("ses_live", future)]
        .map(|(key, until)| ("revoked".to_owned(), key.to_owned(), Some(serde_json::json!(until))));
    core.ask(PutViews { entries: entries.to_vec() }).await.unwrap();
    core.stop().await;
    core.start().await;
    eventually("the sweep", async || {
        let mut held = BTreeMap::new();
        follow(&core, &mut held, 0).await;
        let live = |key: &str| held.get(key).is_some_and(|entry| entry.body.is_some());
        (!live("revoked/ses_spent") && live("revoked/ses_live")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_told_for_a_week_and_then_the_horizon_says_so() {
    let mut core = open().await;
    let put = |key: &str, body: Option<u32>| PutViews {
        entries: vec![("flag".into(), key.into(), body.map(|n| serde_json::json!(n)))],
    };
    core.ask(put("old", Some(1))).await.unwrap();
    core.ask(put("young", Some(1))).await.unwrap();
    core.ask(put("old", None)).await.unwrap();
    core.ask(Digests {}).await.unwrap();
    let log = async |core: &Core| core.ask(Views { after: 0, limit: 10, live_only: false }).await.unwrap();
    let told = log(&core).await;
    let (deleted_at, _) = *told.entries.iter().find(|(_, entry)| entry.key == "old").unwrap();
    assert_eq!((told.entries.len(), told.horizon), (2, 0));

    let pool = core.pool("catalog").await;
    let past = "update view set deleted_at = deleted_at - interval '8 days' where key = 'old'";
    sqlx::query(past).execute(&pool).await.unwrap();
    core.ask(put("young", None)).await.unwrap();
    core.ask(Digests {}).await.unwrap();
    core.stop().await;
    core.start().await;
    let page = eventually("the sweep", async || {
        let page = log(&core).await;
        (page.horizon > 0).then_some(page)
    })
    .await;
    assert_eq!(page.horizon, deleted_at);
    assert_eq!(page.entries.iter().map(|(_, entry)| entry.key.as_str()).collect::<Vec<_>>(), ["young"]);
    core.ask(put("old", Some(2))).await.unwrap();
    core.ask(Digests {}).await.unwrap();
    let (at, again) = log(&core).await.entries.pop().unwrap();
    assert!(at > page.head && again.version == 1 && again.body.is_some(), "made again, it is a new view");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_epoch_keeps_positions_but_not_their_meaning() {
    let core = open().await;
    core.ask(shop(vec![product("pear", "produce", 1)])).await.unwrap();
    let before = core.ask(Digests {}).await.unwrap();
    let pool = core.pool("catalog").await;
    bodega_catalog::renew_epoch(&mut pool.acquire().await.unwrap(), "another").await.unwrap();
    let after = core.ask(Digests {}).await.unwrap();
    assert_eq!((after.position, after.epoch.as_str()), (before.position, "another"));
    assert_eq!(before.epoch.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_below_the_size_of_a_message() {
    let core = open().await;
    core.ask(shop(vec![])).await.unwrap();
    let body = serde_json::json!("x".repeat(200_000));
    for key in ["a", "b", "c", "d", "e"] {
        core.ask(PutViews { entries: vec![("flag".into(), key.into(), Some(body.clone()))] }).await.unwrap();
    }
    core.ask(Digests {}).await.unwrap();
    let mut held = BTreeMap::new();
    follow(&core, &mut held, 0).await;
    assert_eq!(held.keys().filter(|key| key.starts_with("flag/")).count(), 5);
}

/// The demo shop as one request.
fn demo() -> Upsert {
    use bodega_domain::{
        catalog::{Picture, TaxClass},
        id::MerchantId,
        message::catalog::{CategoryIn, Merchant, ProductIn, VariantIn},
    };
    let shop = bodega_demo_shop::demo_shop().unwrap();
    let merchant_id = |slug: &str| MerchantId::from_u128(shop.merchants.iter().find(|m| m.slug == slug).unwrap().id);
    let merchants = shop
        .merchants
        .iter()
        .map(|m| Merchant { id: MerchantId::from_u128(m.id), slug: m.slug.clone(), name: m.name.clone() })
        .collect();
    let categories = shop.categories.iter().zip(0..).map(|(c, position)| CategoryIn {
        slug: c.slug.clone(),
        title: c.title.clone(),
        description: c.about.clone(),
        position,
    });
    let products = shop.products.iter().map(|p| ProductIn {
        slug: p.slug.clone(),
        expected_version: None,
        title: p.title.clone(),
        description: p.description.clone(),
        category: p.category.clone(),
        merchant: merchant_id(&p.merchant),
        tax_class: serde_json::from_value::<TaxClass>(p.tax.as_str().into()).unwrap(),
        attributes: p.attributes.iter().map(|a| (a.title.clone(), a.display())).collect(),
        picture: Some(Picture { hash: "0".repeat(64), ext: "webp".into(), alt: p.title.clone() }),
        variants: p
            .variants
            .iter()
            .map(|v| VariantIn {
                sku: v.sku.clone(),
                title: v.title(),
                options: v.options.clone(),
                prices: v.prices.clone(),
            })
            .collect(),
    });
    Upsert { merchants, categories: categories.collect(), products: products.collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shop_is_accepted_and_the_same_again_changes_nothing() {
    let core = open().await;
    let first = core.ask(demo()).await.unwrap();
    let head = core.ask(Digests {}).await.unwrap();
    assert_eq!(head.kinds["product"].0, i64::try_from(first.products.len()).unwrap());
    assert_eq!(head.kinds["sku"].0, i64::try_from(first.sku_nos.len()).unwrap());
    let again = core.ask(demo()).await.unwrap();
    assert_eq!(again.sku_nos, first.sku_nos);
    assert_eq!(core.ask(Digests {}).await.unwrap().position, head.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_products_go_in_in_chunks() {
    let core = open().await;
    let categories = (0..10).map(|n| category(&format!("aisle-{n}"), n)).collect();
    core.ask(Upsert { merchants: vec![merchant()], categories, products: vec![] }).await.unwrap();
    let began = std::time::Instant::now();
    for chunk in 0..10 {
        let goods = (0..1_000).map(|n| product(&format!("good-{chunk}-{n:03}"), &format!("aisle-{}", n % 10), 100 + n));
        core.ask(products(goods.collect())).await.unwrap();
    }
    println!("10,000 products: {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let digests = core.ask(Digests {}).await.unwrap();
    println!("positions and digests: {:?}", began.elapsed());
    assert_eq!((digests.kinds["product"].0, digests.kinds["listing"].0), (10_000, 417 + 10 * 42));
    let began = std::time::Instant::now();
    core.ask(products(vec![product("good-5-500", "aisle-0", 1)])).await.unwrap();
    println!("one price among them: {:?}", began.elapsed());
    let began = std::time::Instant::now();
    core.ask(products(vec![product("one-more", "aisle-0", 1)])).await.unwrap();
    println!("one product more: {:?}", began.elapsed());
    eventually_within(std::time::Duration::from_secs(60), "its position", async || {
        let digests = core.ask(Digests {}).await.ok()?;
        (digests.kinds["product"].0 == 10_001).then_some(())
    })
    .await;
}
