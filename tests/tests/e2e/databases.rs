//! Every role of the database is tried on every other service's tables.

use bodega_tests::black_box::OpenShop;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::collections::BTreeMap;

/// `insufficient_privilege`
const REFUSED: &str = "42501";

/// Database, service and the tables in its schema, of every service.
async fn tables(admin: &dyn Fn(&str) -> String) -> Vec<(String, String, Vec<String>)> {
    let mut connection = PgConnection::connect(&admin("postgres")).await.expect("the superuser connects");
    let databases = sqlx::query("select datname from pg_database where datname like 'bodega%'");
    let databases = databases.fetch_all(&mut connection).await.expect("databases are listed");
    let mut found = BTreeMap::new();
    for database in databases {
        let database: String = database.get(0);
        let mut connection = PgConnection::connect(&admin(&database)).await.expect("the superuser connects");
        let rows = sqlx::query(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
        );
        for row in rows.fetch_all(&mut connection).await.expect("tables are listed") {
            let tables: &mut Vec<String> = found.entry((database.clone(), row.get::<String, _>(0))).or_default();
            tables.push(row.get(1));
        }
    }
    found.into_iter().map(|((database, service), tables)| (database, service, tables)).collect()
}

async fn code(connection: &mut PgConnection, statement: String) -> Option<String> {
    let error = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.err()?;
    error.as_database_error()?.code().map(Into::into)
}

#[tokio::test]
async fn a_service_reads_and_writes_its_own_tables_and_nobody_elses() {
    let shop = OpenShop::shared().await;
    let (admin_url, port, password) = {
        let mut processes = shop.processes();
        let admin_url = processes.postgres().url("*");
        let password = processes.files().secrets().key("database").expect("the password of the roles");
        (admin_url, processes.ports().postgres, password)
    };
    let all = tables(&|database| admin_url.replace('*', database)).await;
    assert!(all.len() >= 8 && all.iter().all(|(_, _, tables)| !tables.is_empty()), "{all:?}");

    for (_, service, _) in &all {
        for (database, owner, tables) in &all {
            let url = format!("postgres://bodega_{service}:{password}@127.0.0.1:{port}/{database}");
            let Ok(mut connection) = PgConnection::connect(&url).await else {
                assert_ne!(service, owner, "{service} connects to its own database");
                continue;
            };
            for table in tables {
                let read = code(&mut connection, format!("select 1 from \"{owner}\".\"{table}\" limit 1")).await;
                let deleted =
                    code(&mut connection, format!("begin; delete from \"{owner}\".\"{table}\" where false; rollback"))
                        .await;
                if deleted.is_some() {
                    let _ = code(&mut connection, "rollback".to_owned()).await;
                }
                if service == owner {
                    assert_eq!(read, None, "{service} reads {owner}.{table}");
                } else {
                    let refused = Some(REFUSED.to_owned());
                    assert_eq!((read, deleted), (refused.clone(), refused), "{service} on {owner}.{table}");
                }
            }
            for schema in [owner.as_str(), "public"].into_iter().filter(|schema| schema != service) {
                let made = code(&mut connection, format!("create table \"{schema}\".intruder ()")).await;
                assert_eq!(made.as_deref(), Some(REFUSED), "{service} makes a table in {schema}");
            }
            for statement in ["create schema intruder", "create role intruder", "create database intruder"] {
                let made = code(&mut connection, statement.to_owned()).await;
                assert_eq!(made.as_deref(), Some(REFUSED), "{service}: {statement}");
            }
        }
    }
}
