//! From the shelf to a paid order.

use bodega_tests::black_box::{ADMIN, OpenShop, Shopper, Staff, address, fresh_key};
use bodega_tests::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

/// Slow cards speak after three seconds, by webhook only.
const PAID_WITHIN: Duration = Duration::from_secs(30);

async fn paid(shopper: &Shopper, order: &Value) -> Value {
    let id = order["id"].as_str().unwrap_or_else(|| panic!("an order has an id: {order:#}")).to_owned();
    let id = &id;
    eventually_within(PAID_WITHIN, "the order to be paid", || async move {
        let order = shopper.order(id).await;
        (order["status"] == "paid").then_some(order)
    })
    .await
}

async fn ordered(shopper: &Shopper, method: &str) -> Value {
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 2).await;
    let quote = shopper.quote(&address()).await;
    shopper.check_out(&fresh_key("buy"), &quote, &address(), method).await.expect(201)
}

fn amount(money: &Value) -> i64 {
    money["amount"].as_i64().unwrap_or_else(|| panic!("money has an amount: {money}"))
}

#[tokio::test]
async fn a_guest_buys_and_pays_what_was_shown() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    let cart = shopper.add(&sku, 3).await;
    assert_eq!(cart["lines"][0]["quantity"], 3, "{cart:#}");

    let quote = shopper.quote(&address()).await;
    let totals = &quote["totals"];
    let expected = amount(&totals["subtotal"]) - amount(&totals["discount"])
        + amount(&totals["shipping"])
        + if totals["tax_included"] == true { 0 } else { amount(&totals["tax"]) };
    assert_eq!(amount(&totals["total"]), expected, "{totals:#}");

    let order = shopper.check_out(&fresh_key("buy"), &quote, &address(), "card_ok").await.expect(201);
    assert_eq!(order["totals"]["total"], totals["total"], "the shopper pays what was shown");
    let order = paid(&shopper, &order).await;
    assert_eq!(order["payment"]["status"], "captured", "{order:#}");
    assert_eq!(order["payment"]["amounts"]["captured"], totals["total"]);
    let cart = shopper.cart().await;
    assert_eq!(cart["lines"], json!([]), "what was ordered leaves the cart");

    let page = shopper.get(&format!("/orders/{}", order["id"].as_str().unwrap_or_default())).await;
    let number = order["number"].as_str().map_or_else(|| order["number"].to_string(), str::to_owned);
    assert!(page.status == 200 && page.text.contains(&number), "the order's page names it: {}", page.text);
    posted_and_balanced(shop, &order).await;
}

/// What staff see of a paid order: stock was posted before money was taken, and the books balance.
async fn posted_and_balanced(shop: &OpenShop, order: &Value) {
    let admin = Staff::sign_in(shop, ADMIN).await;
    let id = order["id"].as_str().unwrap_or_default();
    let history = admin.get(&format!("/api/v1/orders/{id}/history")).await.expect(200);
    let words: Vec<&str> =
        history["items"].as_array().into_iter().flatten().filter_map(|entry| entry["what"].as_str()).collect();
    let at = |word: &str| words.iter().position(|w| *w == word).unwrap_or_else(|| panic!("{word} in {words:?}"));
    assert!(at("authorised") < at("stock_posted") && at("stock_posted") < at("paid"), "{words:?}");

    let transfers = admin.get(&format!("/api/v1/payments/{id}/transfers")).await.expect(200);
    let transfers = transfers["items"].as_array().cloned().unwrap_or_default();
    let into = |account: &str, side: &str| -> i64 {
        transfers.iter().filter(|t| t[side] == account).map(|t| amount(&t["amount"])).sum()
    };
    let taken = into("provider_clearing", "debit") - into("provider_clearing", "credit");
    let owed: i64 = ["merchant_payable", "tax_payable", "platform_fee"]
        .iter()
        .map(|account| into(account, "credit") - into(account, "debit"))
        .sum();
    let fees = into("provider_fees", "debit");
    assert_eq!((taken + fees, owed), (amount(&order["totals"]["total"]), amount(&order["totals"]["total"])));

    let balances = admin.get("/api/v1/payments/balances").await.expect(200);
    let mut sums: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
    for balance in balances["items"].as_array().into_iter().flatten() {
        let money = &balance["balance"];
        *sums.entry(money["currency"].to_string()).or_default() += amount(money);
    }
    assert!(!sums.is_empty() && sums.values().all(|sum| *sum == 0), "{balances:#}");
}

#[tokio::test]
async fn no_log_of_any_process_names_who_bought() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let mut address = address();
    address["name"] = json!("Quintessa Vanterpool");
    address["line1"] = json!("Nowhere-to-be-found Street 7");
    let quote = shopper.quote(&address).await;
    let mut body = bodega_tests::black_box::checkout_body(&quote, &address, "card_ok");
    body["contact"] = json!({"email": "quintessa.vanterpool@example.org", "name": "Quintessa Vanterpool"});
    let key = fresh_key("logs");
    let order = shopper.post_with_key("/api/v1/checkout", &key, &body).await.expect(201);
    paid(&shopper, &order).await;
    // A refusal is logged too, and is told about the same address.
    shopper.post_with_key("/api/v1/checkout", &key, &json!({"contact": body["contact"]})).await;

    let folder = shop.processes().folder().join("logs");
    let id = order["id"].as_str().unwrap_or_default();
    let mut told = false;
    for file in std::fs::read_dir(&folder).expect("logs").map(|entry| entry.expect("a log").path()) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).expect("a log")).to_lowercase();
        told |= text.contains(&id.to_lowercase());
        for word in ["quintessa", "vanterpool", "nowhere-to-be-found"] {
            assert!(!text.contains(word), "{word} stands in {}", file.display());
        }
    }
    assert!(told, "the logs tell of the order by its id");
}

#[tokio::test]
async fn a_refused_card_is_told_and_another_one_pays() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let order = ordered(&shopper, "card_refused").await;
    let id = order["id"].as_str().unwrap_or_default().to_owned();
    let id = id.as_str();
    let shopper = &shopper;
    eventually_within(PAID_WITHIN, "the refusal", || async move {
        (shopper.order(id).await["payment"]["status"] == "refused").then_some(())
    })
    .await;

    let again = json!({"payment": {"provider": "simulator", "method": "card_ok"}});
    let path = format!("/api/v1/orders/{id}/payments");
    let answer = shopper.post_with_key(&path, &fresh_key("again"), &again).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);

    let order = paid(shopper, &order).await;
    assert_eq!(order["payment"]["amounts"]["captured"], order["totals"]["total"]);
}

#[tokio::test]
async fn word_that_comes_late_twice_and_out_of_order_pays_once() {
    let shop = OpenShop::shared().await;
    let (slow, duplicate) = (shop.shopper(0), shop.shopper(1));
    let (one, two) = tokio::join!(ordered(&slow, "card_slow"), ordered(&duplicate, "card_duplicate"));
    let (one, two) = tokio::join!(paid(&slow, &one), paid(&duplicate, &two));
    for order in [one, two] {
        assert_eq!(order["payment"]["amounts"]["captured"], order["totals"]["total"], "{order:#}");
    }
}

#[tokio::test]
async fn a_rule_and_a_plugin_are_shown_with_where_they_come_from() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    // Ten per cent off the bakery is a rule, three drinks for two are a plugin's doing.
    let bread = shopper.skus_of("bakery", 1).await.remove(0);
    let drink = shopper.skus_of("drinks", 1).await.remove(0);
    shopper.add(&bread, 1).await;
    let cart = shopper.add(&drink, 3).await;
    assert!(amount(&cart["totals"]["discount"]) > 0 && cart["estimated"] == true, "the edge knows the rule: {cart:#}");

    let quote = shopper.quote(&address()).await;
    let discounts = quote["discounts"].as_array().cloned().unwrap_or_default();
    let sum: i64 = discounts.iter().map(|discount| amount(&discount["amount"])).sum();
    assert_eq!(sum, amount(&quote["totals"]["discount"]), "{quote:#}");
    let labels: Vec<&str> = discounts.iter().filter_map(|discount| discount["label"].as_str()).collect();
    assert!(labels.contains(&"10 % off the bakery") && labels.contains(&"Drinks: 3 for 2"), "{labels:?}");
    let three = quote["lines"].as_array().into_iter().flatten().find(|line| line["sku"] == *drink);
    let three = three.unwrap_or_else(|| panic!("a line of drinks: {quote:#}"));
    assert_eq!(amount(&three["discount"]), amount(&three["unit_price"]), "one of three is free: {three:#}");

    let order = shopper.check_out(&fresh_key("promotion"), &quote, &address(), "card_ok").await.expect(201);
    let order = paid(&shopper, &order).await;
    assert_eq!(order["payment"]["amounts"]["captured"], quote["totals"]["total"]);
}

#[tokio::test]
async fn an_order_belongs_to_whoever_placed_it() {
    let shop = OpenShop::shared().await;
    let (shopper, stranger) = (shop.shopper(0), shop.shopper(0));
    let order = ordered(&shopper, "card_ok").await;
    let id = order["id"].as_str().unwrap_or_default();
    stranger.cart().await;
    let refusal = stranger.get(&format!("/api/v1/orders/{id}")).await;
    assert!(matches!(refusal.status, 401 | 404), "{}: {}", refusal.status, refusal.text);
    let list = shopper.get("/api/v1/orders").await.expect(200);
    assert!(list["items"].as_array().is_some_and(|items| items.iter().any(|item| item["id"] == id)), "{list:#}");
    // The same jar at the other edge sees it too: orders live in the core.
    let elsewhere = shopper.moved_to(shop.edge(1));
    assert_eq!(elsewhere.order(id).await["id"], id);
}

#[tokio::test]
async fn a_cancelled_order_is_cancelled_once() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let order = ordered(&shopper, "card_challenge").await;
    let path = format!("/api/v1/orders/{}/cancel", order["id"].as_str().unwrap_or_default());
    let key = fresh_key("cancel");
    shopper.post_with_key(&path, &key, &json!({})).await.expect(200);
    shopper.post_with_key(&path, &key, &json!({})).await.expect(200);
    let shopper = &shopper;
    let id = order["id"].as_str().unwrap_or_default();
    eventually_within(PAID_WITHIN, "the order to be cancelled", || async move {
        (shopper.order(id).await["status"] == "cancelled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn names_in_any_script_come_back_as_they_were_given() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let mut address = address();
    address["name"] = json!("يوسف 🥖 Łukasz");
    address["line1"] = json!("שדרות רוטשילד 1");
    let quote = shopper.quote(&address).await;
    shopper.check_out(&fresh_key("script"), &quote, &address, "card_ok").await.expect(201);
}
