//! What the checker finds in the report and in the books, and whom it tells.

use crate::support::World;
use bodega_domain::order::PaymentStatus;
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
