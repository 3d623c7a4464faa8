//! What a checkout costs the servers, and a page the edge: from the servers' own statistics.
//!
//! A checkout is everything from `order.v1.place` to an order that is paid and at rest: hold, commit, intent, the
//! provider's calls and webhooks, posting, capture, ledger, events. Placing is the part of it until the answer, with a
//! provider that hangs, so that the rest has to wait. What the idle shop does in the same time is measured before and taken
//! off.

use std::time::{Duration, Instant};

use bodega_platform::sqlx::{self, PgPool};
use serde_json::{Value, json};

use crate::{
    Fault,
    buyers::Bus,
    http,
    opened::{Opened, Profile},
    report::Report,
};

const LOADS: [(usize, usize); 3] = [(1, 20), (64, 512), (256, 1_024)];
const IDLE: Duration = Duration::from_secs(5);
/// Backends hand their statistics in once a second at most.
pub(crate) const STATISTICS_ARE_IN: Duration = Duration::from_millis(1_200);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the provider hangs: longer than a measurement, and less long than the core waits for it.
const HANGS_MS: u64 = 9_000;
const AT_REST_WITHIN: Duration = Duration::from_secs(300);

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    statements: f64,
    commits: f64,
    transactions: f64,
    rows: f64,
    messages: f64,
    bytes: f64,
}

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let mut opened = Opened::start(1, core).await?;
    let skus = opened.fill_the_shelves().await?;
    count_statements(&mut opened).await?;
    let pool = opened.database().await?;
    sqlx::query("create extension if not exists pg_stat_statements").execute(&pool).await?;
    let mut report = Report::new("counts", format!("core built as {core:?}, one process; whole life of a paid order"));
    let monitor = opened.ports.nats_monitor;
    let bus = Bus::connect(&mut opened).await?;
    // The first orders pay for connections and prepared statements.
    bus.place_all(&bus.prepare_all(&skus, 32, "card_ok").await?, 16).await?;
    at_rest(&pool).await?;
    for (in_flight, count) in LOADS {
        for (part, placing_alone) in [("", false), (" of placing", true)] {
            let checkouts = bus.prepare_all(&skus, count, "card_ok").await?;
            let quiet = read(&pool, monitor).await?;
            tokio::time::sleep(IDLE).await;
            if placing_alone {
                provider_hangs(&opened, true).await?;
            }
            let before = read(&pool, monitor).await?;
            bus.place_all(&checkouts, in_flight).await?;
            if !placing_alone {
                at_rest(&pool).await?;
            }
            let after = read(&pool, monitor).await?;
            for (name, unit, of) in COUNTED {
                let idle = (of(&before) - of(&quiet)) / before.at.duration_since(quiet.at).as_secs_f64();
                let spent = of(&after) - of(&before) - idle * after.at.duration_since(before.at).as_secs_f64();
                report.add(&format!("{name}{part}, {in_flight} in flight"), unit, &[spent / count as f64]);
            }
            if after.at.duration_since(before.at) > Duration::from_millis(HANGS_MS) && placing_alone {
                return Err("the provider spoke before every order was placed".into());
            }
            if placing_alone {
                provider_hangs(&opened, false).await?;
                at_rest(&pool).await?;
            }
        }
    }
    pages(&mut report, &opened).await?;
    Ok(report)
}

/// Whether the payment simulator hangs in every call, and then has done nothing.
pub(crate) async fn provider_hangs(opened: &Opened, hangs: bool) -> Result<(), Fault> {
    let client = reqwest::Client::new();
    let switches = format!("http://127.0.0.1:{}/control/switches", opened.ports.simulator);
    let mut set: Value = client.get(&switches).send().await?.json().await?;
    let fault = json!({"operation": "any", "mode": "hang_before", "hang_ms": HANGS_MS, "count": u32::MAX});
    set["faults"] = if hangs { json!([fault]) } else { json!([]) };
    client.put(&switches).json(&set).send().await?.error_for_status()?;
    Ok(())
}

type Of = fn(&Counters) -> f64;

const COUNTED: [(&str, &str, Of); 6] = [
    ("Postgres: statements without BEGIN and COMMIT", "a checkout", |c| c.statements),
    ("Postgres: COMMIT", "a checkout", |c| c.commits),
    ("Postgres: transactions, single statements counted", "a checkout", |c| c.transactions),
    ("Postgres: rows inserted and updated", "a checkout", |c| c.rows),
    ("NATS: messages in", "a checkout", |c| c.messages),
    ("NATS: bytes in", "a checkout", |c| c.bytes),
];

/// Loads the module that counts statements; that takes a restart.
async fn count_statements(opened: &mut Opened) -> Result<(), Fault> {
    let pool = opened.database().await?;
    sqlx::query("alter system set shared_preload_libraries = 'pg_stat_statements'").execute(&pool).await?;
    pool.close().await;
    tokio::task::block_in_place(|| {
        opened.shop.stop_core();
        opened.shop.postgres().kill();
        opened.shop.postgres().restart()?;
        opened.shop.start_core()
    })?;
    Ok(())
}

/// Waits until no order has anything left to do and every event has left.
pub(crate) async fn at_rest(pool: &PgPool) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let left: i64 = sqlx::query_scalar(
            "select (select count(*) from \"order\".saga where due is not null)
                  + (select count(*) from \"order\".outbox where published is null)
                  + (select count(*) from payment.job where kind <> 'poll')",
        )
        .fetch_one(pool)
        .await?;
        if left == 0 {
            return Ok(());
        }
        if begun.elapsed() > AT_REST_WITHIN {
            return Err(format!("{left} things are still to be done").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn read(pool: &PgPool, monitor: u16) -> Result<Counters, Fault> {
    tokio::time::sleep(STATISTICS_ARE_IN).await;
    let (statements, commits): (i64, i64) = sqlx::query_as(
        "select coalesce(sum(calls) filter (where query !~* '^(begin|commit|rollback|savepoint|release)'), 0)::bigint,
                coalesce(sum(calls) filter (where query ~* '^commit'), 0)::bigint
         from pg_stat_statements",
    )
    .fetch_one(pool)
    .await?;
    let (transactions, rows): (i64, i64) = sqlx::query_as(
        "select xact_commit, tup_inserted + tup_updated from pg_stat_database where datname = current_database()",
    )
    .fetch_one(pool)
    .await?;
    let (_, varz) = http::get(monitor, "/varz").await?;
    let varz: Value = serde_json::from_slice(&varz)?;
    let number = |name: &str| varz[name].as_f64().unwrap_or(0.0);
    Ok(Counters {
        at: Instant::now(),
        statements: statements as f64,
        commits: commits as f64,
        transactions: transactions as f64,
        rows: rows as f64,
        messages: number("in_msgs"),
        bytes: number("in_bytes"),
    })
}

/// Key-value reads of a page and their bytes, from the edge's metrics; bytes on the wire from the answer.
async fn pages(report: &mut Report, opened: &Opened) -> Result<(), Fault> {
    const ASKED: u16 = 20;
    let (edge, metrics) = (opened.ports.edge, opened.ports.edge_metrics);
    let (_, list) = http::get(edge, "/api/v1/products?limit=1").await?;
    let list: Value = serde_json::from_slice(&list)?;
    let slug = list["items"][0]["slug"].as_str().ok_or("a shop without products")?.to_owned();
    let (_, categories) = http::get(edge, "/api/v1/categories").await?;
    let categories: Value = serde_json::from_slice(&categories)?;
    let category = categories["items"][0]["slug"].as_str().ok_or("a shop without categories")?.to_owned();
    for (name, path) in [
        ("home page", "/".to_owned()),
        ("category page", format!("/c/{category}")),
        ("product page", format!("/p/{slug}")),
        ("empty cart page", "/cart".to_owned()),
        ("product as JSON", format!("/api/v1/products/{slug}")),
    ] {
        let before = reads(metrics).await?;
        let mut bytes = 0;
        for _ in 0..ASKED {
            let (status, body) = http::get(edge, &path).await?;
            if status != 200 {
                return Err(format!("{path} answered {status}").into());
            }
            bytes = body.len();
        }
        let after = reads(metrics).await?;
        report.add(&format!("{name}: key-value reads"), "a page", &[(after.0 - before.0) / f64::from(ASKED)]);
        report.add(&format!("{name}: bytes read"), "a page", &[(after.1 - before.1) / f64::from(ASKED)]);
        report.add(&format!("{name}: bytes sent"), "a page", &[bytes as f64]);
    }
    Ok(())
}

async fn reads(port: u16) -> Result<(f64, f64), Fault> {
    let (_, text) = http::get(port, "/metrics").await?;
    let text = String::from_utf8(text)?;
    let of = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        value.ok_or_else(|| Fault::from(format!("no {name} in the edge's metrics")))
    };
    Ok((of("bodega_edge_kv_reads_total ")?, of("bodega_edge_kv_read_bytes_total ")?))
}
