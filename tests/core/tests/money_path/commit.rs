//! Step B at its edges: a deadline that is over before it, a commit that comes too late, and one whose answer is lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use bodega_domain::{
    Code,
    id::OrderId,
    message::{inventory::HoldState, order::Outcome, pricing::QuoteAnswer},
    order::OrderStatus,
    principal::Owner,
    quote,
};
use bodega_platform::sqlx;
use bodega_test_core::code;
use bodega_tests::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    crash::{Process, open_apart, until_answering},
    shop::{Guest, ON_HAND, Shop, WATER},
};

/// The order that a quote would make.
fn order_of(shop: &Shop, guest: &Guest, quote: &QuoteAnswer) -> OrderId {
    let (ring, token) = (&shop.core.config.keys.quote, quote.token.as_deref().unwrap());
    quote::verify(ring, token, Owner::Guest(guest.session)).unwrap().into_content().order_id
}

async fn orders(shop: &Shop) -> i64 {
    let pool = shop.core.pool("order").await;
    sqlx::query_scalar("select count(*) from orders").fetch_one(&pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_outlasts_the_deadline_makes_no_order_and_the_same_key_may_try_again() {
    let (shop, configuration) = open_apart().await;
    let process = Process::start(&configuration, "order.after_hold=delay:2500");
    until_answering(&shop).await;
    let (again, never) = (shop.guest(), shop.guest());
    let mut tries = Vec::new();
    for guest in [&again, &never] {
        let quote = shop.quote(guest, &[(WATER, 2)]).await;
        let mut place = shop.order(&quote, "k", "card_ok");
        place.deadline = shop.core.clock.now().plus_s(1);
        assert_eq!(code(&shop.place(guest, place).await), Some(Code::DeadlineExceeded));
        assert_eq!(shop.hold(order_of(&shop, guest, &quote)).await, HoldState::Pending, "until inventory asks");
        tries.push(quote);
    }
    assert_eq!(orders(&shop).await, 0);
    let order = shop.place(&again, shop.order(&tries[0], "k", "card_ok")).await.expect("in time now").id;
    shop.until_status(&again, order, OrderStatus::Paid).await;
    sqlx::query("update hold set ask_at = now() - interval '1 minute' where ask_at is not null")
        .execute(&shop.core.pool("inventory").await)
        .await
        .unwrap();
    let lost = order_of(&shop, &never, &tries[1]);
    eventually("the hold of nobody to be given back", || async {
        (shop.hold(lost).await == HoldState::Voided).then_some(())
    })
    .await;
    let level = shop.level(WATER).await;
    assert_eq!((level.pending, level.posted, level.available), (0, 2, 2 * ON_HAND - 2));
    let late = shop.place(&never, shop.order(&tries[1], "k", "card_ok")).await;
    assert_eq!(code(&late), Some(Code::QuoteExpired));
    process.kill();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_later_than_final_is_none() {
    let (shop, configuration) = open_apart().await;
    let process = Process::start(&configuration, "order.in_commit=delay:11500");
    until_answering(&shop).await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(WATER, 1)]).await;
    let mut place = shop.order(&quote, "k", "card_ok");
    place.deadline = shop.core.clock.now().plus_s(1);
    let deadline = place.deadline;
    assert_eq!(code(&shop.place(&guest, place).await), Some(Code::DeadlineExceeded));
    eventually("the checkout to be over", || async {
        let outcome = Outcome { key: "k".into(), deadline: Some(deadline) };
        let failure = shop.core.ask_as(Some(&guest.token), outcome).await.unwrap_err();
        assert_eq!(failure.code, Code::CheckoutNotFound);
        (failure.r#final == Some(true)).then_some(())
    })
    .await;
    assert_eq!(orders(&shop).await, 0);
    process.kill();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_commit_was_not_answered_is_read_again_and_never_called_failed() {
    let (shop, configuration) = open_apart().await;
    let url = shop.core.config.database.url_of("order");
    let port: u16 = url.expose().rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let through = lose_an_answer(port, armed.clone()).await;
    std::fs::write(&configuration, shop.core.toml.replace(&format!(":{port}/"), &format!(":{through}/"))).unwrap();
    let process = Process::start(&configuration, "");
    until_answering(&shop).await;
    let guest = shop.guest();
    let quote = shop.quote(&guest, &[(WATER, 1)]).await;
    armed.store(true, SeqCst);
    let order = shop.place(&guest, shop.order(&quote, "k", "card_ok")).await.expect("it was committed");
    assert!(!armed.load(SeqCst), "the answer to a COMMIT was lost");
    let again = shop.place(&guest, shop.order(&quote, "k", "card_ok")).await.expect("the same key");
    assert_eq!((again.id, orders(&shop).await), (order.id, 1));
    shop.until_status(&guest, order.id, OrderStatus::Paid).await;
    process.kill();
    shop.close().await;
}

/// Passes bytes to Postgres and back. Once armed, the next COMMIT of the order service arrives and is done, and the
/// connection ends before its answer.
async fn lose_an_answer(port: u16, armed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(pass(client, server, armed.clone()));
        }
    });
    through
}

async fn pass(client: TcpStream, server: TcpStream, armed: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let losing = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Notify::new());
    let back = (losing.clone(), answered.clone());
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            if back.0.load(SeqCst) {
                back.1.notify_one();
                return;
            }
            if to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut is_order = false;
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
        let has = |word: &[u8]| bytes[..read].windows(word.len()).any(|window| window == word);
        is_order |= has(b"bodega_order");
        let lose = is_order && has(b"COMMIT") && armed.swap(false, SeqCst);
        losing.store(lose, SeqCst);
        if to_server.write_all(&bytes[..read]).await.is_err() {
            return;
        }
        if lose {
            answered.notified().await;
            return;
        }
    }
}
