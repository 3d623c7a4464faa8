//! The shop's own component in this host: replication in, pages and carts out, through restarts.

use bodega_domain::catalog::ViewEntry;
use bodega_domain::id::{MerchantId, ProductId};
use bodega_domain::limits::REPLICATION_ENTRIES_MAX;
use bodega_domain::replication::{BatchHeader, BatchKind, NO_BATCH, seal};
use bodega_domain::time::Timestamp;
use bodega_domain::token::{SecretKey, base64url};
use serde_json::{Value, json};

use futures::StreamExt;

use crate::core_link::{Bus, heard};
use crate::edge::{Component, Edge};

const EDGE: &str = "edge-under-test";

fn replicator() -> SecretKey {
    SecretKey { kid: "r1".into(), seed: vec![7; 32] }
}

fn settings() -> String {
    let public = base64url(&replicator().public().expect("a usable seed").key);
    format!(
        "[variables]\nedge_id = '{EDGE}'\nreplication_keys = 'r1:{public}'\nguest_keys = 'k1:{}'\n\
         nats_url = 'nats://127.0.0.1:1'\n",
        base64url(&[9; 32])
    )
}

async fn shop() -> Edge {
    Edge::with(Component::Shop, &settings()).await
}

fn entries() -> Vec<ViewEntry> {
    let (merchant, id) = (MerchantId::from_u128(1), ProductId::from_u128(1));
    let prices = json!({"EUR": 450, "USD": 490});
    let variant = json!({"sku": "SOAP", "sku_no": 1, "title": "", "prices": prices, "band": "in_stock"});
    let product = json!({
        "id": id, "slug": "soap", "title": "Lavender soap 🧼", "description": "Clean.",
        "category": "bath", "merchant": merchant, "merchant_name": "Corner", "picture": null, "variants": [variant],
    });
    let card = json!({
        "slug": "soap", "title": "Lavender soap 🧼", "category": "bath", "merchant_name": "Corner", "picture": null,
        "prices_from": prices, "variants": 1, "only_sku": "SOAP", "band": "in_stock",
    });
    let sku = json!({
        "sku": "SOAP", "sku_no": 1, "product": "soap", "title": "Lavender soap 🧼", "category": "bath",
        "merchant": merchant, "tax_class": "standard", "prices": prices, "band": "in_stock", "picture": null,
    });
    let bath = json!({"slug": "bath", "title": "Bath", "description": "Splash.", "products": 1, "picture": null});
    let listing = json!({"items": [card], "pages": 1, "total": 1});
    [
        ("product", "soap", product),
        ("sku", "1", sku),
        ("skucode", "SOAP", json!(1)),
        ("categories", "all", json!([bath])),
        ("listing", "bath/1", listing.clone()),
        ("listing", "all/1", listing),
    ]
    .into_iter()
    .map(|(kind, key, body)| ViewEntry { kind: kind.into(), key: key.into(), version: 1, body: Some(body) })
    .collect()
}

fn header() -> BatchHeader {
    BatchHeader {
        edge: EDGE.into(),
        epoch: "e1".into(),
        kind: BatchKind::Snapshot,
        from: 0,
        to: 6,
        previous: NO_BATCH.into(),
        complete: true,
        expires: Timestamp::from_unix_ms(i64::MAX / 2),
        body_hash: String::new(),
    }
}

fn snapshot(signer: &SecretKey) -> Vec<u8> {
    seal(header(), &entries(), signer).expect("seals")
}

async fn stocked() -> Edge {
    let edge = shop().await;
    let (status, answer) = edge.post("/_edge/v1/ingest", snapshot(&replicator())).await;
    assert_eq!(status, 200, "{answer}");
    edge
}

async fn json_of(edge: &Edge, path: &str) -> (u16, Value) {
    let (status, text) = edge.get(path).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {status} {text}")))
}

#[tokio::test]
async fn pages_come_out_of_the_store_once_the_snapshot_is_in_and_a_missing_one_asks_nobody() {
    let edge = stocked().await;
    let (status, product) = json_of(&edge, "/api/v1/products/soap").await;
    assert_eq!((status, product["title"].as_str()), (200, Some("Lavender soap 🧼")));
    let (status, page) = edge.get("/p/soap").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Lavender soap 🧼"));
    let read = edge.access_line("/p/soap").await["kv_reads"].as_u64().expect("a number");
    assert!((1..=8).contains(&read), "{read} reads for a product page");
    for page in ["/", "/c/bath", "/cart"] {
        let (status, text) = edge.get(page).await;
        assert_eq!(status, 200, "{page}: {text}");
    }
    // NATS is away in this test: an answer other than 404 would show that somebody was asked.
    let (status, problem) = json_of(&edge, "/api/v1/products/nothing").await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("product_not_found")));
}

#[tokio::test]
async fn a_batch_that_the_replicator_did_not_sign_changes_nothing() {
    let edge = shop().await;
    let forger = SecretKey { kid: "r1".into(), seed: vec![8; 32] };
    let (status, answer) = edge.post("/_edge/v1/ingest", snapshot(&forger)).await;
    assert_eq!(status, 401, "{answer}");
    assert_ne!(json_of(&edge, "/api/v1/products/soap").await.0, 200);
}

#[tokio::test]
async fn two_overlapping_adds_from_one_cookie_jar_are_both_there_at_once() {
    let edge = stocked().await;
    let first = edge.client.get(edge.url("/api/v1/cart")).send().await.expect("an answer");
    let cookies: Vec<String> = first
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| Some(cookie.to_str().ok()?.split(';').next()?.to_owned()))
        .collect();
    let jar = cookies.join("; ");
    let add = |key: &str| {
        edge.client
            .post(edge.url("/api/v1/cart/lines"))
            .header("cookie", &jar)
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(r#"{"sku":"SOAP","quantity":1}"#)
            .send()
    };
    let (a, b) = tokio::join!(add("one"), add("two"));
    for answer in [a, b] {
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a body"));
    }
    let cart = edge.client.get(edge.url("/api/v1/cart")).header("cookie", &jar).send().await.expect("an answer");
    let cart: Value = serde_json::from_str(&cart.text().await.expect("a body")).expect("JSON");
    assert_eq!(cart["lines"][0]["quantity"], 2, "{cart}");
}

#[tokio::test]
async fn the_catalogue_and_its_position_survive_a_kill() {
    let mut edge = stocked().await;
    let before = json_of(&edge, "/_edge/v1/ingest").await;
    edge.child().kill();
    edge.restart().await;
    assert_eq!(json_of(&edge, "/_edge/v1/ingest").await, before);
    assert_eq!(json_of(&edge, "/api/v1/products/soap").await.0, 200);
}

#[tokio::test]
async fn checkout_without_a_core_says_so_and_the_shop_goes_on() {
    let edge = stocked().await;
    let quote = edge.client.post(edge.url("/api/v1/session")).header("content-type", "application/json");
    let quote = quote.body(r#"{"email":"a@shop.example","password":"correct horse"}"#).send().await.expect("an answer");
    let status = quote.status().as_u16();
    let problem: Value = serde_json::from_str(&quote.text().await.expect("a body")).expect("JSON");
    assert_eq!((status, problem["code"].as_str()), (503, Some("core_unavailable")), "{problem}");
    assert_eq!(edge.get("/p/soap").await.0, 200);
}

#[tokio::test]
async fn head_tells_the_length_of_the_page_that_it_does_not_send() {
    let edge = stocked().await;
    let page = edge.get("/p/soap").await.1;
    let head = edge.client.head(edge.url("/p/soap")).send().await.expect("an answer");
    let length = head.headers()["content-length"].to_str().expect("text").to_owned();
    assert_eq!((head.status().as_u16(), length), (200, page.len().to_string()));
}

#[tokio::test]
async fn a_fault_that_the_host_answers_has_the_id_under_which_the_core_was_asked() {
    let bus = Bus::start().await;
    let client = async_nats::connect(bus.nats.url()).await.expect("connects");
    let mut silent = client.subscribe("identity.v1.sign_in").await.expect("subscribes");
    heard(&client).await;
    let settings = settings().replace("nats://127.0.0.1:1", &bus.nats.url());
    let edge = Edge::with(Component::Shop, &format!("{settings}[limits]\nrequest_s = 1\n")).await;
    let wish = edge.client.post(edge.url("/api/v1/session")).header("content-type", "application/json");
    let wish = wish.body(r#"{"email":"a@shop.example","password":"correct horse"}"#).send().await.expect("an answer");
    assert_eq!(wish.status().as_u16(), 500);
    let problem: Value = serde_json::from_str(&wish.text().await.expect("a body")).expect("JSON");
    assert_eq!(problem["code"], "edge_fault");
    let asked = silent.next().await.expect("it was asked");
    let id = asked.headers.as_ref().and_then(|headers| headers.get("Bodega-Request-Id")).expect("an id");
    assert_eq!(problem["request_id"], id.as_str());
    assert_eq!(edge.access_line("/api/v1/session").await["request_id"], id.as_str());
}

#[test]
fn the_component_imports_what_is_listed_and_nothing_else() {
    let imports = crate::edge::imports(Component::Shop);
    let listed: Vec<&str> = include_str!("imports.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(imports, listed, "imports.txt lists what the shop's component may reach");
}

#[test]
fn the_manifest_for_spin_names_every_variable_that_the_component_reads() {
    let manifest = std::fs::read_to_string(bodega_stack::workspace_root().join("edge-workers/spin/spin.toml"));
    let manifest: toml::Table = manifest.expect("reads").parse().expect("is TOML");
    let names = |table: &toml::Value| table.as_table().expect("a table").keys().cloned().collect::<Vec<_>>();
    let component = names(&manifest["component"]["storefront"]["variables"]);
    for name in bodega_spin_platform::setting_names() {
        assert!(component.iter().any(|declared| declared == name), "{name} is not given to the component");
    }
    let declared = names(&manifest["variables"]);
    let text = manifest["component"].to_string();
    for used in text.split("{{ ").skip(1).filter_map(|rest| rest.split(" }}").next()) {
        assert!(declared.iter().any(|name| name == used), "{used} is used and not declared");
    }
}

#[tokio::test]
async fn the_largest_batch_that_the_replicator_may_send_fits_into_an_instance() {
    let edge = shop().await;
    let entries: Vec<ViewEntry> = (0..REPLICATION_ENTRIES_MAX)
        .map(|number| ViewEntry {
            kind: "flag".into(),
            key: format!("f{number}"),
            version: 1,
            // Many small values cost the most memory for their bytes.
            body: Some(json!({ "list": vec![1; 2_200] })),
        })
        .collect();
    let batch = seal(header(), &entries, &replicator()).expect("is within the limits");
    let (status, answer) = edge.post("/_edge/v1/ingest", batch).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(edge.counter("bodega_edge_instance_faults_total").await, 0);
}
