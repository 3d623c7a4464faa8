//! The harness itself: what every other test takes for granted.

use bodega_tests::{FILLED_DATABASE, HarnessError, Servers, eventually, test_folder};
use sqlx::{Connection, PgConnection};
use std::net::TcpStream;
use std::process::{Command, Stdio};

async fn rows(url: &str, statement: &'static str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar(statement).fetch_one(&mut connection).await
}

fn listens(url: &str) -> bool {
    let address = url.split("//").nth(1).unwrap_or_default().trim_end_matches('/');
    TcpStream::connect(address).is_ok()
}

#[tokio::test]
async fn committed_rows_survive_a_killed_postgres() -> Result<(), HarnessError> {
    let servers = Servers::start().await?;
    let url = servers.database("kept").await?;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query("CREATE TABLE kept AS SELECT generate_series(1, 10)").execute(&mut connection).await?;

    servers.kill_postgres();
    assert!(sqlx::query("SELECT 1").execute(&mut connection).await.is_err(), "the connection must be cut");
    servers.restart_postgres()?;

    assert_eq!(rows(&url, "SELECT count(*) FROM kept").await?, 10);
    Ok(())
}

#[tokio::test]
async fn what_fills_a_cluster_runs_once_and_each_set_has_a_copy_of_its_own() -> Result<(), HarnessError> {
    let key = format!("harness-{}", std::process::id());
    let fill = async |servers: &Servers| {
        let mut connection = PgConnection::connect(&servers.postgres_url(FILLED_DATABASE)).await.unwrap();
        sqlx::query("CREATE TABLE kept AS SELECT 1 AS n").execute(&mut connection).await.unwrap();
    };
    let first = Servers::start_filled(&key, fill).await?;
    let second = Servers::start_filled(&key, async |_: &Servers| panic!("it is filled already")).await?;
    let [one, two] = [&first, &second].map(|servers| servers.postgres_url(FILLED_DATABASE));
    let mut connection = PgConnection::connect(&one).await?;
    sqlx::query("INSERT INTO kept VALUES (2)").execute(&mut connection).await?;
    assert_eq!(
        (rows(&one, "SELECT count(*) FROM kept").await?, rows(&two, "SELECT count(*) FROM kept").await?),
        (2, 1)
    );
    std::fs::remove_dir_all(test_folder().join("clusters").join(&key))?;
    Ok(())
}

#[tokio::test]
async fn every_database_is_another_one() -> Result<(), HarnessError> {
    let servers = Servers::shared().await?;
    let (one, two) = (servers.database("same").await?, servers.database("same").await?);
    assert_ne!(one, two);
    assert_eq!(rows(&one, "SELECT 1::bigint").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_killed_server_is_gone_and_comes_back_on_its_port() -> Result<(), HarnessError> {
    let servers = Servers::start().await?;
    let (nats, redis) = (servers.nats_url(), servers.redis_url());
    assert!(listens(&nats) && listens(&redis));
    servers.kill_nats();
    servers.kill_redis();
    assert!(!listens(&nats) && !listens(&redis));
    servers.restart_nats()?;
    servers.restart_redis()?;
    assert!(listens(&nats) && listens(&redis));
    Ok(())
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
#[ignore = "started by the next test"]
async fn hold_servers_until_killed() -> Result<(), HarnessError> {
    let servers = Servers::start().await?;
    let addresses = [servers.postgres_url("x"), servers.nats_url(), servers.redis_url()].join("\n");
    let file = std::env::var_os("BODEGA_TEST_ADDRESSES").expect("set by the next test");
    std::fs::write(std::path::Path::new(&file).with_extension("new"), addresses)?;
    std::fs::rename(std::path::Path::new(&file).with_extension("new"), &file)?;
    std::future::pending::<()>().await;
    Ok(())
}

#[tokio::test]
async fn servers_do_not_outlive_a_test_process_killed_with_sigkill() -> Result<(), HarnessError> {
    let file = std::env::temp_dir().join(format!("bodega-addresses-{}", std::process::id()));
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "hold_servers_until_killed"])
        .env("BODEGA_TEST_ADDRESSES", &file)
        .stdout(Stdio::null())
        .spawn()?;
    let addresses =
        eventually("the servers of the other process", || async { std::fs::read_to_string(&file).ok() }).await;
    let addresses: Vec<String> =
        addresses.lines().map(|url| url.replace("postgres:postgres@", "").replace("/x", "")).collect();
    assert_eq!(addresses.len(), 3);
    assert!(addresses.iter().all(|url| listens(url)));

    holder.kill()?;
    holder.wait()?;

    eventually("all servers to be gone", || async { addresses.iter().all(|url| !listens(url)).then_some(()) }).await;
    std::fs::remove_file(&file)?;
    Ok(())
}
