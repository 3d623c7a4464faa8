//! Servers that go away and come back.

use std::time::{Duration, Instant};

use bodega_domain::{
    Code,
    message::inventory::{HoldOf, HoldState},
};
use bodega_platform::{CallError, Failpoints, service};
use bodega_tests::{Servers, eventually_within};

use crate::toy::{PATIENCE, Toy, as_service, config, inventory, new_order, order};

#[tokio::test]
async fn without_postgres_the_answer_is_typed_and_with_it_the_service_recovers() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    toy.place(vec![new_order()]).await.unwrap();
    servers.kill_postgres();
    let refused = toy.place(vec![new_order()]).await;
    let Err(CallError::Refused(failure)) = refused else { panic!("{refused:?}") };
    assert_eq!(failure.code, Code::CoreUnavailable);
    assert!(failure.retry_after_s.is_some());
    assert!(toy.running.health().await.iter().all(|health| !health.ready && health.bus));
    servers.restart_postgres().unwrap();
    eventually_within(PATIENCE, "orders to be placed again", || async { toy.place(vec![new_order()]).await.ok() })
        .await;
    eventually_within(PATIENCE, "health to be good", || async {
        toy.running.health().await.iter().all(|health| health.ready).then_some(())
    })
    .await;
    assert_eq!(toy.count("order", "select count(*) from orders").await, 2);
}

#[tokio::test]
async fn without_the_bus_nothing_is_sent_and_with_it_everything_recovers() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    servers.kill_nats();
    eventually_within(PATIENCE, "the loss to be noticed", || async { (!toy.asker.is_connected()).then_some(()) }).await;
    let asked = Instant::now();
    let answer = toy.place(vec![new_order()]).await;
    assert!(matches!(answer, Err(CallError::Unavailable(_))), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_millis(500), "an honest answer is a quick one");
    servers.restart_nats().unwrap();
    let order = new_order();
    eventually_within(PATIENCE, "orders to be placed again", || async { toy.place(vec![order]).await.ok() }).await;
    assert_eq!(toy.count("order", "select count(*) from orders").await, 1, "the unavailable one was sent after all");
    eventually_within(PATIENCE, "its event to be applied", || async {
        let state = toy.asker.request(&HoldOf { order }, &as_service()).await;
        (state == Ok(HoldState::Pending)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn services_start_before_their_servers() {
    let servers = Servers::start().await.unwrap();
    let config = std::sync::Arc::new(config(&servers).await);
    service::migrate(&config, &[order(), inventory()], |_| {}).await.unwrap();
    servers.kill_nats();
    servers.kill_postgres();
    let mut running = service::run(config.clone(), vec![order(), inventory()]).await.unwrap();
    assert!(running.health().await.iter().all(|health| !health.started));
    servers.restart_postgres().unwrap();
    servers.restart_nats().unwrap();
    tokio::time::timeout(PATIENCE, running.started()).await.unwrap().unwrap();
    let asker = crate::toy::asker(&config).await;
    eventually_within(PATIENCE, "an answer", || async {
        asker.request(&HoldOf { order: new_order() }, &as_service()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn redis_away_means_slower_and_never_an_error() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let redis = toy.running.contexts()[0].redis().clone();
    assert!(redis.set("a", b"1", Duration::from_secs(60)).await);
    assert_eq!(redis.get("a").await.as_deref(), Some(b"1".as_slice()));
    assert_eq!(redis.count("n", 2, Duration::from_secs(60)).await, Some(2));
    assert_eq!(redis.count("n", 3, Duration::from_secs(60)).await, Some(5));
    servers.kill_redis();
    let asked = Instant::now();
    assert_eq!(redis.get("a").await, None);
    assert!(!redis.set("a", b"2", Duration::from_secs(60)).await);
    assert!(asked.elapsed() < Duration::from_millis(500));
    toy.place(vec![new_order()]).await.unwrap();
    servers.restart_redis().unwrap();
    eventually_within(PATIENCE, "Redis to be used again", || async {
        redis.set("a", b"3", Duration::from_secs(60)).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kept_version_is_never_replaced_by_an_earlier_one() {
    let toy = Toy::start(Servers::shared().await.unwrap()).await;
    let redis = toy.running.contexts()[0].redis().clone();
    let key = format!("versions-{}", std::process::id());
    // Versions whose bytes and whose decimals are in different orders, and one beyond what a double counts exactly.
    let (large, largest) = (1_u64 << 53, (1_u64 << 53) + 1);
    for (version, kept) in [(9, 9), (10, 10), (9, 10), (300, 300), (255, 300), (largest, largest), (large, largest)] {
        assert!(redis.set_newer(&key, version, version.to_string().as_bytes(), Duration::from_secs(60)).await);
        assert_eq!(redis.get_versioned(&key).await, Some((kept, kept.to_string().into_bytes())), "after {version}");
    }
}

#[tokio::test]
async fn fail_points_are_armed_in_a_test_database_only() {
    let toy = Toy::start(Servers::shared().await.unwrap()).await;
    assert!(!Failpoints::arm("order.after_hold=abort", &toy.postgres("order")).await.is_armed());
    bodega_platform::postgres::mark_as_test_database(&toy.config, "order").await.unwrap();
    // The setting counts for connections made from now on.
    let postgres = bodega_platform::Postgres::new(&toy.config, "order").unwrap();
    assert!(Failpoints::arm("order.after_hold=abort", &postgres).await.is_armed());
}
