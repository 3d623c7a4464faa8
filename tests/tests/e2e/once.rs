//! One key, one effect; one quote, at most one order.

use bodega_tests::black_box::{OpenShop, Shopper, address, checkout_body, fresh_key};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

async fn quoted(shopper: &Shopper) -> Value {
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    shopper.quote(&address()).await
}

async fn ids(shopper: &Shopper) -> BTreeSet<String> {
    let list = shopper.get("/api/v1/orders").await.expect(200);
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|order| order["id"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn checkout_without_a_key_is_refused() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let quote = quoted(&shopper).await;
    let body = checkout_body(&quote, &address(), "card_ok");
    shopper.post("/api/v1/checkout", &body).await.expect_problem(400, "idempotency_key_missing");
    assert!(ids(&shopper).await.is_empty());
}

#[tokio::test]
async fn the_same_key_gives_the_same_order_also_at_the_other_edge() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let quote = quoted(&shopper).await;
    let key = fresh_key("twice");
    let first = shopper.check_out(&key, &quote, &address(), "card_ok").await.expect(201);
    let elsewhere = shopper.moved_to(shop.edge(1));
    let second = elsewhere.check_out(&key, &quote, &address(), "card_ok").await;
    assert!(matches!(second.status, 200 | 201), "{}", second.text);
    assert_eq!(second.json["id"], first["id"]);
    let outcome = shopper.get(&format!("/api/v1/checkout/{key}")).await.expect(200);
    assert_eq!(outcome["id"], first["id"]);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_mistake() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let quote = quoted(&shopper).await;
    let key = fresh_key("reused");
    shopper.check_out(&key, &quote, &address(), "card_ok").await.expect(201);
    let other = quoted(&shopper).await;
    let refusal = shopper.check_out(&key, &other, &address(), "card_ok").await;
    refusal.expect_problem(409, "idempotency_key_reused");
}

#[tokio::test]
async fn one_quote_with_eight_keys_is_one_order() {
    let shop = OpenShop::shared().await;
    let shopper = Arc::new(shop.shopper(0));
    let quote = quoted(&shopper).await;
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (shopper, quote) = (shopper.clone(), quote.clone());
        let elsewhere = shopper.moved_to(shop.edge(number % 2));
        attempts.spawn(async move { elsewhere.check_out(&fresh_key("eight"), &quote, &address(), "card_ok").await });
    }
    let answers = attempts.join_all().await;
    let placed = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(placed, 1, "{answers:#?}");
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect_problem(409, "quote_used");
    }
    assert_eq!(ids(&shopper).await.len(), 1);
}

#[tokio::test]
async fn sixty_four_checkouts_with_one_key_over_both_edges_are_one_order() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let quote = quoted(&shopper).await;
    let key = fresh_key("sixty-four");
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (elsewhere, quote, key) = (shopper.moved_to(shop.edge(number % 2)), quote.clone(), key.clone());
        attempts.spawn(async move { elsewhere.check_out(&key, &quote, &address(), "card_ok").await });
    }
    let answers = attempts.join_all().await;
    let refused: Vec<_> = answers.iter().filter(|answer| !matches!(answer.status, 200 | 201)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let orders: BTreeSet<String> = answers.iter().map(|answer| answer.json["id"].to_string()).collect();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(ids(&shopper).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_nobody_used_has_no_outcome() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    shopper.cart().await;
    let answer = shopper.get(&format!("/api/v1/checkout/{}", fresh_key("unused"))).await;
    answer.expect_problem(404, "checkout_not_found");
}

#[tokio::test]
async fn an_add_that_is_repeated_counts_once() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    let (key, line) = (fresh_key("add"), json!({"sku": sku, "quantity": 1}));
    shopper.post_with_key("/api/v1/cart/lines", &key, &line).await.expect(200);
    let cart = shopper.post_with_key("/api/v1/cart/lines", &key, &line).await.expect(200);
    assert_eq!(cart["lines"][0]["quantity"], 1, "{cart:#}");
}
