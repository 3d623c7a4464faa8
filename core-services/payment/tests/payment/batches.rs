//! What a burst costs: statements and commits, counted by Postgres itself.

use std::collections::BTreeSet;

use crate::support::{World, ask, order};
use bodega_domain::{
    id::OrderId,
    message::payment::{Capture, Open},
    order::PaymentStatus,
};
use bodega_platform::sqlx::{self, Connection as _, PgConnection};
use bodega_tests::eventually_within;
use futures::future::join_all;

const BURST: usize = 256;

/// Lines of the server's log in which our role executes something, `BEGIN` and `COMMIT` not counted, and commits.
struct Counter {
    log: std::path::PathBuf,
    from: usize,
}

impl Counter {
    fn new(world: &World) -> Self {
        let log = world.core.servers.folder().join("postgres").join("postgres.log");
        let from = std::fs::read(&log).unwrap().len();
        Self { log, from }
    }

    fn count(&self) -> (usize, usize) {
        let log = std::fs::read(&self.log).unwrap();
        let log = String::from_utf8_lossy(&log[self.from..]).into_owned();
        let statements = log.lines().filter(|line| line.contains("LOG:  execute")).count();
        let commits = log.lines().filter(|line| line.contains("LOG:  statement: COMMIT")).count();
        (statements, commits)
    }
}

async fn until_heard(world: &World, orders: &BTreeSet<OrderId>, status: PaymentStatus) {
    eventually_within(std::time::Duration::from_secs(60), &format!("all {status:?}"), || async {
        let heard = world.ears.heard.lock().unwrap();
        let there: BTreeSet<_> = heard.iter().filter(|state| state.status == status).map(|s| s.order).collect();
        orders.is_subset(&there).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_256_costs_far_less_than_a_statement_each() {
    let mut world = World::open_with(|_| {}, 10_000).await;
    let admin = world.core.config.database.admin_url.expose().to_owned();
    let mut connection = PgConnection::connect(&admin).await.unwrap();
    sqlx::query("alter role bodega_payment set log_statement = 'all'").execute(&mut connection).await.unwrap();
    world.core.stop().await;
    world.core.start().await;

    let orders: BTreeSet<OrderId> = (0..BURST).map(|_| order()).collect();
    let counter = Counter::new(&world);
    let opened =
        join_all(orders.iter().map(|id| world.core.ask(Open { asks: vec![ask(*id, 1_000, "card_ok")] }))).await;
    assert!(opened.iter().all(Result::is_ok), "{:?}", opened.iter().find(|one| one.is_err()));
    let (opening, _) = counter.count();
    until_heard(&world, &orders, PaymentStatus::Authorised).await;
    let captured = join_all(orders.iter().map(|id| world.core.ask(Capture { orders: vec![*id] }))).await;
    assert!(captured.iter().all(Result::is_ok));
    until_heard(&world, &orders, PaymentStatus::Captured).await;
    let (whole, commits) = counter.count();

    // Five statements a batch; what else runs meanwhile is counted too.
    let each = |count: usize| ratio(count, BURST);
    println!(
        "opening: {} statements each; whole life: {} statements, {} commits each",
        each(opening),
        each(whole),
        each(commits)
    );
    // How large batches grow depends on how fast requests come: on a machine that is busy elsewhere they come in dribs.
    // Without batches it would be five statements an intent.
    assert!(opening * 2 < BURST, "opening took {opening} statements for {BURST} intents");
    assert!(whole < BURST * 4, "a whole life took {whole} statements for {BURST} intents");
    assert!(commits * 2 < BURST, "a whole life took {commits} commits for {BURST} intents");
    assert_eq!(world.balances_without_fees().await["provider_clearing"], 1_000 * i64::try_from(BURST).unwrap());
}

/// With two decimals, as text: floats stay out of this code base.
fn ratio(count: usize, of: usize) -> String {
    format!("{}.{:02}", count / of, count * 100 / of % 100)
}
