//! Orders per second on the bus: quote in hand, `order.v1.place` to the answer, while the provider hangs, so that nothing but
//! placing is measured: hold, order, outbox and intent committed, reply received.
//!
//! Beside it stands the same Postgres with nothing around it, see [`yardstick`](crate::yardstick). Everything is measured in
//! turns, so that a machine that slows down slows all of it.

use std::time::{Duration, Instant};

use bodega_platform::sqlx::PgPool;

use crate::{
    Fault,
    buyers::{Bus, Placed},
    counts::{STATISTICS_ARE_IN, at_rest, provider_hangs},
    opened::{Opened, Profile},
    report::{Report, median},
    yardstick::{Rows, Yardstick, counted},
};

/// Orders of one run, by how many are in flight.
const LOADS: [(usize, usize); 5] = [(1, 80), (16, 640), (64, 1_536), (256, 3_072), (1_024, 4_096)];
/// The load that the yardsticks are laid beside.
const AT: usize = 256;
const RUNS: usize = 3;
/// SKUs that orders are spread over.
const SKUS: usize = 10_000;
/// Products with at least so many SKUs.
const PRODUCTS: &str = "8000";
/// Orders after which rows are counted.
const COUNTED: usize = 2_048;
/// An idle backend hands its statistics in after ten seconds.
const ALL_STATISTICS_ARE_IN: Duration = Duration::from_secs(12);
/// A busy one after one second, with its next transaction; the provider hangs for nine.
const COUNTED_WITHIN: Duration = Duration::from_secs(8);

/// What of one load was measured.
#[derive(Default)]
struct Runs {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Runs {
    fn note(&mut self, placed: &Placed) {
        self.rates.push(placed.each.len() as f64 / placed.took.as_secs_f64());
        self.p50.push(placed.percentile(50));
        self.p99.push(placed.percentile(99));
    }
}

pub(crate) async fn measure(core: Profile) -> Result<Report, Fault> {
    let mut opened = Opened::start(1, core).await?;
    eprintln!("  putting {PRODUCTS} products in");
    tokio::task::block_in_place(|| opened.shop.bodega(&["seed", "--products", PRODUCTS]))?;
    let mut skus = opened.fill_the_shelves().await?;
    if skus.len() < SKUS {
        return Err(format!("{} SKUs, {SKUS} are needed", skus.len()).into());
    }
    skus.truncate(SKUS);
    let pool = opened.database().await?;
    let setting = format!(
        "core built as {core:?}, one process, 2 lines an order, {SKUS} SKUs, load generator and servers on the same machine, \
         Postgres durable"
    );
    let mut report = Report::new("orders", setting);
    let bus = Bus::connect(&mut opened).await?;
    // The first orders pay for connections and plans, and show what an order writes.
    let of = Wares { spread: skus.clone(), hot: skus[SKUS / 2] };
    one(&opened, &pool, &bus, &of.spread, (64, 256)).await?;
    tokio::time::sleep(ALL_STATISTICS_ARE_IN).await;
    let rows = rows_of_an_order(&opened, &pool, &bus, &of.spread).await?;
    provider_hangs(&opened, false).await?;
    at_rest(&pool).await?;
    for ((schema, table), (inserted, updated)) in &rows.tables {
        let name = format!("rows of an order in {schema}.{table}");
        for (what, count) in [("inserted", inserted), ("updated", updated)] {
            report.add(&format!("{name}, {what}"), "rows", &[*count as f64 / rows.orders as f64]);
        }
    }
    let yardstick = Yardstick::prepare(&mut opened, &pool, &rows).await?;

    let (mut reference, mut batch, mut single) = (Vec::new(), Vec::new(), Vec::new());
    let mut spread: [Runs; LOADS.len()] = Default::default();
    let mut hot: [Runs; LOADS.len()] = Default::default();
    for run in 1..=RUNS {
        eprintln!("  run {run} of {RUNS}");
        reference.push(yardstick.reference()?);
        batch.push(yardstick.batch()?);
        single.push(yardstick.single()?);
        for (n, load) in LOADS.into_iter().enumerate() {
            spread[n].note(&one(&opened, &pool, &bus, &of.spread, load).await?);
            hot[n].note(&one(&opened, &pool, &bus, &of.hot(), load).await?);
        }
    }
    let reference = ("postgres_reference_batch64", report.add("postgres_reference_batch64", "orders/s", &reference));
    let batch = ("postgres_batch64", report.add("postgres_batch64", "orders/s", &batch));
    let single = ("postgres_single", report.add("postgres_single", "orders/s", &single));
    let mut of_spread = [0.0; LOADS.len()];
    for (base, all) in [("place_order_spread", &spread), ("place_order_hot", &hot)] {
        // The load that the yardsticks are for has the plain name.
        let name = |in_flight: usize| if in_flight == AT { base.to_owned() } else { format!("{base}_{in_flight}") };
        for (n, ((in_flight, _), runs)) in LOADS.iter().zip(all).enumerate() {
            let value = report.add(&name(*in_flight), "orders/s", &runs.rates);
            report.beside(batch);
            if *in_flight == AT {
                report.beside(reference);
                report.beside(single);
            }
            if base == "place_order_hot" {
                report.beside(("place_order_spread, as many in flight", of_spread[n]));
            } else {
                of_spread[n] = value;
            }
            if let Some(before) = LOADS.iter().position(|(load, _)| *load == AT).filter(|at| *at < n) {
                report.beside((&format!("{base}, {AT} in flight"), median(&all[before].rates).0));
            }
            report.add(&format!("{}_p50", name(*in_flight)), "ms", &runs.p50);
            report.add(&format!("{}_p99", name(*in_flight)), "ms", &runs.p99);
        }
    }
    Ok(report)
}

/// What is bought.
struct Wares {
    spread: Vec<u32>,
    hot: u32,
}

impl Wares {
    /// Everybody wants the same; the second line is of anything, so that an order writes as many rows.
    fn hot(&self) -> Vec<u32> {
        self.spread.iter().flat_map(|sku| [self.hot, *sku]).collect()
    }
}

/// One run: everything is prepared, placed while the provider hangs, and brought to its end.
async fn one(opened: &Opened, pool: &PgPool, bus: &Bus, skus: &[u32], load: (usize, usize)) -> Result<Placed, Fault> {
    let placed = place(opened, bus, skus, load).await?;
    provider_hangs(opened, false).await?;
    let begun = Instant::now();
    at_rest(pool).await?;
    eprintln!(
        "    {} orders, {} in flight: placed in {:.1} s, p99 {:.0} ms; at rest {:.1} s later",
        placed.each.len(),
        load.0,
        placed.took.as_secs_f64(),
        placed.percentile(99),
        begun.elapsed().as_secs_f64()
    );
    Ok(placed)
}

async fn place(opened: &Opened, bus: &Bus, skus: &[u32], (in_flight, count): (usize, usize)) -> Result<Placed, Fault> {
    let checkouts = bus.prepare_all(skus, count, "card_ok").await?;
    provider_hangs(opened, true).await?;
    bus.place_all(&checkouts, in_flight).await
}

/// Counts what orders write, while the provider hangs, until all of it is counted.
async fn rows_of_an_order(opened: &Opened, pool: &PgPool, bus: &Bus, skus: &[u32]) -> Result<Rows, Fault> {
    let before = counted(pool).await?;
    place(opened, bus, skus, (AT, COUNTED)).await?;
    let begun = Instant::now();
    let orders = i64::try_from(COUNTED)?;
    loop {
        tokio::time::sleep(STATISTICS_ARE_IN).await;
        let rows = Rows::between(&before, &counted(pool).await?, orders);
        let all = [("inventory", "hold"), ("order", "orders"), ("payment", "intent")].iter().all(|(schema, table)| {
            rows.tables.get(&((*schema).to_owned(), (*table).to_owned())).is_some_and(|(new, _)| *new == orders)
        });
        let told = rows.tables.get(&("order".to_owned(), "outbox".to_owned())).is_some_and(|(new, out)| new == out);
        if all && told {
            rows.copy_some(pool).await?;
            return Ok(rows);
        }
        if begun.elapsed() > COUNTED_WITHIN {
            return Err(format!("not all rows of {COUNTED} orders were counted: {:?}", rows.tables).into());
        }
    }
}
