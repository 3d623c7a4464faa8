//! Whatever is thrown at an endpoint, the answer is a problem with a listed code, never a trap and never a 5xx.

use bodega_domain::Code;
use bodega_tests::black_box::{Answer, OpenShop};
use reqwest::Method;
use serde_json::json;

/// Every address that takes a body.
const WRITES: [(&str, &str); 15] = [
    ("POST", "/api/v1/cart/lines"),
    ("PATCH", "/api/v1/cart/lines/some-sku"),
    ("PATCH", "/api/v1/cart"),
    ("POST", "/api/v1/cart/codes"),
    ("POST", "/api/v1/quote"),
    ("POST", "/api/v1/checkout"),
    ("POST", "/api/v1/orders/ord_00000000000000000000000000/payments"),
    ("POST", "/api/v1/orders/ord_00000000000000000000000000/cancel"),
    ("POST", "/api/v1/orders/ord_00000000000000000000000000/returns"),
    ("POST", "/api/v1/session"),
    ("POST", "/api/v1/session/refresh"),
    ("POST", "/api/v1/register"),
    ("PATCH", "/api/v1/account"),
    ("POST", "/api/v1/account/deletion"),
    ("POST", "/_edge/v1/ingest"),
];

const READS: [&str; 12] = [
    "/api/v1/products?limit=-1",
    "/api/v1/products?cursor=%00",
    "/api/v1/products?category=../../etc/passwd",
    "/api/v1/products/%F0%9F%92%A9",
    "/api/v1/products/..%2f..%2fetc",
    "/api/v1/orders/ord_zzz",
    "/api/v1/orders/%00",
    "/api/v1/checkout/%0d%0aSet-Cookie:x",
    "/api/v1/nothing",
    "/media/0000.webp",
    "/media/..%2f..%2fsecrets.toml",
    "/api/v1/products?q=%FF%FE",
];

#[track_caller]
fn is_told(answer: &Answer, what: &str) {
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.text);
    if answer.status < 400 {
        return;
    }
    let code = answer.json["code"].as_str().unwrap_or_default();
    assert!(Code::ALL.iter().any(|known| known.as_str() == code), "{what}: {} {}", answer.status, answer.text);
}

fn bodies() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json = "application/json";
    vec![
        ("nothing", json, Vec::new()),
        ("half an object", json, b"{\"sku\":".to_vec()),
        ("not text", json, vec![0xff, 0xfe, 0x00, 0xc3]),
        ("a list", json, b"[1,2,3]".to_vec()),
        ("null", json, b"null".to_vec()),
        ("wrong types", json, json!({"sku": 7, "quantity": "many", "email": [], "quote": {}}).to_string().into_bytes()),
        ("numbers beyond all", json, br#"{"sku":"a","quantity":1e400}"#.to_vec()),
        ("negative", json, br#"{"sku":"a","quantity":-1}"#.to_vec()),
        ("deep", json, [vec![b'['; 20_000], vec![b']'; 20_000]].concat()),
        ("another type", "text/plain", b"hello".to_vec()),
        ("no type", "", b"{}".to_vec()),
        ("a form", "application/x-www-form-urlencoded", b"sku=%zz&quantity=%00".to_vec()),
    ]
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_told() {
    let shop = OpenShop::shared().await;
    let client = reqwest::Client::new();
    for (method, path) in WRITES {
        for (what, kind, body) in bodies() {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let request = client.request(method, format!("{}{path}", shop.edge(0))).header("Idempotency-Key", "k");
            let request = if kind.is_empty() { request } else { request.header("Content-Type", kind) };
            let response = request.body(body).send().await.unwrap_or_else(|error| panic!("{path} {what}: {error:?}"));
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.unwrap_or_default();
            let json = serde_json::from_str(&text).unwrap_or_default();
            is_told(&Answer { status, headers, text, json }, &format!("{path}, {what}"));
        }
    }
}

#[tokio::test]
async fn addresses_that_make_no_sense_are_told() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    for path in READS {
        let answer = shopper.get(path).await;
        assert!(
            (400..500).contains(&answer.status) || answer.status == 200,
            "{path}: {} {}",
            answer.status,
            answer.text
        );
        if path.starts_with("/api") {
            is_told(&answer, path);
        }
    }
    for method in ["DELETE", "PUT", "PATCH", "OPTIONS", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = shopper.send(method.clone(), "/api/v1/products", &[], None).await;
        // A word that is no method of HTTP is refused by the runtime itself: workerd says 501.
        let is_refused = (400..500).contains(&answer.status) || (method.as_str() == "BREW" && answer.status == 501);
        assert!(is_refused, "{method}: {}", answer.status);
    }
}

#[tokio::test]
async fn broken_cookies_make_a_new_shopper_and_no_trouble() {
    let shop = OpenShop::shared().await;
    for value in ["", "x", "g1.a.b.c", "g1.local.AAAA.AAAA", "a1.local.e30.AAAA", "%00%ff", &"A".repeat(3_000)] {
        let shopper = shop.shopper(0);
        shopper.set_cookie("bodega_session", value);
        shopper.set_cookie("bodega_cart", value);
        let cart = shopper.get("/api/v1/cart").await;
        assert_eq!((cart.status, &cart.json["lines"]), (200, &json!([])), "{value}: {}", cart.text);
        let home = shopper.get("/").await;
        assert_eq!(home.status, 200, "{value}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let shop = OpenShop::shared().await;
    let huge = vec![b' '; 8 << 20];
    let request = reqwest::Client::new().post(format!("{}/api/v1/cart/lines", shop.edge(0)));
    let sent = request.header("Content-Type", "application/json").body(huge).send().await;
    // The answer may come before the body is read to its end, and the connection is then cut.
    if let Ok(response) = sent {
        assert_eq!(response.status().as_u16(), 413);
    }
    assert_eq!(shop.shopper(0).get("/healthz").await.status, 200);
}

#[tokio::test]
async fn nobody_feeds_an_edge_without_the_signature() {
    let shop = OpenShop::shared().await;
    let shopper = shop.shopper(0);
    let answer = shopper.post("/_edge/v1/ingest", &json!({"edge": "edge-1", "from": 0, "to": 1})).await;
    assert!(matches!(answer.status, 400 | 401 | 415 | 422), "{}: {}", answer.status, answer.text);
    let products = shopper.get("/api/v1/products?limit=1").await.expect(200);
    assert_eq!(products["items"].as_array().map(Vec::len), Some(1));
}
