//! Codes that a client has to act on, each provoked through HTTP. A code that nobody can provoke so is listed with the
//! reason; the lists may only shrink.

use bodega_domain::Code;
use bodega_tests::black_box::{ADMIN, Answer, MERCHANT, OpenShop, Staff, address, checkout_body, fresh_key};
use bodega_tests::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Asserted through HTTP by other tests of the whole shop.
const ELSEWHERE: &[(Code, &str)] = &[
    (Code::PayloadTooLarge, "e2e hostile"),
    (Code::CartFull, "e2e carts"),
    (Code::IdempotencyKeyMissing, "e2e once"),
    (Code::IdempotencyKeyReused, "e2e once"),
    (Code::CheckoutNotFound, "e2e once"),
    (Code::OutOfStock, "e2e stock"),
    (Code::QuoteMismatch, "e2e quotes"),
    (Code::QuoteUsed, "e2e quotes"),
    (Code::QuoteExpired, "e2e quotes"),
    (Code::QuoteInvalid, "e2e quotes"),
    (Code::PluginRejected, "e2e plugins"),
    (Code::OutcomeUnknown, "faults words_lost"),
    (Code::CoreUnavailable, "faults killed"),
];

/// Not provoked through the whole shop.
const NOT_HERE: &[(Code, &str)] = &[
    (Code::TooManyRequests, "whoever provokes it locks the other tests of this process out; platform tests it"),
    (Code::Overloaded, "takes a machine that is slower than its load; the host's and platform's tests do"),
    (Code::DeadlineExceeded, "an edge gives every command its full time; platform's tests do"),
    (Code::EdgeNotReady, "the shop opens when its edges are ready; the storefront's tests do"),
    (Code::EdgeFault, "the storefront has no known fault; the host's tests plant one in another component"),
    (Code::CodeNotApplicable, "a code that was spent between quote and checkout; the money path's tests do"),
    (Code::IngestOutOfOrder, "takes the replicator's key; its own tests do"),
    (Code::PreconditionFailed, "two editors of one product; the catalogue's and the gateway's tests do"),
    (Code::Internal, "a fault that we would mend"),
];

/// Codes that were really answered.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

impl Seen {
    #[track_caller]
    fn told(&mut self, answer: Answer, code: Code) -> Value {
        let problem = answer.expect_problem(code.http_status(), code.as_str());
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "people are told too: {problem:#}");
        self.0.insert(code.as_str());
        problem
    }
}

#[tokio::test]
async fn every_code_is_answered_through_http_or_has_a_reason_why_not() {
    let shop = OpenShop::shared().await;
    let mut seen = Seen::default();
    requests(shop, &mut seen).await;
    accounts(shop, &mut seen).await;
    carts(shop, &mut seen).await;
    orders(shop, &mut seen).await;
    staff(shop, &mut seen).await;

    for (code, place) in ELSEWHERE.iter().chain(NOT_HERE) {
        assert!(!seen.0.contains(code.as_str()), "{code} is answered here now: take it off the list of {place}");
    }
    let listed: BTreeSet<&str> = ELSEWHERE.iter().chain(NOT_HERE).map(|(code, _)| code.as_str()).collect();
    let all = Code::ALL.iter().map(|code| code.as_str());
    let missing: Vec<&str> = all.filter(|code| !seen.0.contains(code) && !listed.contains(code)).collect();
    assert!(missing.is_empty(), "nobody provokes {missing:?}");
}

async fn requests(shop: &OpenShop, seen: &mut Seen) {
    let shopper = shop.shopper(0);
    let client = reqwest::Client::new();
    let raw = async |kind: &str, body: &'static str| {
        let request = client.post(format!("{}/api/v1/cart/lines", shop.edge(0))).header("content-type", kind);
        answer(request.body(body).send().await.expect("an answer")).await
    };
    seen.told(raw("application/json", "{").await, Code::MalformedBody);
    seen.told(raw("text/plain", "a pear").await, Code::UnsupportedMediaType);
    let line = json!({"sku": "no-such-sku", "quantity": 1});
    seen.told(shopper.post("/api/v1/cart/lines", &line).await, Code::SkuNotFound);
    let sku = shopper.skus(1).await.remove(0);
    let none = json!({"sku": sku, "quantity": 0});
    seen.told(shopper.post("/api/v1/cart/lines", &none).await, Code::ValidationFailed);
    seen.told(shopper.get("/api/v1/products?limit=many").await, Code::BadRequest);
    seen.told(shopper.get("/api/v1/nothing").await, Code::NotFound);
    seen.told(shopper.send(Method::DELETE, "/api/v1/products", &[], None).await, Code::MethodNotAllowed);
    seen.told(shopper.get("/api/v1/products/no-such-product").await, Code::ProductNotFound);
    seen.told(shopper.get("/api/v1/products?category=no-such-category").await, Code::CategoryNotFound);
    let forged = client.post(format!("{}/_edge/v1/ingest", shop.edge(0))).body(vec![0_u8; 64]);
    seen.told(answer(forged.send().await.expect("an answer")).await, Code::IngestSignatureInvalid);
    let form = client.post(format!("{}/cart", shop.edge(0))).header("origin", "https://elsewhere.example");
    let form = form.header("content-type", "application/x-www-form-urlencoded").header("accept", "application/json");
    seen.told(answer(form.body("sku=a&quantity=1").send().await.expect("an answer")).await, Code::OriginForbidden);
}

async fn accounts(shop: &OpenShop, seen: &mut Seen) {
    let shopper = shop.shopper(0);
    seen.told(shopper.get("/api/v1/account").await, Code::Unauthenticated);
    let email = format!("{}@example.org", fresh_key("errors"));
    let account = json!({"email": email, "password": "correct horse battery", "name": "Ada"});
    let registered = shopper.post("/api/v1/register", &account).await;
    assert!(matches!(registered.status, 200 | 201), "{}", registered.text);
    seen.told(shop.shopper(1).post("/api/v1/register", &account).await, Code::EmailTaken);
    let wrong = json!({"email": email, "password": "something else entirely"});
    seen.told(shop.shopper(1).post("/api/v1/session", &wrong).await, Code::CredentialsInvalid);
    // A copy of the jar, as a thief would have it, is of no use once its owner has signed out.
    let copy = shopper.moved_to(shop.edge(0));
    let ended = shopper.send(Method::DELETE, "/api/v1/session", &[], None).await;
    assert!((200..300).contains(&ended.status), "{}", ended.text);
    let expired = eventually("the copy to be of no use", || async {
        let answer = copy.moved_to(shop.edge(0)).get("/api/v1/account").await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    seen.told(expired, Code::SessionExpired);
}

async fn carts(shop: &OpenShop, seen: &mut Seen) {
    let shopper = shop.shopper(0);
    let quote = |address: Value| json!({ "shipping_address": address });
    seen.told(shopper.post("/api/v1/quote", &quote(address())).await, Code::CartEmpty);
    let sku = shopper.skus(1).await.remove(0);
    shopper.add(&sku, 1).await;
    let mut nowhere = address();
    nowhere["country"] = json!("AQ");
    seen.told(shopper.post("/api/v1/quote", &quote(nowhere)).await, Code::DestinationUnsupported);
    let francs = json!({ "shipping_address": address(), "currency": "CHF" });
    seen.told(shopper.post("/api/v1/quote", &francs).await, Code::CurrencyUnsupported);
    // A code that nobody knows costs no quote: it is told beside what the cart costs without it.
    shopper.post("/api/v1/cart/codes", &json!({"code": "NOSUCHCODE"})).await.expect(200);
    let quoted = shopper.post("/api/v1/quote", &quote(address())).await.expect(200);
    assert_eq!(quoted["codes_refused"][0][0], "NOSUCHCODE", "{quoted:#}");
}

async fn orders(shop: &OpenShop, seen: &mut Seen) {
    let shopper = shop.shopper(0);
    shopper.cart().await;
    let unknown = "/api/v1/orders/ord_00000000000000000000000000";
    seen.told(shopper.get(unknown).await, Code::OrderNotFound);
    let sku = shopper.skus(1).await.remove(0);
    let quoted = async || {
        shopper.add(&sku, 1).await;
        shopper.quote(&address()).await
    };
    let quote = quoted().await;
    let mut body = checkout_body(&quote, &address(), "card_ok");
    body["payment"]["provider"] = json!("barter");
    seen.told(shopper.post_with_key("/api/v1/checkout", &fresh_key("e"), &body).await, Code::PaymentMethodUnknown);

    let order = shopper.check_out(&fresh_key("e"), &quote, &address(), "card_ok").await.expect(201);
    let id = order["id"].as_str().unwrap_or_default().to_owned();
    eventually("the order to be paid", || async { (shopper.order(&id).await["status"] == "paid").then_some(()) }).await;
    let again = json!({"payment": {"provider": "simulator", "method": "card_ok"}});
    let twice = shopper.post_with_key(&format!("/api/v1/orders/{id}/payments"), &fresh_key("e"), &again).await;
    seen.told(twice, Code::OrderStateConflict);

    let quote = quoted().await;
    shopper.check_out(&fresh_key("e"), &quote, &address(), "card_challenge").await.expect(201);
    let quote = quoted().await;
    let silent = shopper.check_out(&fresh_key("e"), &quote, &address(), "card_silent").await.expect(201);
    let path = format!("/api/v1/orders/{}/payments", silent["id"].as_str().unwrap_or_default());
    seen.told(shopper.post_with_key(&path, &fresh_key("e"), &again).await, Code::PaymentStateConflict);
    let quote = quoted().await;
    let third = shopper.check_out(&fresh_key("e"), &quote, &address(), "card_challenge").await;
    assert!(third.headers.contains_key("retry-after"), "{third:?}");
    seen.told(third, Code::TooManyUnpaid);
    let list = shopper.get("/api/v1/orders").await.expect(200);
    let open = list["items"].as_array().into_iter().flatten().find(|order| order["status"] == "awaiting_payment");
    let open = open.and_then(|order| order["id"].as_str()).expect("an open order").to_owned();
    let goods = json!({"lines": [{"sku": sku, "quantity": 1}], "reason": "wrong_item"});
    let early = shopper.post_with_key(&format!("/api/v1/orders/{open}/returns"), &fresh_key("e"), &goods).await;
    seen.told(early, Code::OrderStateConflict);
    let admin = Staff::sign_in(shop, ADMIN).await;
    let refund = json!({"order": id, "amount": {"amount": 99_999_999, "currency": "EUR"}, "reason": "other"});
    let refused = admin.post_with_key("/api/v1/refunds", &fresh_key("e"), &refund).await;
    seen.told(refused, Code::AmountExceeded);
}

async fn staff(shop: &OpenShop, seen: &mut Seen) {
    let merchant = Staff::sign_in(shop, MERCHANT).await;
    let user = json!({"email": "x@example.org", "name": "X", "roles": ["admin"], "password": "correct horse battery"});
    seen.told(merchant.send(Method::PUT, "/api/v1/users", Some(&user)).await, Code::Forbidden);
    let unknown = "/api/v1/plugins/plg_00000000000000000000000000/activate";
    let activate = json!({"label": "L", "config": null});
    seen.told(merchant.post_with_key(unknown, &fresh_key("e"), &activate).await, Code::PluginNotFound);
    let forged = reqwest::Client::new().post(format!("{}/webhooks/payments/simulator", shop.gateway())).body("{}");
    seen.told(answer(forged.send().await.expect("an answer")).await, Code::WebhookSignatureInvalid);
    // Nobody takes away more than there is.
    let admin = Staff::sign_in(shop, ADMIN).await;
    let level = admin.get("/api/v1/stock?limit=1").await.expect(200)["items"][0].clone();
    let too_many = json!({"adjustments": [{
        "sku_no": level["sku_no"], "location": level["location"], "merchant": level["merchant"],
        "delta": -1_000_000_000, "reason": "damage", "reference": fresh_key("e"),
    }]});
    seen.told(admin.send(Method::POST, "/api/v1/stock/adjustments", Some(&too_many)).await, Code::Conflict);
}

async fn answer(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_default();
    let json = serde_json::from_str(&text).unwrap_or_default();
    Answer { status, headers, text, json }
}
