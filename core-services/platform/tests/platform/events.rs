//! Out once, in once, none lost.

use bodega_domain::id::OrderId;
use bodega_platform::{CallError, service};
use bodega_tests::{Servers, eventually_within};

use crate::toy::{PATIENCE, Toy, inventory, new_order, order};

async fn all_applied_once(toy: &Toy, orders: usize) {
    let orders = i64::try_from(orders).unwrap();
    eventually_within(PATIENCE, "every event to be applied", || async {
        (toy.count("inventory", "select count(*) from seen").await >= orders).then_some(())
    })
    .await;
    assert_eq!(toy.count("inventory", "select count(*) from seen").await, orders, "more events than orders");
    assert_eq!(toy.count("inventory", "select count(*) from seen where times <> 1").await, 0, "applied twice");
}

#[tokio::test]
async fn an_event_leaves_with_its_transaction_and_is_applied_once() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let orders: Vec<OrderId> = (0..500).map(|_| new_order()).collect();
    for part in orders.chunks(100) {
        toy.place(part.to_vec()).await.unwrap();
    }
    // The second time the primary key refuses, and the events of that transaction never leave.
    assert!(matches!(toy.place(orders[..1].to_vec()).await, Err(CallError::Refused(_))));
    all_applied_once(&toy, 500).await;
    eventually_within(PATIENCE, "the outbox to be marked", || async {
        (toy.count("order", "select count(*) from outbox where published is null").await == 0).then_some(())
    })
    .await;
    assert_eq!(toy.count("order", "select count(*) from outbox").await, 500);
}

#[tokio::test]
async fn a_stream_deleted_under_load_loses_nothing() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let jetstream = toy.asker.jetstream();
    let mut placed = 0;
    for round in 0..30 {
        let batch: Vec<OrderId> = (0..40).map(|_| new_order()).collect();
        placed += batch.len();
        toy.place(batch).await.unwrap();
        if round % 10 == 5 {
            jetstream.delete_stream("evt_order").await.unwrap();
        }
    }
    all_applied_once(&toy, placed).await;
}

#[tokio::test]
async fn a_bus_killed_under_load_loses_nothing() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let mut placed = 0;
    for round in 0..10 {
        let batch: Vec<OrderId> = (0..20).map(|_| new_order()).collect();
        let size = batch.len();
        match toy.place(batch).await {
            Ok(_) => placed += size,
            Err(CallError::Unavailable(_)) => {}
            // It may have been done; the count below is the database's.
            Err(error) => assert_eq!(error, CallError::Unknown),
        }
        match round {
            3 => servers.kill_nats(),
            4 => servers.restart_nats().unwrap(),
            _ => {}
        }
    }
    assert!(placed > 0);
    let written = toy.count("order", "select count(*) from orders").await;
    all_applied_once(&toy, usize::try_from(written).unwrap()).await;
}

#[tokio::test]
async fn two_processes_of_a_service_apply_each_event_once() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    let mut second = service::run(toy.config.clone(), vec![order(), inventory()]).await.unwrap();
    second.started().await.unwrap();
    let orders: Vec<OrderId> = (0..600).map(|_| new_order()).collect();
    for part in orders.chunks(50) {
        toy.place(part.to_vec()).await.unwrap();
    }
    all_applied_once(&toy, 600).await;
    assert!(second.stop(PATIENCE).await);
}
