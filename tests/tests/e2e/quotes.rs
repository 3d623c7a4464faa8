//! Quotes that are not what they seem.

use bodega_domain::{
    Timestamp,
    principal::Owner,
    quote,
    token::{KeyRing, MacKey, Session, from_base64url, verify_session},
};
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

/// A shop's key of this name: its quotes and sessions are signed with one key each.
fn ring(shop: &OpenShop, name: &str) -> KeyRing {
    let secret = shop.processes().files().secrets().key(name).expect("a key");
    let secret = from_base64url(&secret).expect("a key in base64url");
    KeyRing(vec![MacKey { kid: "local".into(), secret }])
}

/// The same quote as it would be a quarter of an hour after it was made.
fn aged(shop: &OpenShop, shopper: &Shopper, quote: &Value) -> Value {
    let session = shopper.cookie("bodega_session").expect("a session");
    let now: Timestamp = serde_json::from_value(quote["expires_at"].clone()).expect("a time");
    let now = now.plus_min(-15);
    let Ok(Session::Guest(guest)) = verify_session(&session, &ring(shop, "guest"), &[], now) else {
        panic!("a guest's session: {session}")
    };
    let owner = Owner::Guest(guest.session);
    let keys = ring(shop, "quote");
    let token = quote["token"].as_str().expect("a token");
    let mut content = quote::verify(&keys, token, owner).expect("a quote of this guest").into_content();
    (content.issued, content.expires) = (now.plus_min(-16), now.plus_min(-1));
    let mut aged = quote.clone();
    aged["token"] = json!(quote::mint(&keys, &content).expect("a token"));
    aged
}

#[tokio::test]
async fn an_expired_quote_is_gone_and_a_new_one_buys() {
    let shop = OpenShop::shared().await;
    for edge in [0, 1] {
        let shopper = shop.shopper(edge);
        let quote = quoted(&shopper).await;
        let expired = aged(shop, &shopper, &quote);
        let (key, address) = (fresh_key("expired"), address());
        shopper.check_out(&key, &expired, &address, "card_ok").await.expect_problem(410, "quote_expired");
        assert_eq!(shopper.get("/api/v1/orders").await.expect(200)["items"], json!([]), "a refusal makes no order");
        // Only success is remembered: the same key with a fresh quote is a fresh try.
        let fresh = shopper.quote(&address).await;
        shopper.check_out(&key, &fresh, &address, "card_ok").await.expect(201);
    }
}
