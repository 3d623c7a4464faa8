//! What changes in the core arrives at every edge, and is read there without a call to the core.

use bodega_tests::black_box::{ADMIN, OpenShop, Staff, fresh_key};
use bodega_tests::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Far beyond the promise of two seconds: how fast it is, is measured by `cargo xtask bench replication`.
const ARRIVED_WITHIN: Duration = Duration::from_secs(15);

async fn merchant_of_something(shop: &OpenShop) -> Value {
    let anybody = shop.shopper(0);
    let list = anybody.get("/api/v1/products?limit=1").await.expect(200);
    let slug = list["items"][0]["slug"].as_str().unwrap_or_default().to_owned();
    anybody.get(&format!("/api/v1/products/{slug}")).await.expect(200)["merchant"].clone()
}

#[tokio::test]
async fn a_product_that_is_made_changed_and_retired_is_so_at_every_edge() {
    let shop = OpenShop::shared().await;
    let admin = Staff::sign_in(shop, ADMIN).await;
    let merchant = merchant_of_something(shop).await;
    let slug = fresh_key("arrival");
    let path = format!("/api/v1/products/{slug}");
    for (title, price) in [("A new lamp", 1_999), ("A better lamp", 2_499)] {
        let product = json!({
            "slug": slug, "title": title, "description": "Shines.", "category": "household", "merchant": merchant,
            "variants": [{"sku": slug.to_uppercase(), "prices": {"EUR": price, "USD": price, "JPY": price}}],
        });
        let written = json!({"merchants": [], "categories": [], "products": [product]});
        let written = admin.send(Method::PUT, "/api/v1/products", Some(&written)).await;
        assert!((200..300).contains(&written.status), "{}", written.text);
        for edge in [0, 1] {
            let shopper = &shop.shopper(edge);
            eventually_within(ARRIVED_WITHIN, "the product at the edge", || async {
                let product = shopper.get(&path).await;
                let page = shopper.get(&format!("/p/{slug}")).await;
                let shown = product.json["title"] == title && product.json["variants"][0]["prices"]["EUR"] == price;
                (shown && page.status == 200 && page.text.contains(title)).then_some(())
            })
            .await;
        }
    }
    let retired = admin.send(Method::DELETE, &path, None).await;
    assert!((200..300).contains(&retired.status), "{}", retired.text);
    for edge in [0, 1] {
        let shopper = &shop.shopper(edge);
        eventually_within(ARRIVED_WITHIN, "the product to be gone", || async {
            (shopper.get(&path).await.status == 404 && shopper.get(&format!("/p/{slug}")).await.status == 404)
                .then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_refused_at_the_other_edge_too() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let email = format!("{}@example.org", fresh_key("revoked"));
    let account = json!({"email": email, "password": "correct horse battery", "name": "Ada"});
    let registered = shopper.post("/api/v1/register", &account).await;
    assert!(matches!(registered.status, 200 | 201), "{}", registered.text);
    let copy = shopper.moved_to(shop.edge(1));
    copy.get("/api/v1/account").await.expect(200);

    shopper.send(Method::DELETE, "/api/v1/session", &[], None).await;
    // Each look is with the stolen jar as it was: what the answer sets is thrown away with the copy.
    let copy = &copy;
    eventually_within(ARRIVED_WITHIN, "the copy to be refused", || async {
        let answer = copy.moved_to(shop.edge(1)).get("/api/v1/account").await;
        (answer.status == 401).then_some(())
    })
    .await;
    // The cart page is answered by the edge alone: it has to know from its own storage.
    eventually_within(ARRIVED_WITHIN, "the edge to know by itself", || async {
        let edge = copy.moved_to(shop.edge(1));
        edge.get("/api/v1/cart").await;
        (edge.cookie("bodega_session") != copy.cookie("bodega_session")).then_some(())
    })
    .await;
}
