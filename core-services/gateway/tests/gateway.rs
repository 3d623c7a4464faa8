//! The gateway over HTTP, with a toy payment service behind it on a real bus.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bodega_domain::{
    Code, Failure,
    id::{AccountId, SessionId},
    message::{
        Done, Page,
        payment::{Exceptions, Webhook},
    },
    token::{AccountClaims, Role, from_base64url, mint_account},
};
use bodega_platform::{
    Clock, Config, Entropy, Service, Wiring,
    config::Keys,
    service::{self, Running},
};
use bodega_tests::{Servers, eventually, free_port};
use reqwest::{Client, Response, StatusCode};

static STORED: Mutex<Vec<Webhook>> = Mutex::new(Vec::new());
static GATE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);

/// Stores webhooks; a body `slow` waits for the gate first.
fn payment() -> Service {
    Service::without_database("payment", |context| {
        Box::pin(async move {
            Ok(Wiring::new(&context)
                .on((), |(), _, webhook: Webhook| async move {
                    match from_base64url(&webhook.body).unwrap().as_slice() {
                        b"slow" => GATE.acquire().await.unwrap().forget(),
                        b"forged" => return Err(Code::WebhookSignatureInvalid.into()),
                        _ => {}
                    }
                    STORED.lock().unwrap().push(webhook);
                    Ok(Done {})
                })
                .on((), |(), _, _: Exceptions| async { Ok::<_, Failure>(Page { items: vec![], next_cursor: None }) }))
        })
    })
}

struct Shop {
    servers: Servers,
    config: Arc<Config>,
    http: Client,
    base: String,
    running: Running,
}

impl Shop {
    async fn start() -> Self {
        let servers = Servers::start().await.unwrap();
        let port = free_port().unwrap();
        let media = servers.folder().join("media");
        std::fs::create_dir_all(&media).unwrap();
        let toml = format!(
            "[nats]\nurl = \"{}\"\n[http]\ngateway = \"127.0.0.1:{port}\"\n[media]\ndirectory = \"{}\"\n\
             [payment.providers.simulator]\nadapter = \"stripe\"\nbase_url = \"http://127.0.0.1:1\"\napi_key = \"k\"\n\
             timeout_ms = 1000\n{}",
            servers.nats_url(),
            media.display(),
            Keys::generate(&Entropy).to_toml(),
        );
        let config = Arc::new(Config::parse(&toml).unwrap());
        let mut running = service::run(config.clone(), vec![payment(), bodega_gateway::service()]).await.unwrap();
        running.started().await.unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let http = Client::new();
        eventually("the gateway to be ready", || async {
            http.get(format!("{base}/readyz")).send().await.ok().filter(|r| r.status() == 200)
        })
        .await;
        Self { servers, config, http, base, running }
    }

    fn token(&self, roles: Vec<Role>) -> String {
        let now = Clock::system().now();
        let claims = AccountClaims {
            account: AccountId::from_u128(1),
            session: SessionId::from_u128(2),
            roles,
            issued: now,
            expires: now.plus_min(5),
        };
        mint_account(&self.config.keys.identity[0], &claims).unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    async fn tell(&self, provider: &str, body: &'static str) -> Response {
        let address = format!("{}/webhooks/payments/{provider}", self.base);
        self.http.post(address).header("Stripe-Signature", "t=1,v1=aa").body(body).send().await.unwrap()
    }
}

/// The answer is a problem with this code, and says so in every place.
async fn problem(response: Response, code: Code) -> serde_json::Value {
    assert_eq!(response.status(), code.http_status());
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["bodega-request-id"].to_str().unwrap().to_owned();
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["code"], code.as_str(), "{body}");
    assert_eq!(body["type"], format!("urn:bodega:problem:{code}"));
    assert_eq!(body["status"], code.http_status());
    assert_eq!(body["request_id"], id);
    body
}

#[tokio::test]
async fn a_webhook_reaches_the_payment_service_byte_for_byte() {
    let shop = Shop::start().await;
    let body = "{\"id\":\"evt_1\", \"odd\":\"\\u00e9 \"}\n";
    assert_eq!(shop.tell("simulator", body).await.status(), StatusCode::OK);
    let stored = STORED.lock().unwrap().iter().find(|w| from_base64url(&w.body).unwrap() == body.as_bytes()).cloned();
    let stored = stored.expect("the webhook is stored");
    assert_eq!(stored.provider, "simulator");
    assert!(stored.headers.contains(&("stripe-signature".into(), "t=1,v1=aa".into())), "{:?}", stored.headers);
    problem(shop.tell("simulator", "forged").await, Code::WebhookSignatureInvalid).await;
    problem(shop.tell("nobody", body).await, Code::NotFound).await;
}

#[tokio::test]
async fn a_provider_that_hangs_up_is_heard_all_the_same() {
    let shop = Shop::start().await;
    let before = STORED.lock().unwrap().iter().filter(|w| from_base64url(&w.body).unwrap() == b"slow").count();
    let address = format!("{}/webhooks/payments/simulator", shop.base);
    let impatient = shop.http.post(address).body("slow").timeout(Duration::from_millis(200)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    GATE.add_permits(1);
    eventually("the webhook to be stored", || async {
        let now = STORED.lock().unwrap().iter().filter(|w| from_base64url(&w.body).unwrap() == b"slow").count();
        (now == before + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_the_bus_a_webhook_is_refused_so_that_it_comes_again() {
    let shop = Shop::start().await;
    shop.servers.kill_nats();
    eventually("the loss to be noticed", || async { (shop.get("/readyz").await.status() == 503).then_some(()) }).await;
    let refused = shop.tell("simulator", "{}").await;
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, Code::CoreUnavailable).await;
    shop.servers.restart_nats().unwrap();
    eventually("webhooks to be taken again", || async {
        shop.tell("simulator", "{}").await.status().is_success().then_some(())
    })
    .await;
    assert!(shop.running.stop(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn who_may_call_is_what_the_table_says() {
    let shop = Shop::start().await;
    let path = "/api/v1/payments/exceptions";
    problem(shop.get(path).await, Code::Unauthenticated).await;
    let as_account = |roles| {
        let request = shop.http.get(format!("{}{path}", shop.base)).bearer_auth(shop.token(roles));
        async { request.send().await.unwrap() }
    };
    problem(as_account(vec![]).await, Code::Forbidden).await;
    let answer = as_account(vec![Role::Admin]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let tag = answer.headers()["etag"].clone();
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["items"], serde_json::json!([]));
    let again = shop.http.get(format!("{}{path}", shop.base)).bearer_auth(shop.token(vec![Role::Admin]));
    assert_eq!(again.header("If-None-Match", tag).send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn hostile_requests_are_answered_with_a_listed_problem() {
    let shop = Shop::start().await;
    let admin = shop.token(vec![Role::Admin]);
    problem(shop.get("/no/such/page").await, Code::NotFound).await;
    problem(shop.get("/api/v1/session").await, Code::MethodNotAllowed).await;
    problem(shop.get("/media/..%2f..%2fetc%2fpasswd").await, Code::NotFound).await;
    problem(shop.get("/api/v1/products?limit=many").await, Code::BadRequest).await;
    problem(shop.get("/api/v1/products?page=2").await, Code::BadRequest).await;
    problem(shop.get("/api/v1/payments/exceptions?cursor=%ff%fe").await, Code::Unauthenticated).await;
    let post = |path: &str, body: Vec<u8>, kind: &'static str| {
        let request = shop.http.post(format!("{}{path}", shop.base)).bearer_auth(&admin);
        let request = request.header("content-type", kind).body(body);
        async { request.send().await.unwrap() }
    };
    let json = "application/json";
    problem(post("/api/v1/session", b"{\"email\":".to_vec(), json).await, Code::MalformedBody).await;
    problem(post("/api/v1/session", b"[]".to_vec(), json).await, Code::MalformedBody).await;
    problem(post("/api/v1/session", b"{\"email\":7}".to_vec(), json).await, Code::ValidationFailed).await;
    problem(post("/api/v1/session", b"a=b".to_vec(), "text/plain").await, Code::UnsupportedMediaType).await;
    problem(post("/api/v1/session", vec![b' '; 2 * 1024 * 1024], json).await, Code::PayloadTooLarge).await;
    problem(post("/api/v1/orders/ord_x/cancel", b"{}".to_vec(), json).await, Code::IdempotencyKeyMissing).await;
    problem(post("/webhooks/payments/simulator", vec![b' '; 300 * 1024], json).await, Code::PayloadTooLarge).await;
    let nobody_listens = post("/api/v1/session", b"{\"email\":\"a@b\",\"password\":\"x\"}".to_vec(), json).await;
    problem(nobody_listens, Code::CoreUnavailable).await;
}

#[tokio::test]
async fn pictures_are_served_for_good_and_the_document_lists_the_endpoints() {
    let shop = Shop::start().await;
    let name = format!("{}.webp", "ab".repeat(32));
    problem(shop.get(&format!("/media/{name}")).await, Code::NotFound).await;
    std::fs::write(shop.servers.folder().join("media").join(&name), b"picture").unwrap();
    let picture = shop.get(&format!("/media/{name}")).await;
    assert_eq!(picture.headers()["content-type"], "image/webp");
    assert!(picture.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(picture.bytes().await.unwrap(), "picture");
    let document: serde_json::Value = shop.get("/openapi.json").await.json().await.unwrap();
    assert!(document["paths"]["/webhooks/payments/{provider}"]["post"].is_object());
}
