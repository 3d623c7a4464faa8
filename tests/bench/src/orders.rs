//! Orders per second on the bus: quote in hand, `order.v1.place` to the answer, a provider that never speaks.
//!
//! The yardstick is the same Postgres, with nothing around it: the rows of 64 orders in one transaction, set-based, by
//! two writers.

use std::time::{Duration, Instant};

use bodega_platform::sqlx::{self, PgPool};

use crate::{
    Fault,
    buyers::Bus,
    opened::{Opened, Profile},
    report::Report,
};

/// Orders of one run, by how many are in flight.
const LOADS: [(usize, usize); 3] = [(1, 60), (64, 1_024), (256, 2_048)];
const RUNS: usize = 3;
const YARDSTICK_BATCH: i32 = 64;
const YARDSTICK_WRITERS: usize = 2;
const YARDSTICK_TIME: Duration = Duration::from_secs(3);

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let mut opened = Opened::start(1, core).await?;
    let skus = opened.fill_the_shelves().await?;
    let pool = opened.database().await?;
    let setting = format!("core built as {core:?}, load generator and servers on the same machine, Postgres durable");
    let mut report = Report::new("orders", setting);
    let bus = Bus::connect(&mut opened).await?;
    prepare_yardstick(&pool).await?;
    let mut yardstick = Vec::new();
    for _ in 0..RUNS {
        yardstick.push(bare_rows(&pool).await?);
    }
    let against = format!("bare Postgres, {YARDSTICK_BATCH} orders a transaction, {YARDSTICK_WRITERS} writers");
    let bare = report.add(&against, "orders/s", &yardstick);
    // The first orders pay for connections and plans.
    bus.place_all(&bus.prepare_all(&skus, 64, "card_silent").await?, 16).await?;
    for (in_flight, count) in LOADS {
        let mut rates = Vec::new();
        for _ in 0..RUNS {
            let checkouts = bus.prepare_all(&skus, count, "card_silent").await?;
            let took = bus.place_all(&checkouts, in_flight).await?;
            rates.push(count as f64 / took.as_secs_f64());
        }
        report.add_beside(&format!("order.v1.place, {in_flight} in flight"), "orders/s", &rates, (&against, bare));
    }
    Ok(report)
}

async fn prepare_yardstick(pool: &PgPool) -> Result<(), Fault> {
    let script = "
        create schema yardstick;
        create table yardstick.claim (id uuid primary key, outcome smallint not null, at timestamptz not null);
        create table yardstick.keys (owner text, key text, id uuid not null, body bytea not null, primary key (owner, key));
        create table yardstick.orders (id uuid primary key, owner text, content jsonb, placed timestamptz not null);
        create table yardstick.line (id uuid, n smallint, sku bigint, quantity int, price bigint, primary key (id, n));
        create table yardstick.hold (id uuid primary key, state smallint not null, ask_at timestamptz);
        create table yardstick.hold_line (id uuid, sku bigint, quantity bigint not null, primary key (id, sku));
        create table yardstick.intent (id uuid primary key, order_id uuid not null unique, amount bigint not null);
        create table yardstick.outbox (id uuid primary key, subject text not null, payload jsonb not null);
        create table yardstick.stock (sku bigint primary key, on_hand bigint not null, pending bigint not null,
                                      check (pending <= on_hand)) with (fillfactor = 80);
        insert into yardstick.stock select n, 1000000000, 0 from generate_series(0, 9999) n;";
    sqlx::raw_sql(script).execute(pool).await?;
    Ok(())
}

/// Orders per second of writers that do nothing else.
async fn bare_rows(pool: &PgPool) -> Result<f64, Fault> {
    let begun = Instant::now();
    let writer = |first: i64| {
        let pool = pool.clone();
        async move {
            let mut orders = 0;
            let mut salt = first;
            while begun.elapsed() < YARDSTICK_TIME {
                write_batch(&pool, salt).await?;
                salt += 7_919;
                orders += i64::from(YARDSTICK_BATCH);
            }
            Ok::<i64, Fault>(orders)
        }
    };
    let written = futures::future::try_join_all((0..YARDSTICK_WRITERS).map(|n| writer(i64::try_from(n).unwrap_or(0))));
    let orders: i64 = written.await?.into_iter().sum();
    Ok(orders as f64 / begun.elapsed().as_secs_f64())
}

/// Stock is locked in one order, then written; every other row is new.
async fn write_batch(pool: &PgPool, salt: i64) -> Result<(), Fault> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "with wanted as (select ($2 + g * 7 + n * 3) % 10000 as sku, count(*) as q
                         from generate_series(1, $1) g, generate_series(1, 2) n group by 1),
              locked as (select sku from yardstick.stock where sku in (select sku from wanted) order by sku for update)
         update yardstick.stock s set pending = pending + w.q from wanted w
         where s.sku = w.sku and s.sku in (select sku from locked) and on_hand - pending >= w.q",
    )
    .bind(YARDSTICK_BATCH)
    .bind(salt)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "with o as materialized (select gen_random_uuid() as id, g from generate_series(1, $1) g),
              a as (insert into yardstick.claim select id, 1, now() from o order by id),
              b as (insert into yardstick.keys select id::text, 'key', id, decode(md5(id::text), 'hex') from o),
              c as (insert into yardstick.orders
                    select id, id::text, jsonb_build_object('content', repeat(md5(id::text), 40)), now() from o),
              d as (insert into yardstick.line select id, n, ($2 + g * 7 + n * 3) % 10000, 1, 999
                    from o, generate_series(1, 2) n),
              e as (insert into yardstick.hold select id, 0, now() from o),
              f as (insert into yardstick.hold_line select id, ($2 + g * 7 + n * 3) % 10000, 1
                    from o, generate_series(1, 2) n),
              h as (insert into yardstick.intent select gen_random_uuid(), id, 1999 from o)
         insert into yardstick.outbox select gen_random_uuid(), 'evt', jsonb_build_object('order', id)
         from o, generate_series(1, 3)",
    )
    .bind(YARDSTICK_BATCH)
    .bind(salt)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
