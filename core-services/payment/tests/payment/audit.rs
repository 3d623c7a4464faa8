//! What the checker finds in the report and in the books, and whom it tells.

use crate::support::World;
use bodega_domain::{
    Code,
    message::payment::{Exception, Exceptions, Reconcile, Reconciliation, Reconciliations},
    order::PaymentStatus,
};
use bodega_platform::sqlx;

/// Another start: report and books are gone through at each.
async fn again(world: &mut World) {
    world.core.stop().await;
    world.core.start().await;
}

async fn settled(world: &World, line: &str, reference: &str) {
    sqlx::query(
        "insert into settlement (provider, line, kind, reference, amount, fee, currency, settled_at)
         values ('simulator', $1, 'charge', $2, 1, 0, 'EUR', now() - interval '2 hours')",
    )
    .bind(line)
    .bind(reference)
    .execute(&world.pool().await)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_names_no_payment_is_shown_once_and_one_that_came_early_finds_its_own() {
    let mut world = World::open().await;
    let order = world.pay(1_000, "card_ok").await;
    world.until_status(order, PaymentStatus::Authorised).await;
    let reference = world.reference(order).await;
    settled(&world, "txn_early", &reference).await;
    settled(&world, "txn_stranger", "pi_stranger").await;
    for _ in 0..2 {
        again(&mut world).await;
        bodega_tests::eventually("the exception", || async { (!world.exceptions().await.is_empty()).then_some(()) })
            .await;
        assert_eq!(world.exceptions().await, ["unmatched_settlement"]);
    }
    let pool = world.pool().await;
    let lines: Vec<(String, bool, bool)> = sqlx::query_as(
        "select line, intent is not null, shown from settlement where line ~ 'early|stranger' order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(lines, [("txn_early".to_owned(), true, false), ("txn_stranger".to_owned(), false, true)]);
    // Looked at, it is not shown again; the next one is.
    sqlx::query("update exception set closed_at = now(), closed_by = 'me'").execute(&pool).await.unwrap();
    settled(&world, "txn_other", "pi_other").await;
    again(&mut world).await;
    bodega_tests::eventually("the next exception", || async { (!world.exceptions().await.is_empty()).then_some(()) })
        .await;
    let shown: String = sqlx::query_scalar("select detail #>> '{lines,0,line}' from exception where closed_at is null")
        .fetch_one(&world.pool().await)
        .await
        .unwrap();
    assert_eq!(shown, "txn_other");
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_do_not_add_up_are_shown_to_a_person_once() {
    let mut world = World::open().await;
    world.paid(1_000, "card_ok").await;
    let pool = world.pool().await;
    sqlx::query("update intent set booked_refunded = 0, booked_captured = 999, booked_applied = 999")
        .execute(&pool)
        .await
        .unwrap();
    for _ in 0..2 {
        again(&mut world).await;
        bodega_tests::eventually("the exception", || async { (!world.exceptions().await.is_empty()).then_some(()) })
            .await;
        assert_eq!(world.exceptions().await, ["books_differ"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_of_every_payment_are_added_up_however_many_they_are() {
    let mut world = World::open().await;
    let pool = world.pool().await;
    let many = bodega_payment::limits::ADD_UP_PAGE + 1;
    // Unpaid ones without a transfer, and the last one says that something was booked.
    sqlx::query(
        "insert into intent (id, order_id, buyer, provider, amount, currency, status, told_revision, tell_at, opened_at,
             captured, authorised, booked_captured)
         select lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 'ses', 'simulator', 100, 'EUR', 'pending', 1, now(),
             now(), c, c, c
         from generate_series(1, $1) as n, lateral (select case when n = $1 then 100 else 0 end) as x (c)",
    )
    .bind(many)
    .execute(&pool)
    .await
    .unwrap();
    again(&mut world).await;
    bodega_tests::eventually("the exception", || async { (!world.exceptions().await.is_empty()).then_some(()) }).await;
    assert_eq!(world.exceptions().await, ["books_differ"]);
}

/// The newest run, when it is finished.
async fn finished(world: &World) -> Reconciliation {
    bodega_tests::eventually("the run is finished", || async {
        let runs = world.core.ask(Reconciliations::default()).await.unwrap().items;
        runs.into_iter().next().filter(|run| run.finished_at.is_some())
    })
    .await
}

/// A run that is asked for now, finished.
async fn reconciled(world: &World) -> Reconciliation {
    let asked = world.core.ask(Reconcile {}).await.unwrap();
    assert!(asked.finished_at.is_none(), "{asked:?}");
    let run = finished(world).await;
    assert_eq!(run.id, asked.id);
    run
}

async fn open(world: &World) -> Vec<Exception> {
    let mut open = world.core.ask(Exceptions::default()).await.unwrap().items;
    open.sort_by(|a, b| a.kind.cmp(&b.kind));
    open
}

/// A payment of 100 that was taken two days ago, as the books would have it.
async fn taken_two_days_ago(pool: &sqlx::PgPool) {
    let written = [
        "insert into intent (id, order_id, buyer, provider, provider_ref, amount, currency, status, told_revision, tell_at,
             opened_at, authorised, captured, capture_claimed, booked_captured, booked_applied)
         values (md5('old')::uuid, md5('order')::uuid, 'ses', 'simulator', 'pi_old', 100, 'EUR', 'captured', 1, now(),
             now() - interval '2 days', 100, 100, 100, 100, 100)",
        "insert into transfer (id, journal, intent, order_id, at, debit, credit, amount, currency, merchant, reason)
         values (gen_random_uuid(), gen_random_uuid(), md5('old')::uuid, md5('order')::uuid, now() - interval '2 days',
             'provider_clearing', 'merchant_payable', 100, 'EUR', md5('merchant')::uuid, 'capture')",
    ];
    for statement in written {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

async fn settled_old(pool: &sqlx::PgPool, line: &str, amount: i64, currency: &str) {
    sqlx::query(
        "insert into settlement (provider, line, kind, reference, intent, amount, fee, currency, settled_at)
         values ('simulator', $1, 'charge', 'pi_old', md5('old')::uuid, $2, 0, $3, now() - interval '2 hours')",
    )
    .bind(line)
    .bind(amount)
    .bind(currency)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_is_shown_with_what_to_do_until_it_is_none() {
    let world = World::open().await;
    let night = finished(&world).await;
    assert_eq!((night.who.as_str(), night.payments, night.differences), ("service", 0, 0), "{night:?}");
    world.paid(1_000, "card_ok").await;
    let pool = world.pool().await;
    taken_two_days_ago(&pool).await;

    let run = reconciled(&world).await;
    assert_eq!((run.payments, run.differences, run.trouble), (2, 1, None));
    let found = open(&world).await;
    let said = (found[0].kind.as_str(), found[0].suggestion.action.as_str(), &found[0].detail["settled"]);
    assert_eq!(said, ("settled_less", "write_to_provider", &serde_json::json!(0)), "{found:?}");
    assert_eq!(found.len(), 1, "what was taken a moment ago may still be settled: {found:?}");

    settled_old(&pool, "one", 100, "EUR").await;
    assert_eq!(reconciled(&world).await.differences, 0);
    assert!(open(&world).await.is_empty(), "it is closed when the line has come");

    settled_old(&pool, "two", 50, "JPY").await;
    for _ in 0..2 {
        assert_eq!(reconciled(&world).await.differences, 2);
        let kinds: Vec<String> = open(&world).await.into_iter().map(|one| one.kind).collect();
        assert_eq!(kinds, ["settled_in_another_currency", "settled_more"], "each once, however often it is looked at");
    }
    let closed: Vec<(String, Option<String>)> =
        sqlx::query_as("select kind, closed_by from exception where closed_at is not null")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(closed, [("settled_less".to_owned(), Some("service".to_owned()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_read_is_said_and_a_run_of_the_dead_is_taken_over() {
    let world = World::open().await;
    finished(&world).await;
    let pool = world.pool().await;
    let World { mut core, simulator, .. } = world;
    core.stop().await;
    // As a process leaves it that was killed in the midst of it.
    let left = "insert into reconciliation (id, who, asked_at, due_at, payments, differences)
                values (gen_random_uuid(), 'acc_gone', now(), now(), 7, 3)";
    sqlx::query(left).execute(&pool).await.unwrap();
    simulator.stop().await;
    core.start().await;
    let run = bodega_tests::eventually("the run is taken over", || async {
        let runs = core.ask(Reconciliations::default()).await.unwrap().items;
        runs.into_iter().find(|run| run.who == "acc_gone" && run.finished_at.is_some())
    })
    .await;
    assert_eq!((run.payments, run.differences), (0, 0), "it is begun anew");
    assert!(run.trouble.as_deref().is_some_and(|trouble| trouble.starts_with("simulator: ")), "{run:?}");
    let wrong = Reconciliations { cursor: Some("elsewhere".into()) };
    assert_eq!(core.ask(wrong).await.unwrap_err().code, Code::BadRequest);
}
