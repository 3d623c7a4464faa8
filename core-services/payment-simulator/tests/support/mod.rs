//! A simulator, a shop that takes its webhooks, and a client, all over HTTP.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bodega_payment_simulator::{Options, Simulator};
use serde_json::Value;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a webhook brought.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
    pub(crate) event: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) received: Vec<Received>,
    /// So many deliveries are refused first.
    pub(crate) refuse: usize,
}

pub(crate) type Shared = Arc<Mutex<Inbox>>;

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) inbox: Shared,
    pub(crate) webhook_url: String,
    pub(crate) client: reqwest::Client,
}

pub(crate) async fn world(adjust: impl FnOnce(&mut Options)) -> World {
    let inbox = Shared::default();
    let shop = Router::new().route("/webhooks", post(take)).with_state(Arc::clone(&inbox));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook_url = format!("http://{}/webhooks", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, shop).await });
    let mut options = Options { webhook_url: Some(webhook_url.clone()), slow_ms: 20, ..Options::default() };
    adjust(&mut options);
    let simulator = Simulator::start(options).await.unwrap();
    World { simulator, inbox, webhook_url, client: reqwest::Client::new() }
}

async fn take(State(inbox): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inbox = inbox.lock().unwrap();
    if inbox.refuse > 0 {
        inbox.refuse -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    let event = serde_json::from_slice(&body).unwrap();
    inbox.received.push(Received { signature, body: body.to_vec(), event });
    StatusCode::OK
}

impl World {
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)], key: Option<&str>) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.url());
        let mut request = self.client.post(url).bearer_auth("sk_test_simulator").form(form);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.url());
        let answer = self.client.get(url).bearer_auth("sk_test_simulator").send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> u16 {
        let url = format!("{}/control/{path}", self.simulator.url());
        let request = if path == "switches" { self.client.put(url) } else { self.client.post(url) };
        request.json(&body).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn intent(&self, amount: &str, card: &str) -> Value {
        let form = [
            ("amount", amount),
            ("currency", "eur"),
            ("capture_method", "manual"),
            ("metadata[order_id]", "ord_1"),
            ("metadata[intent_id]", card),
            ("confirm", "true"),
            ("payment_method", card),
            ("return_url", "http://127.0.0.1:1/orders/1"),
        ];
        let (status, body) = self.post("/v1/payment_intents", &form, None).await;
        match status {
            200 => body,
            402 => body["error"]["payment_intent"].clone(),
            other => panic!("{other}: {body}"),
        }
    }

    /// Types of the events that came for an intent, in order of arrival.
    pub(crate) fn told(&self, intent: &str) -> Vec<String> {
        let inbox = self.inbox.lock().unwrap();
        let of_intent = inbox.received.iter().filter(|one| {
            let object = &one.event["data"]["object"];
            object["id"] == intent || object["payment_intent"] == intent
        });
        of_intent.map(|one| one.event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let start = Instant::now();
        while !holds().await {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn until_told(&self, intent: &str, expected: &[&str]) {
        self.until(&format!("{expected:?} came, in any order"), async || {
            let mut told = self.told(intent);
            let mut expected: Vec<_> = expected.iter().map(|kind| (*kind).to_owned()).collect();
            told.sort();
            expected.sort();
            told == expected
        })
        .await;
    }
}

pub(crate) fn id(intent: &Value) -> &str {
    intent["id"].as_str().unwrap()
}
