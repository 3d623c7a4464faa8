//! Out once, in once, none lost.

use bodega_domain::{id::OrderId, message::order::Abandon};
use bodega_platform::{CallError, service, sqlx};
use bodega_tests::{Servers, eventually_within};

use crate::toy::{PATIENCE, Toy, as_service, asker, config, inventory, new_order, now, order};

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
            // The stream is made by the first who finds it missing, after the order is answered.
            eventually_within(PATIENCE, "a stream to delete", || async {
                jetstream.delete_stream("evt_order").await.ok()
            })
            .await;
        }
    }
    all_applied_once(&toy, placed).await;
}

#[tokio::test]
async fn a_consumer_that_was_away_when_the_stream_was_lost_asks_for_what_is_missing() {
    let servers = Servers::start().await.unwrap();
    let config = std::sync::Arc::new(config(&servers).await);
    service::migrate(&config, &[order(), inventory()], |_| {}).await.unwrap();
    let mut source = service::run(config.clone(), vec![order()]).await.unwrap();
    source.started().await.unwrap();
    let asker = asker(&config).await;
    let orders: Vec<OrderId> = (0..1_200).map(|_| new_order()).collect();
    for part in orders.chunks(400) {
        asker.request(&Abandon { orders: part.to_vec() }, &as_service()).await.unwrap();
    }
    let waiting = "select count(*) from outbox where published is null";
    eventually_within(PATIENCE, "the outbox to be marked", || async {
        let left: i64 = sqlx::query_scalar(waiting).fetch_one(source.contexts()[0].postgres().pool()).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
    asker.jetstream().delete_stream("evt_order").await.unwrap();
    let mut listener = service::run(config, vec![inventory()]).await.unwrap();
    listener.started().await.unwrap();
    let seen = listener.contexts()[0].postgres().clone();
    eventually_within(PATIENCE, "every event to be applied", || async {
        let applied: i64 = sqlx::query_scalar("select count(*) from seen").fetch_one(seen.pool()).await.unwrap();
        (applied == 1_200).then_some(())
    })
    .await;
    let twice: i64 =
        sqlx::query_scalar("select count(*) from seen where times <> 1").fetch_one(seen.pool()).await.unwrap();
    assert_eq!(twice, 0);
}

#[tokio::test]
async fn an_event_that_nobody_can_read_holds_up_no_other() {
    let servers = Servers::start().await.unwrap();
    let toy = Toy::start(&servers).await;
    toy.place(vec![new_order()]).await.unwrap();
    all_applied_once(&toy, 1).await;
    for nonsense in ["", "{", "{\"id\":\"evt_0\"}", "null"] {
        let ack = toy.asker.jetstream().publish("evt.order.v1.placed", nonsense.into()).await.unwrap();
        ack.await.unwrap();
    }
    toy.place(vec![new_order(), new_order()]).await.unwrap();
    all_applied_once(&toy, 3).await;
}

#[tokio::test]
async fn what_is_older_than_its_keep_is_deleted() {
    let servers = Servers::start().await.unwrap();
    let config = std::sync::Arc::new(config(&servers).await);
    service::migrate(&config, &[order(), inventory()], |_| {}).await.unwrap();
    let postgres = bodega_platform::Postgres::new(&config, "order").unwrap();
    let id =
        |days: i64| sqlx::types::Uuid::from_u128(OrderId::new(now().plus_days(-days).unix_ms(), [7; 10]).as_u128());
    sqlx::query(
        "insert into outbox (id, subject, payload, created, published)
         select id, 'evt.order.v1.placed', '{}', now(), now() from unnest($1::uuid[]) as id",
    )
    .bind([id(9), id(8), id(6)])
    .execute(postgres.pool())
    .await
    .unwrap();
    sqlx::query("insert into inbox select 'order_x', id, now() from unnest($1::uuid[]) as id")
        .bind([id(9), id(6)])
        .execute(postgres.pool())
        .await
        .unwrap();
    let mut running = service::run(config, vec![order()]).await.unwrap();
    running.started().await.unwrap();
    let count = "select (select count(*) from outbox) * 10 + (select count(*) from inbox)";
    eventually_within(PATIENCE, "old rows to be deleted", || async {
        let left: i64 = sqlx::query_scalar(count).fetch_one(postgres.pool()).await.unwrap();
        (left == 11).then_some(())
    })
    .await;
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

#[tokio::test]
async fn a_missing_stream_is_made_even_while_somebody_listens_without_one() {
    let servers = Servers::start().await.unwrap();
    let config = std::sync::Arc::new(config(&servers).await);
    service::migrate(&config, &[order()], |_| {}).await.unwrap();
    let asker = asker(&config).await;
    // The server then cannot say that nobody is there: the acknowledgement just never comes.
    let _listener = asker.client().subscribe("evt.>").await.unwrap();
    asker.client().flush().await.unwrap();
    let mut source = service::run(config, vec![order()]).await.unwrap();
    source.started().await.unwrap();
    let orders = Abandon { orders: (0..300).map(|_| new_order()).collect() };
    eventually_within(PATIENCE, "the service to be heard", || async {
        asker.request(&orders, &as_service()).await.ok()
    })
    .await;
    let waiting = "select count(*) from outbox where published is null";
    eventually_within(PATIENCE, "every event to be published", || async {
        let left: i64 = sqlx::query_scalar(waiting).fetch_one(source.contexts()[0].postgres().pool()).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}
