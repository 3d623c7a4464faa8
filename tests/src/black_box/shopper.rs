//! A shopper: one cookie jar, one edge at a time.

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longer than the 8 s after which an edge answers `outcome_unknown`.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What an edge answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON, `null` when it is none.
    pub json: Value,
}

impl Answer {
    /// Asserts the status and returns the JSON.
    ///
    /// # Panics
    /// When it is another one; shows the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }

    /// Asserts a problem with this status and code, in the form that clients rely on.
    ///
    /// # Panics
    /// When it is anything else; shows the answer.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{} {kind}: {}", self.status, self.text);
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert!(self.json["request_id"].is_string(), "no request id: {}", self.text);
        self.json
    }
}

/// One browser.
#[derive(Debug)]
pub struct Shopper {
    client: Client,
    edge: String,
    jar: Mutex<BTreeMap<String, String>>,
    /// Where it comes from, for edges that believe that.
    address: Option<String>,
}

impl Shopper {
    /// A new browser at this edge.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn at(edge: &str) -> Self {
        let client = Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none()).build();
        Self { client: client.expect("an HTTP client"), edge: edge.to_owned(), jar: Mutex::default(), address: None }
    }

    /// From this address, at edges that believe it.
    #[must_use]
    pub fn from_address(self, address: &str) -> Self {
        Self { address: Some(address.to_owned()), ..self }
    }

    /// The same jar at another edge; the jars go separate ways from here.
    #[must_use]
    pub fn moved_to(&self, edge: &str) -> Self {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let address = self.address.clone();
        Self { client: self.client.clone(), edge: edge.to_owned(), jar: Mutex::new(jar), address }
    }

    /// Puts a cookie into the jar.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
    }

    /// A cookie's value.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Sends a request with the jar's cookies and keeps what comes back.
    ///
    /// # Panics
    /// When no answer comes at all.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let answer = self.try_send(method, path, headers, body).await;
        answer.unwrap_or_else(|error| panic!("{}{path} did not answer: {error:?}", self.edge))
    }

    /// As [`Self::send`], where a broken connection is an expected answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.edge));
        let cookies: Vec<String> = {
            let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(address) = &self.address {
            request = request.header(super::ADDRESS_HEADER, address);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        self.keep(&headers);
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, text, json })
    }

    fn keep(&self, headers: &HeaderMap) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            if cookie.contains("Max-Age=0") {
                jar.remove(name.trim());
            } else {
                jar.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// `POST` with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// `POST` with JSON and an idempotency key.
    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("Idempotency-Key", key)], Some(body)).await
    }

    /// Puts a SKU into the cart and returns the cart.
    pub async fn add(&self, sku: &str, quantity: u32) -> Value {
        self.post("/api/v1/cart/lines", &json!({"sku": sku, "quantity": quantity})).await.expect(200)
    }

    /// The cart.
    pub async fn cart(&self) -> Value {
        self.get("/api/v1/cart").await.expect(200)
    }

    /// A quote for the cart, sent to this address.
    pub async fn quote(&self, address: &Value) -> Value {
        let body = json!({"shipping_address": address, "shipping_method": "standard"});
        self.post("/api/v1/quote", &body).await.expect(200)
    }

    /// Checks out with a quote's token.
    pub async fn check_out(&self, key: &str, quote: &Value, address: &Value, method: &str) -> Answer {
        self.post_with_key("/api/v1/checkout", key, &checkout_body(quote, address, method)).await
    }

    /// The order as it is now.
    pub async fn order(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/orders/{id}")).await.expect(200)
    }

    /// SKUs of the demo shop that are in stock, at least `count` of them.
    ///
    /// # Panics
    /// When there are fewer.
    pub async fn skus(&self, count: usize) -> Vec<String> {
        self.available("/api/v1/products?limit=50", count).await
    }

    /// The same within a category.
    ///
    /// # Panics
    /// When there are fewer.
    pub async fn skus_of(&self, category: &str, count: usize) -> Vec<String> {
        self.available(&format!("/api/v1/products?limit=50&category={category}"), count).await
    }

    async fn available(&self, list: &str, count: usize) -> Vec<String> {
        let list = self.get(list).await.expect(200);
        let mut found: Vec<String> = Vec::new();
        for item in list["items"].as_array().into_iter().flatten() {
            let slug = item["slug"].as_str().unwrap_or_default();
            let product = self.get(&format!("/api/v1/products/{slug}")).await.expect(200);
            let mut skus = product["variants"].as_array().into_iter().flatten();
            let available = skus.find(|sku| sku["band"] == "in_stock");
            found.extend(available.and_then(|sku| sku["sku"].as_str()).map(str::to_owned));
            if found.len() >= count {
                return found;
            }
        }
        panic!("the shop has only {} SKUs in stock, {count} are needed: {list:#}", found.len());
    }
}

/// The body of a checkout.
#[must_use]
pub fn checkout_body(quote: &Value, address: &Value, method: &str) -> Value {
    json!({
        "quote": quote["token"],
        "contact": {"email": "ada@example.org", "name": "Ada Example"},
        "shipping_address": address,
        "payment": {"provider": "simulator", "method": method},
    })
}

/// An address in Berlin.
#[must_use]
pub fn address() -> Value {
    json!({"name": "Ada Example", "line1": "Lange Straße 1", "city": "Berlin", "postal_code": "10243", "country": "DE"})
}

/// A key that no other test of this process uses.
#[must_use]
pub fn fresh_key(what: &str) -> String {
    static KEYS: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), KEYS.fetch_add(1, Ordering::Relaxed))
}
