//! Quotes that are not what they seem.

use bodega_tests::black_box::{OpenShop, Shopper, address, fresh_key};
use serde_json::{Value, json};

async fn quoted(shopper: &Shopper) -> Value {
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    shopper.quote(&address()).await
}

#[tokio::test]
async fn without_an_address_it_is_an_estimate() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let estimate = shopper.post("/api/v1/quote", &json!({})).await.expect(200);
    assert_eq!(estimate["token"], Value::Null, "{estimate:#}");
}

#[tokio::test]
async fn a_tampered_quote_is_refused() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let mut quote = quoted(&shopper).await;
    let token = quote["token"].as_str().unwrap_or_default();
    // One character in the middle becomes another one.
    let middle = token.len() / 2;
    let other = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
    quote["token"] = json!(format!("{}{other}{}", &token[..middle], &token[middle + 1..]));
    shopper.check_out(&fresh_key("bent"), &quote, &address(), "card_ok").await.expect_problem(422, "quote_invalid");
}

#[tokio::test]
async fn a_quote_of_someone_else_is_refused() {
    let shop = OpenShop::shared().await;
    let (shopper, thief) = (shop.shopper(0), shop.shopper(0));
    let quote = quoted(&shopper).await;
    quoted(&thief).await;
    thief.check_out(&fresh_key("thief"), &quote, &address(), "card_ok").await.expect_problem(422, "quote_invalid");
}

#[tokio::test]
async fn another_country_than_the_quotes_is_a_mismatch() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let quote = quoted(&shopper).await;
    let mut elsewhere = address();
    elsewhere["country"] = json!("FR");
    elsewhere["postal_code"] = json!("75001");
    let refusal = shopper.check_out(&fresh_key("abroad"), &quote, &elsewhere, "card_ok").await;
    let problem = refusal.expect_problem(409, "quote_mismatch");
    assert!(problem["fields"].as_array().is_some_and(|fields| !fields.is_empty()), "{problem:#}");
}

#[tokio::test]
async fn a_used_quote_makes_no_second_order() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let quote = quoted(&shopper).await;
    shopper.check_out(&fresh_key("first"), &quote, &address(), "card_ok").await.expect(201);
    shopper.check_out(&fresh_key("second"), &quote, &address(), "card_ok").await.expect_problem(409, "quote_used");
}

#[tokio::test]
async fn yen_have_no_cents() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let body = json!({"shipping_address": address(), "currency": "JPY"});
    let quote = shopper.post("/api/v1/quote", &body).await.expect(200);
    assert_eq!(quote["totals"]["total"]["currency"], "JPY", "{quote:#}");
    let order = shopper.check_out(&fresh_key("yen"), &quote, &address(), "card_ok").await.expect(201);
    assert_eq!(order["totals"]["total"], quote["totals"]["total"]);
}
