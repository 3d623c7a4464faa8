//! Shoppers who try until they are told something definite, and staff who send what was paid.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bodega_tests::black_box::{Answer, OpenShop, Shopper, Staff, address, checkout_body};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::plan::{Goods, Purchase, Wish};

/// Between two tries of the same thing.
const AGAIN_AFTER: Duration = Duration::from_millis(150);
/// For how long one step is tried: longer than the shop is ever away.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a shopper was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) key: String,
    pub(crate) wish: Wish,
    /// Each order that was named under this key; there should be one.
    pub(crate) orders: Vec<String>,
    /// What the quote said it costs, minor units.
    pub(crate) total: i64,
    /// Why there is none, where the shop said so.
    pub(crate) refused: Option<String>,
    /// What was no clear answer.
    pub(crate) unclear: Vec<String>,
}

impl Told {
    fn new(purchase: &Purchase) -> Self {
        let (key, wish) = (purchase.key.clone(), purchase.wish);
        Self { key, wish, orders: Vec::new(), total: 0, refused: None, unclear: Vec::new() }
    }

    fn names(&mut self, order: &Value) {
        let id = order["id"].as_str().unwrap_or_default().to_owned();
        if !self.orders.contains(&id) {
            self.orders.push(id);
        }
    }
}

/// Whether the shop says that it cannot say now: the same may be asked again.
fn may_pass(answer: &Answer) -> bool {
    matches!(answer.status, 202 | 502 | 503 | 504)
        || (answer.status == 429 && answer.json["code"] == "overloaded")
        || (answer.status == 500 && answer.json["code"] == "edge_fault")
}

/// Asks until there is a definite answer.
pub(crate) async fn definitely<F, Fut>(mut ask: F) -> Option<Answer>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Answer, reqwest::Error>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) if !may_pass(&answer) => return Some(answer),
            _ if Instant::now() >= until => return None,
            _ => sleep(AGAIN_AFTER).await,
        }
    }
}

async fn post(shopper: &Shopper, path: &str, key: Option<&str>, body: &Value) -> Option<Answer> {
    let headers: Vec<(&str, &str)> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
    definitely(|| shopper.try_send(Method::POST, path, &headers, Some(body))).await
}

async fn order(shopper: &Shopper, id: &str) -> Option<Value> {
    let path = format!("/api/v1/orders/{id}");
    definitely(|| shopper.try_send(Method::GET, &path, &[], None)).await.filter(|a| a.status == 200).map(|a| a.json)
}

/// Waits until the order is what is looked for, or time is over.
async fn until(shopper: &Shopper, id: &str, is: impl Fn(&Value) -> bool) -> Option<Value> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(order) = order(shopper, id).await.filter(|order| is(order)) {
            return Some(order);
        }
        sleep(AGAIN_AFTER).await;
    }
    None
}

fn settled(order: &Value) -> bool {
    !matches!(order["status"].as_str(), Some("awaiting_payment"))
}

/// One purchase from the cart to its end, and what staff does with it.
pub(crate) async fn come(
    shop: &OpenShop,
    skus: &[String],
    staff: &Staff,
    (n, purchase): (usize, &Purchase),
    confirmed: &AtomicU64,
) -> Told {
    // Everybody comes from somewhere else: limits are on one address, and this is a town.
    let from = format!("10.{}.{}.{}", n / 65_536 % 256, n / 256 % 256, n % 256);
    let shopper = shop.shopper(purchase.edge).from_address(&from);
    let told = buy(shop, skus, &shopper, purchase).await;
    confirmed.fetch_add(u64::from(!told.orders.is_empty()), SeqCst);
    if let Some(id) = told.orders.first()
        && !matches!(purchase.wish, Wish::CallOff | Wish::GiveUp)
    {
        handle(staff, &shopper, purchase, id).await;
    }
    told
}

/// A purchase from the cart to its payment.
pub(crate) async fn buy(shop: &OpenShop, skus: &[String], shopper: &Shopper, purchase: &Purchase) -> Told {
    let mut told = Told::new(purchase);
    for (article, quantity) in &purchase.lines {
        let line = json!({"sku": skus[*article], "quantity": quantity});
        let key = format!("{}-{article}", purchase.key);
        let Some(answer) = post(shopper, "/api/v1/cart/lines", Some(&key), &line).await else { return told };
        if answer.status != 200 {
            told.unclear.push(format!("cart: {} {}", answer.status, answer.text));
            return told;
        }
    }
    let wish = json!({"shipping_address": address(), "shipping_method": "standard"});
    let Some(quote) = post(shopper, "/api/v1/quote", None, &wish).await else { return told };
    if quote.status != 200 || quote.json["token"].is_null() {
        told.refused = quote.json["code"].as_str().map(str::to_owned).or(Some("no_quote".to_owned()));
        return told;
    }
    told.total = quote.json["totals"]["total"]["amount"].as_i64().unwrap_or(-1);
    let body = checkout_body(&quote.json, &address(), purchase.wish.card());
    let Some(answer) = post(shopper, "/api/v1/checkout", Some(&purchase.key), &body).await else { return told };
    match answer.status {
        200 | 201 => told.names(&answer.json),
        409 | 410 | 422 | 429 => {
            told.refused = answer.json["code"].as_str().map(str::to_owned);
            return told;
        }
        _ => {
            told.unclear.push(format!("checkout: {} {}", answer.status, answer.text));
            return told;
        }
    }
    // The same key once more is the same order, whatever happened since.
    if let Some(again) = post(shopper, "/api/v1/checkout", Some(&purchase.key), &body).await
        && matches!(again.status, 200 | 201)
    {
        told.names(&again.json);
    }
    let id = told.orders[0].clone();
    go_on(shop, shopper, purchase, &id, &mut told).await;
    told
}

async fn go_on(shop: &OpenShop, shopper: &Shopper, purchase: &Purchase, id: &str, told: &mut Told) {
    let path = format!("/api/v1/orders/{id}");
    let key = |what: &str| format!("{}-{what}", purchase.key);
    match purchase.wish {
        Wish::SecondCard | Wish::GiveUp => {
            until(shopper, id, |order| order["payment"]["status"] == "refused" || settled(order)).await;
            if purchase.wish == Wish::SecondCard {
                let pay = json!({"payment": {"provider": "simulator", "method": "card_ok"}});
                post(shopper, &format!("{path}/payments"), Some(&key("pay")), &pay).await;
            }
        }
        Wish::Challenge => {
            let asked = until(shopper, id, |order| order["payment"]["next_action"].is_object() || settled(order)).await;
            let url = asked.as_ref().and_then(|order| order["payment"]["next_action"]["url"].as_str());
            let intent = url.and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned();
            if !intent.is_empty() {
                control(shop, &format!("intents/{intent}/approve"), &json!({})).await;
            }
        }
        Wish::CallOff => {
            until(shopper, id, settled).await;
            let Some(answer) = post(shopper, &format!("{path}/cancel"), Some(&key("cancel")), &json!({})).await else {
                return;
            };
            if !matches!(answer.status, 200 | 409) {
                told.unclear.push(format!("cancel: {} {}", answer.status, answer.text));
            }
        }
        Wish::Buy | Wish::Slow | Wish::Stutter | Wish::NoCapture | Wish::OneCapture => {}
    }
}

/// Presses a button at the provider until it is pressed, or refused.
pub(crate) async fn control(shop: &OpenShop, path: &str, body: &Value) {
    let provider = Shopper::at(shop.simulator());
    let path = format!("/control/{path}");
    definitely(|| provider.try_send(Method::POST, &path, &[], Some(body))).await;
}

/// What staff does with an order that is paid, and its buyer after it. What is refused is refused: the laws tell whether
/// that was right.
async fn handle(staff: &Staff, shopper: &Shopper, purchase: &Purchase, id: &str) {
    let at = format!("/api/v1/orders/{id}");
    let key = |what: &str| format!("{}-{what}", purchase.key);
    let Some(paid) = until(shopper, id, settled).await.filter(|order| order["status"] == "paid") else { return };
    let merchants: Vec<Value> =
        paid["parts"].as_array().into_iter().flatten().map(|part| part["merchant"].clone()).collect();
    let first = paid["lines"][0]["sku"].clone();
    let send = async |path: String, key: String, body: Value| -> Option<Answer> {
        definitely(|| staff.try_send(Method::POST, &path, Some(&key), Some(&body))).await
    };
    if purchase.goods == Goods::InPieces {
        let one = json!({"lines": [[first, 1]], "carrier": "Corner Post", "tracking": "CP 1"});
        send(format!("{at}/shipments"), key("one"), one).await;
        let off = json!({"lines": [[first, 1]], "reason": "changed_mind"});
        post(shopper, &format!("{at}/cancel"), Some(&key("off")), &off).await;
    }
    if purchase.goods == Goods::Stay {
        return;
    }
    for (n, merchant) in merchants.iter().enumerate() {
        send(format!("{at}/shipments"), key(&format!("rest-{n}")), json!({"merchant": merchant})).await;
    }
    if purchase.goods != Goods::ComeBack {
        return;
    }
    let Some(sent) =
        until(shopper, id, |order| order["fulfilment"] == "shipped" || order["status"] != "in_fulfilment").await
    else {
        return;
    };
    for shipment in sent["shipments"].as_array().into_iter().flatten() {
        let id = shipment["id"].as_str().unwrap_or_default();
        send(format!("{at}/shipments/{id}/delivered"), key(id), json!({})).await;
    }
    let back = json!({"lines": [[first, 1]], "reason": "damaged"});
    let Some(back) = post(shopper, &format!("{at}/returns"), Some(&key("back")), &back).await else { return };
    let Some(back) = back.json["id"].as_str().map(|id| format!("{at}/returns/{id}")) else { return };
    send(format!("{back}/decision"), key("decision"), json!({"verdict": "approve"})).await;
    send(format!("{back}/receipt"), key("receipt"), json!({})).await;
}
