//! A process is gone, and comes back.

use crate::{alone, in_workerd, is_the_only_order, opened, paid_at_last, placed_at_last, quoted};
use bodega_tests::black_box::{ADMIN, OpenShop, Shopper, Staff, address, fresh_key};
use bodega_tests::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn without_the_core_reading_and_filling_go_on_and_checkout_says_not_yet() {
    let _alone = alone().await;
    let shop = opened().await;
    let (shopper, quote) = quoted(&shop).await;
    let sku = shopper.skus(2).await.remove(1);
    shop.processes().kill_core();

    shopper.get("/").await.expect(200);
    shopper.get("/api/v1/products?limit=5").await.expect(200);
    let cart = shopper.add(&sku, 2).await;
    assert_eq!(cart["lines"].as_array().map(Vec::len), Some(2), "{cart:#}");
    let key = fresh_key("later");
    shopper.check_out(&key, &quote, &address(), "card_ok").await.expect_problem(503, "core_unavailable");

    shop.processes().start_core().expect("the core starts again");
    let order = placed_at_last(&shopper, &key, &quote).await;
    paid_at_last(&shopper, &order).await;
    is_the_only_order(&shopper, &order).await;
}

#[tokio::test]
async fn nats_killed_is_told_and_then_it_recovers_by_itself() {
    let _alone = alone().await;
    let shop = opened().await;
    let (shopper, quote) = quoted(&shop).await;
    shop.processes().nats().kill();

    let key = fresh_key("no-bus");
    shopper.check_out(&key, &quote, &address(), "card_ok").await.expect_problem(503, "core_unavailable");
    shopper.get("/").await.expect(200);

    shop.processes().nats().restart().expect("NATS starts again");
    let order = placed_at_last(&shopper, &key, &quote).await;
    paid_at_last(&shopper, &order).await;
    is_the_only_order(&shopper, &order).await;
}

#[tokio::test]
async fn nats_that_forgot_every_stream_loses_no_event() {
    let _alone = alone().await;
    let shop = opened().await;
    let (shopper, quote) = quoted(&shop).await;
    let order = placed_at_last(&shopper, &fresh_key("forgotten"), &quote).await;
    {
        let mut processes = shop.processes();
        processes.nats().kill();
        let store = processes.folder().join("nats/jetstream");
        std::fs::remove_dir_all(&store).expect("the streams are deleted");
        processes.nats().restart().expect("NATS starts again");
    }
    // It was on its way when the bus forgot: it is paid all the same, and so is the next one.
    paid_at_last(&shopper, &order).await;
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let quote = quote_at_last(&shopper).await;
    let next = placed_at_last(&shopper, &fresh_key("after"), &quote).await;
    paid_at_last(&shopper, &next).await;
}

#[tokio::test]
async fn postgres_killed_is_told_and_then_it_recovers_by_itself() {
    let _alone = alone().await;
    let shop = opened().await;
    let (shopper, quote) = quoted(&shop).await;
    shop.processes().postgres().kill();

    let key = fresh_key("no-database");
    let answer = shopper.check_out(&key, &quote, &address(), "card_ok").await;
    let told = (answer.status, answer.json["code"].as_str().unwrap_or_default());
    assert!(matches!(told, (503, "core_unavailable") | (202, "outcome_unknown")), "{}", answer.text);
    shopper.get("/").await.expect(200);

    shop.processes().postgres().restart().expect("Postgres starts again");
    let order = placed_at_last(&shopper, &key, &quote).await;
    paid_at_last(&shopper, &order).await;
    is_the_only_order(&shopper, &order).await;
}

#[tokio::test]
async fn redis_killed_fails_nothing() {
    let _alone = alone().await;
    let shop = opened().await;
    shop.processes().redis().kill();
    let (shopper, quote) = quoted(&shop).await;
    let order = shopper.check_out(&fresh_key("no-cache"), &quote, &address(), "card_ok").await.expect(201);
    paid_at_last(&shopper, &order).await;
    shopper.cart().await;
}

#[tokio::test]
async fn an_edge_that_was_killed_still_has_catalogue_and_cart() {
    let _alone = alone().await;
    let shop = opened().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 3).await;
    let before = shopper.get("/api/v1/products?limit=50").await.expect(200);

    kill_the_edge(&shop);
    assert!(shopper.try_send(Method::GET, "/", &[], None).await.is_err(), "the edge is gone");
    start_the_edge(&shop);

    assert_eq!(shopper.get("/api/v1/products?limit=50").await.expect(200), before);
    let cart = shopper.cart().await;
    assert_eq!((&cart["lines"][0]["sku"], &cart["lines"][0]["quantity"]), (&sku.into(), &3.into()), "{cart:#}");
}

#[tokio::test]
async fn an_edge_that_comes_back_after_a_change_shows_it() {
    let _alone = alone().await;
    let shop = OpenShop::start(2).await;
    let admin = Staff::sign_in(&shop, ADMIN).await;
    let (here, there) = (shop.shopper(0), shop.shopper(1));
    let slug = here.get("/api/v1/products?limit=1").await.expect(200)["items"][0]["slug"].clone();
    let path = format!("/api/v1/products/{}", slug.as_str().expect("a product"));
    shop.processes().kill_edge(2);

    let mut product = product_as_written(&admin.get(&path).await.expect(200));
    product["title"] = json!("Renamed meanwhile");
    admin.send(Method::PUT, "/api/v1/products", Some(&json!({ "products": [product] }))).await.expect(200);
    shows(&here, &path, "Renamed meanwhile").await;

    shop.processes().start_edge(2).expect("the edge starts again");
    shows(&there, &path, "Renamed meanwhile").await;
    let digests = there.get("/_edge/v1/ingest").await.expect(200);
    assert_eq!(digests["ready"], true, "{digests:#}");
}

async fn shows(shopper: &Shopper, path: &str, title: &str) {
    eventually_within(crate::RECOVERED_WITHIN, "the edge to show the change", || async {
        let answer = shopper.get(path).await;
        (answer.status == 200 && answer.json["title"] == title).then_some(())
    })
    .await;
}

/// A product as it is read, without what only the shop itself writes.
fn product_as_written(read: &Value) -> Value {
    let mut product = read.clone();
    let without = |value: &mut Value, names: &[&str]| {
        let fields = value.as_object_mut().expect("an object");
        names.iter().for_each(|name| drop(fields.remove(*name)));
    };
    without(&mut product, &["id", "merchant_name", "version"]);
    product["variants"].as_array_mut().expect("variants").iter_mut().for_each(|it| without(it, &["sku_no", "band"]));
    product
}

fn kill_the_edge(shop: &OpenShop) {
    if in_workerd() { shop.processes().kill_workerd() } else { shop.processes().kill_edge(1) }
}

fn start_the_edge(shop: &OpenShop) {
    let started = if in_workerd() { shop.processes().start_workerd() } else { shop.processes().start_edge(1) };
    started.expect("the edge starts again");
}

async fn quote_at_last(shopper: &Shopper) -> Value {
    let body = json!({"shipping_address": address()});
    eventually_within(crate::RECOVERED_WITHIN, "a quote", || async {
        let answer = shopper.post("/api/v1/quote", &body).await;
        (answer.status == 200).then_some(answer.json)
    })
    .await
}
