//! A cart on several devices.

use bodega_tests::black_box::{OpenShop, Shopper, fresh_key};
use bodega_tests::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

/// What invariant 10 promises for other edges.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(5);

fn skus_in(cart: &Value) -> Vec<String> {
    let lines = cart["lines"].as_array().cloned().unwrap_or_default();
    let mut skus: Vec<String> = lines.iter().filter_map(|line| line["sku"].as_str().map(str::to_owned)).collect();
    skus.sort();
    skus
}

async fn add(shopper: &Shopper, sku: &str) -> Value {
    shopper.post("/api/v1/cart/lines", &json!({"sku": sku, "quantity": 1})).await.expect(200)
}

#[tokio::test]
async fn two_overlapping_adds_from_one_jar_both_count_whichever_answer_comes_last() {
    let shop = OpenShop::shared().await;
    for last in [0, 1] {
        let jar = shop.shopper(0);
        jar.cart().await;
        let mut wanted = jar.skus(2).await;
        // Both requests carry the same cookie; the answer that comes last wins the jar.
        let tabs = [jar.moved_to(shop.edge(0)), jar.moved_to(shop.edge(0))];
        tokio::join!(add(&tabs[0], &wanted[0]), add(&tabs[1], &wanted[1]));
        wanted.sort();

        let after = &tabs[last];
        assert_eq!(skus_in(&after.cart().await), wanted, "both lines at once at the edge that took them");
        let elsewhere = after.moved_to(shop.edge(1));
        let (elsewhere, wanted) = (&elsewhere, &wanted);
        eventually_within(ELSEWHERE_WITHIN, "both lines at the other edge", || async move {
            (skus_in(&elsewhere.cart().await) == *wanted).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_removed_line_stays_away_and_a_later_add_brings_it_back() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 4).await;
    let path = format!("/api/v1/cart/lines/{sku}");
    let cart = shopper.send(reqwest::Method::DELETE, &path, &[], None).await.expect(200);
    assert_eq!(cart["lines"], json!([]), "{cart:#}");
    let cart = shopper.add(&sku, 1).await;
    assert_eq!(cart["lines"][0]["quantity"], 1, "{cart:#}");
    let cart = shopper.send(reqwest::Method::PATCH, &path, &[], Some(&json!({"quantity": 7}))).await.expect(200);
    assert_eq!(cart["lines"][0]["quantity"], 7, "{cart:#}");
}

#[tokio::test]
async fn signing_in_elsewhere_with_an_empty_jar_finds_the_cart() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let email = format!("{}@example.org", fresh_key("ada"));
    let account = json!({"email": email, "password": "correct horse battery", "name": "Ada"});
    let registered = shopper.post("/api/v1/register", &account).await;
    assert!(matches!(registered.status, 200 | 201), "{}", registered.text);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 2).await;

    let elsewhere = shop.shopper(1);
    let signed_in =
        elsewhere.post("/api/v1/session", &json!({"email": email, "password": "correct horse battery"})).await;
    assert!(matches!(signed_in.status, 200 | 201), "{}", signed_in.text);
    let (elsewhere, sku) = (&elsewhere, &sku);
    eventually_within(ELSEWHERE_WITHIN, "the cart at the other edge", || async move {
        let cart = elsewhere.cart().await;
        (cart["lines"][0]["sku"] == **sku && cart["lines"][0]["quantity"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_unknown_sku_names_the_field() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let answer = shopper.post("/api/v1/cart/lines", &json!({"sku": "no-such-sku", "quantity": 1})).await;
    assert_eq!(answer.json["code"], "sku_not_found", "{}", answer.text);
}

#[tokio::test]
async fn a_quantity_beyond_the_limit_names_the_field() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    for quantity in [json!(0), json!(1_000_000)] {
        let line = json!({"sku": sku, "quantity": quantity});
        let problem = shopper.post("/api/v1/cart/lines", &line).await.expect_problem(422, "validation_failed");
        assert_eq!(problem["fields"][0]["pointer"], "/quantity", "{problem:#}");
    }
}

/// SKUs of the whole shop, page by page.
async fn all_skus(shopper: &Shopper) -> Vec<String> {
    let (mut skus, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shopper.get(&format!("/api/v1/products?limit=50{cursor}")).await.expect(200);
        for item in page["items"].as_array().into_iter().flatten() {
            let slug = item["slug"].as_str().unwrap_or_default();
            let product = shopper.get(&format!("/api/v1/products/{slug}")).await.expect(200);
            let variants = product["variants"].as_array().into_iter().flatten();
            skus.extend(variants.filter_map(|variant| variant["sku"].as_str().map(str::to_owned)));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return skus,
        }
    }
}

#[tokio::test]
async fn two_hundred_lines_are_carried_quoted_and_found_elsewhere_and_one_more_is_refused() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let skus = all_skus(&shopper).await;
    assert!(skus.len() > 200, "the demo shop has {} SKUs", skus.len());
    let (fit, beyond) = (&skus[..200], &skus[200]);
    for sku in fit {
        shopper.add(sku, 1).await;
    }
    let line = json!({"sku": beyond, "quantity": 1});
    shopper.post("/api/v1/cart/lines", &line).await.expect_problem(422, "cart_full");
    let mut wanted = fit.to_vec();
    wanted.sort();
    assert_eq!(skus_in(&shopper.cart().await), wanted);

    let elsewhere = &shopper.moved_to(shop.edge(1));
    let wanted = &wanted;
    eventually_within(ELSEWHERE_WITHIN, "200 lines at the other edge", || async move {
        (skus_in(&elsewhere.cart().await) == *wanted).then_some(())
    })
    .await;
    let quote = elsewhere.quote(&bodega_tests::black_box::address()).await;
    assert_eq!(quote["lines"].as_array().map(Vec::len), Some(200));
    // What is not in stock is told with its lines; everything else is on its way to an order of 200 lines.
    let order = elsewhere.check_out(&fresh_key("long"), &quote, &bodega_tests::black_box::address(), "card_ok").await;
    if order.status != 201 {
        let problem = order.expect_problem(409, "out_of_stock");
        assert!(problem["fields"].as_array().is_some_and(|fields| fields.len() < 100), "{problem:#}");
    }
}
