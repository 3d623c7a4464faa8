//! A merchant or an admin at the gateway's API.

use super::{Answer, OpenShop, Shopper, fresh_key};
use reqwest::Method;
use serde_json::{Value, json};

/// The demo merchant who sells groceries and stationery.
pub const MERCHANT: &str = "merchant@bodega.example";
/// The demo shop's admin.
pub const ADMIN: &str = "admin@bodega.example";

/// Somebody who is signed in at the gateway.
#[derive(Debug)]
pub struct Staff {
    client: Shopper,
    token: String,
}

impl Staff {
    /// Signs in with one of the demo shop's logins.
    ///
    /// # Panics
    /// When there is no such login, or it is refused.
    pub async fn sign_in(shop: &OpenShop, email: &str) -> Self {
        Self::try_sign_in(shop, email).await.unwrap_or_else(|why| panic!("{email} cannot sign in: {why}"))
    }

    /// The same while the shop may be away.
    ///
    /// # Errors
    /// Why not.
    pub async fn try_sign_in(shop: &OpenShop, email: &str) -> Result<Self, String> {
        let logins = shop.processes().logins().map_err(|error| error.to_string())?;
        let login = logins.into_iter().find(|login| login.email == email).ok_or("there is no such login")?;
        let client = Shopper::at(shop.gateway());
        let body = json!({ "email": email, "password": login.password });
        let session = client.try_send(Method::POST, "/api/v1/session", &[], Some(&body)).await;
        let session = session.map_err(|error| error.to_string())?;
        match session.json["token"].as_str() {
            Some(token) => Ok(Self { client, token: token.to_owned() }),
            None => Err(session.text),
        }
    }

    /// Sends a request in their name, with an idempotency key if there is one.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        self.client.try_send(method, path, &headers, body).await
    }

    /// The same where an answer has to come.
    ///
    /// # Panics
    /// When none comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_send(method, path, None, body).await.unwrap_or_else(|error| panic!("{path} did not answer: {error:?}"))
    }

    /// `POST` with an idempotency key.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        let answer = self.try_send(Method::POST, path, Some(key), Some(body)).await;
        answer.unwrap_or_else(|error| panic!("{path} did not answer: {error:?}"))
    }

    /// The stock of everything they may see, a row for each SKU and location.
    pub async fn levels(&self) -> Vec<Value> {
        let (mut levels, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/stock?limit=100{cursor}")).await.expect(200);
            levels.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return levels,
            }
        }
    }

    /// Counts until so many units are left in these rows, one after the other, and none in the others.
    ///
    /// # Panics
    /// When a count is refused.
    pub async fn leave(&self, rows: &[Value], units: &[i64]) {
        let adjustments: Vec<Value> = rows
            .iter()
            .zip(units.iter().copied().chain(std::iter::repeat(0)))
            .map(|(level, wanted)| {
                let available = level["available"].as_i64().unwrap_or_else(|| panic!("a level: {level:#}"));
                json!({
                    "sku_no": level["sku_no"], "location": level["location"], "merchant": level["merchant"],
                    "delta": wanted - available, "reason": "count", "reference": fresh_key("count"),
                })
            })
            .filter(|adjustment| adjustment["delta"] != 0)
            .collect();
        let counted = json!({"adjustments": adjustments});
        let counted = self.send(Method::POST, "/api/v1/stock/adjustments", Some(&counted)).await;
        assert!((200..300).contains(&counted.status), "{}", counted.text);
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }
}
