//! Processes killed, words lost, ports taken: black box. Each test has a shop of its own and breaks it.

mod killed;
mod up;
mod words_lost;

use bodega_tests::black_box::{OpenShop, Shopper, address};
use bodega_tests::eventually_within;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Recovery is by itself: reconnecting, replaying, asking again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);

/// One shop at a time: each is a dozen processes on what may be two cores.
async fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::const_new(());
    ONE.lock().await
}

/// Whether the storefront under test is the one in workerd.
fn in_workerd() -> bool {
    std::env::var("BODEGA_TEST_RUNTIME").is_ok_and(|runtime| runtime == "cloudflare")
}

/// A shop with one edge, of the build under test.
async fn opened() -> OpenShop {
    OpenShop::start(if in_workerd() { 0 } else { 1 }).await
}

/// A shopper with something in the cart and a quote for it.
async fn quoted(shop: &OpenShop) -> (Shopper, Value) {
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let quote = shopper.quote(&address()).await;
    (shopper, quote)
}

/// Checks out with one key until the order is there. Every answer before must be one that says what is known.
async fn placed_at_last(shopper: &Shopper, key: &str, quote: &Value) -> Value {
    eventually_within(RECOVERED_WITHIN, "the order, with the same key", || async {
        let answer = shopper.check_out(key, quote, &address(), "card_ok").await;
        match answer.status {
            200 | 201 => return Some(answer.json),
            202 => assert_eq!(answer.json["code"], "outcome_unknown", "{}", answer.text),
            _ => {
                answer.expect_problem(503, "core_unavailable");
            }
        }
        None
    })
    .await
}

async fn paid_at_last(shopper: &Shopper, order: &Value) {
    let id = order["id"].as_str().unwrap_or_else(|| panic!("an order has an id: {order:#}"));
    eventually_within(RECOVERED_WITHIN, "the order to be paid", || async {
        let answer = shopper.get(&format!("/api/v1/orders/{id}")).await;
        (answer.status == 200 && answer.json["status"] == "paid").then_some(())
    })
    .await;
}

/// There is exactly this order.
async fn is_the_only_order(shopper: &Shopper, order: &Value) {
    let list = shopper.get("/api/v1/orders").await.expect(200);
    let ids: Vec<&Value> = list["items"].as_array().into_iter().flatten().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&order["id"]]);
}
