//! Roles, schemas, whole transactions. These tests share servers: they never ask over the bus.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bodega_domain::Failure;
use bodega_platform::{
    Config, DatabaseError, Postgres, TransactionError, service,
    sqlx::{self, Connection as _, PgConnection},
};
use bodega_tests::Servers;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};

use crate::toy::{Toy, config, inventory, new_order, order};

#[tokio::test]
async fn no_role_gets_into_another_schema() {
    let toy = Toy::start(Servers::shared().await.unwrap()).await;
    let inventory = toy.postgres("inventory");
    for statement in [
        "select * from \"order\".orders",
        "insert into \"order\".orders (id) values (gen_random_uuid())",
        "create table \"order\".mine (a int)",
        "create table public.mine (a int)",
        "create schema mine",
        "set role bodega_order",
    ] {
        let error = sqlx::query(statement).execute(inventory.pool()).await.unwrap_err();
        let state = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
        assert_eq!(state.as_deref(), Some("42501"), "{statement}: {error}");
    }
    assert_eq!(toy.count("inventory", "select count(*) from seen").await, 0, "its own schema is its own");
}

#[tokio::test]
async fn migrating_twice_and_at_once_is_the_same_as_once() {
    let servers = Servers::shared().await.unwrap();
    let config = Arc::new(config(servers).await);
    let services = [order(), inventory()];
    let at_once = (0..4).map(|_| {
        let config = config.clone();
        tokio::spawn(async move { service::migrate(&config, &services, |_| {}).await })
    });
    for outcome in futures::future::join_all(at_once).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(pending(&config).await, 0);
}

#[tokio::test]
async fn databases_of_one_server_may_be_prepared_at_once() {
    let servers = Servers::start().await.unwrap();
    let mut configs = Vec::new();
    for _ in 0..6 {
        configs.push(Arc::new(config(&servers).await));
    }
    let at_once = configs
        .into_iter()
        .map(|config| tokio::spawn(async move { service::migrate(&config, &[order(), inventory()], |_| {}).await }));
    for outcome in futures::future::join_all(at_once).await {
        outcome.unwrap().unwrap();
    }
}

async fn pending(config: &Config) -> usize {
    let order = order();
    bodega_platform::postgres::pending_migrations(config, order.name, order.migrations.unwrap()).await.unwrap()
}

#[tokio::test]
async fn each_service_may_have_a_database_of_its_own() {
    let servers = Servers::shared().await.unwrap();
    let mut config = config(servers).await;
    let template = config.database.url.expose().to_owned();
    let base = template.rsplit_once('/').unwrap().0;
    let own = format!("{base}/own_{{service}}_{}", std::process::id());
    config.database.url = bodega_platform::config::Secret::new(own);
    let toy = Toy::start_with(config).await;
    let name = |service: &'static str| toy.postgres(service);
    for service in ["order", "inventory"] {
        let database: String =
            sqlx::query_scalar("select current_database()").fetch_one(name(service).pool()).await.unwrap();
        assert!(database.starts_with(&format!("own_{service}_")), "{database}");
    }
}

#[tokio::test]
async fn a_deadlock_is_run_again_until_both_are_done() {
    let toy = Toy::start(Servers::shared().await.unwrap()).await;
    let postgres = toy.postgres("order");
    let ids = [new_order(), new_order()].map(|id| sqlx::types::Uuid::from_u128(id.as_u128()));
    let insert = sqlx::query("insert into orders (id) select * from unnest($1::uuid[])").bind(ids);
    insert.execute(postgres.pool()).await.unwrap();
    let attempts = Arc::new(AtomicUsize::new(0));
    // Both hold one row before either asks for the other: the first attempt surely deadlocks.
    let barrier = Arc::new(Barrier::new(2));
    let run = |first: sqlx::types::Uuid, second: sqlx::types::Uuid| {
        let (postgres, attempts, barrier) = (postgres.clone(), attempts.clone(), barrier.clone());
        tokio::spawn(async move {
            let mut waited = false;
            postgres
                .transaction(|mut tx| {
                    attempts.fetch_add(1, SeqCst);
                    let barrier = (!std::mem::replace(&mut waited, true)).then(|| barrier.clone());
                    Box::pin(async move {
                        touch(&mut tx, first).await?;
                        if let Some(barrier) = barrier {
                            barrier.wait().await;
                        }
                        touch(&mut tx, second).await?;
                        Ok::<_, TransactionError<Failure>>(())
                    })
                })
                .await
        })
    };
    let (one, two) = (run(ids[0], ids[1]), run(ids[1], ids[0]));
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    assert!(attempts.load(SeqCst) >= 3, "there was no deadlock");
    assert_eq!(toy.count("order", "select count(*) from orders where note = 'xx'").await, 2);
}

async fn touch(connection: &mut PgConnection, id: sqlx::types::Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("update orders set note = note || 'x' where id = $1").bind(id).execute(connection).await.map(|_| ())
}

#[tokio::test]
async fn a_refusal_rolls_everything_back() {
    let toy = Toy::start(Servers::shared().await.unwrap()).await;
    let refused: Result<(), TransactionError<&str>> = toy
        .postgres("order")
        .transaction(|mut tx| {
            Box::pin(async move {
                sqlx::query("insert into orders (id) values (gen_random_uuid())").execute(&mut *tx).await?;
                Err(TransactionError::Refused("too late"))
            })
        })
        .await;
    assert!(matches!(refused, Err(TransactionError::Refused("too late"))));
    assert_eq!(toy.count("order", "select count(*) from orders").await, 0);
}

#[tokio::test]
async fn a_lost_answer_to_a_commit_is_unknown_and_not_repeated() {
    let servers = Servers::shared().await.unwrap();
    let mut config = config(servers).await;
    service::migrate(&config, &[order()], |_| {}).await.unwrap();
    let direct = config.database.url_of("order");
    let port: u16 = direct.expose().rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
    let through = cut_after_commit(port).await;
    let url = direct.expose().replace(&format!(":{port}/"), &format!(":{through}/"));
    config.database.url = bodega_platform::config::Secret::new(url);
    let attempts = AtomicUsize::new(0);
    let outcome: Result<(), TransactionError<Failure>> = Postgres::new(&config, "order")
        .unwrap()
        .transaction(|mut tx| {
            attempts.fetch_add(1, SeqCst);
            Box::pin(async move {
                sqlx::query("insert into orders (id) values (gen_random_uuid())").execute(&mut *tx).await?;
                Ok(())
            })
        })
        .await;
    assert!(matches!(outcome, Err(TransactionError::Database(DatabaseError::CommitUnknown(_)))), "{outcome:?}");
    assert_eq!(attempts.load(SeqCst), 1);
    // The commit was on its way when the connection was cut.
    let direct = direct.expose();
    bodega_tests::eventually("the row to be committed", || async {
        let mut connection = PgConnection::connect(direct).await.unwrap();
        let rows: i64 =
            sqlx::query_scalar("select count(*) from \"order\".orders").fetch_one(&mut connection).await.unwrap();
        (rows == 1).then_some(())
    })
    .await;
}

/// Passes bytes to Postgres and back, until a COMMIT goes by: that one arrives, its answer does not.
async fn cut_after_commit(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                    let commits = bytes[..read].windows(6).any(|window| window == b"COMMIT");
                    if commits {
                        back.abort();
                        // Until the way back is closed nothing of the answer may slip through.
                        let _ = back.await;
                        let _ = to_server.write_all(&bytes[..read]).await;
                        return;
                    }
                    let _ = to_server.write_all(&bytes[..read]).await;
                }
            });
        }
    });
    address.port()
}
