//! Plugins as merchants and shoppers meet them: uploaded and activated at the gateway, seen in the next quote at an edge.

use bodega_domain::token::base64url;
use bodega_plugin_build::built_for_tests;
use bodega_tests::black_box::{Answer, MERCHANT, OpenShop, Staff, address};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;

const PENCIL: &str = "STA-PENCIL-HBX6";
const PEN: &str = "STA-PEN-BLUEINK";

/// A merchant who sells stationery.
struct Merchant(Staff);

impl Merchant {
    async fn sign_in(shop: &OpenShop) -> Self {
        Self(Staff::sign_in(shop, MERCHANT).await)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.0.send(method, path, body).await
    }

    async fn upload(&self, name: &str, config: Value) -> Answer {
        let body = json!({ "name": name, "component": base64url(&component(name)), "config": config });
        self.send(Method::POST, "/api/v1/plugins", Some(&body)).await
    }

    async fn activate(&self, plugin: &Value, label: &str, config: Value) -> Answer {
        let path = format!("/api/v1/plugins/{}/activate", plugin["id"].as_str().expect("an id"));
        self.send(Method::POST, &path, Some(&json!({ "label": label, "config": config }))).await
    }

    async fn stop(&self, promotion: &Value) {
        let path = format!("/api/v1/promotions/{}", promotion["id"].as_str().expect("an id"));
        let stopped = self.send(Method::DELETE, &path, None).await;
        assert!((200..300).contains(&stopped.status), "{}", stopped.text);
    }
}

/// The bytes of a built plugin, an example or a hostile one.
fn component(name: &str) -> Vec<u8> {
    let folder = built_for_tests().expect("plugins build");
    let file = format!("{name}.wasm");
    fs::read(folder.join(&file))
        .or_else(|_| fs::read(folder.join("hostile").join(&file)))
        .expect("a plugin of this name")
}

fn created(answer: Answer) -> Value {
    assert!((200..300).contains(&answer.status), "{}", answer.text);
    answer.json
}

/// The discount with this label.
fn discount<'a>(quote: &'a Value, label: &str) -> Option<&'a Value> {
    quote["discounts"].as_array().expect("discounts").iter().find(|discount| discount["label"] == label)
}

/// The same discounts with or without their order.
fn labels(quote: &Value) -> Vec<String> {
    let discounts = quote["discounts"].as_array().expect("discounts").iter();
    discounts.map(|discount| discount["label"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_merchant_uploads_a_plugin_and_the_next_quote_shows_it_and_names_its_hash() {
    let shop = OpenShop::shared().await;
    let merchant = Merchant::sign_in(shop).await;
    let shopper = shop.shopper(0);
    shopper.add(PENCIL, 1).await;
    shopper.add(PEN, 2).await;
    let before = shopper.quote(&address()).await;
    assert_eq!(labels(&before), Vec::<String>::new());

    let plugin = created(merchant.upload("bundle-discount", Value::Null).await);
    let config = json!({
        "label": "Set", "off": { "amount_each": { "EUR": 200 } },
        "parts": [{ "of": { "skus": [PENCIL] } }, { "of": { "skus": [PEN] } }],
    });
    let promotion = created(merchant.activate(&plugin, "Writing set", config).await);
    let quote = shopper.quote(&address()).await;
    let given = discount(&quote, "Writing set").unwrap_or_else(|| panic!("{quote:#}"));
    assert_eq!(given["amount"], json!({ "amount": 200, "currency": "EUR" }));
    assert_eq!(given["source"]["plugin"]["hash"], plugin["hash"], "{given:#}");
    let total = |quote: &Value| quote["totals"]["total"]["amount"].as_i64().expect("an amount");
    assert_eq!(total(&quote), total(&before) - 200);

    merchant.stop(&promotion).await;
    assert_eq!(labels(&shopper.quote(&address()).await), Vec::<String>::new());
}

#[tokio::test]
async fn plugins_of_the_demo_shop_are_active() {
    let shop = OpenShop::shared().await;
    let merchant = Merchant::sign_in(shop).await;
    let plugins = created(merchant.send(Method::GET, "/api/v1/plugins", None).await);
    let mut active: Vec<&str> = plugins["items"]
        .as_array()
        .expect("plugins")
        .iter()
        .flat_map(|plugin| plugin["promotions"].as_array().expect("promotions"))
        .filter(|promotion| promotion["active"] == true)
        .filter_map(|promotion| promotion["label"].as_str())
        .collect();
    active.sort_unstable();
    for label in ["Drinks: 3 for 2", "Household: buy more, save more"] {
        assert!(active.contains(&label), "{label} is not among {active:?}");
    }
}

#[tokio::test]
async fn hostile_plugins_are_refused_at_the_upload_with_the_reason() {
    let shop = OpenShop::shared().await;
    let merchant = Merchant::sign_in(shop).await;
    let hostile = [
        ("importer", Value::Null, "imports bodega:nosy/clock@1.0.0"),
        ("endless-loop", json!("add"), "fuel"),
        ("memory-bomb", json!("hoard"), "memory"),
        ("giant-output", json!("label"), "more than it may"),
    ];
    for (name, config, reason) in hostile {
        let problem = merchant.upload(name, config).await.expect_problem(422, "plugin_rejected");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(reason)), "{name}: {problem:#}");
    }
}

#[tokio::test]
async fn plugins_that_turn_hostile_after_their_trial_cost_only_their_own_discount() {
    let shop = OpenShop::shared().await;
    let merchant = Merchant::sign_in(shop).await;
    let shopper = shop.shopper(0);
    // Three bottles for two by the demo shop's own plugin.
    let drinks = shopper.get("/api/v1/products?category=drinks&limit=1").await.expect(200);
    let slug = drinks["items"][0]["slug"].as_str().expect("a drink").to_owned();
    let drink = shopper.get(&format!("/api/v1/products/{slug}")).await.expect(200);
    let sku = drink["variants"][0]["sku"].as_str().expect("a SKU").to_owned();
    shopper.add(&sku, 3).await;
    let before = shopper.quote(&address()).await;
    assert!(discount(&before, "Drinks: 3 for 2").is_some(), "{before:#}");

    let mut promotions = Vec::new();
    for name in ["endless-loop", "memory-bomb", "giant-output"] {
        let plugin = created(merchant.upload(name, json!("after_trial")).await);
        promotions.push(created(merchant.activate(&plugin, name, json!("after_trial")).await));
    }
    let quote = shopper.quote(&address()).await;
    for promotion in &promotions {
        merchant.stop(promotion).await;
    }
    assert_eq!((&quote["discounts"], &quote["totals"]), (&before["discounts"], &before["totals"]));
}
