//! A merchant or an admin at the gateway's API.

use super::{Answer, OpenShop, Shopper};
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
        let login = shop.processes().logins().expect("logins").into_iter().find(|login| login.email == email);
        let client = Shopper::at(shop.gateway());
        let body = json!({ "email": email, "password": login.expect("this login").password });
        let session = client.post("/api/v1/session", &body).await;
        assert!((200..300).contains(&session.status), "{}", session.text);
        let token = session.json["token"].as_str().expect("a token").to_owned();
        Self { client, token }
    }

    /// The same while the shop may be away.
    pub async fn try_sign_in(shop: &OpenShop, email: &str) -> Option<Self> {
        let login = shop.processes().logins().ok()?.into_iter().find(|login| login.email == email)?;
        let client = Shopper::at(shop.gateway());
        let body = json!({ "email": email, "password": login.password });
        let session = client.try_send(Method::POST, "/api/v1/session", &[], Some(&body)).await.ok()?;
        let token = session.json["token"].as_str()?.to_owned();
        Some(Self { client, token })
    }

    /// Sends a request in their name.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.client.send(method, path, &[("authorization", bearer.as_str())], body).await
    }

    /// `POST` with an idempotency key.
    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("Idempotency-Key", key)];
        self.client.send(Method::POST, path, &headers, Some(body)).await
    }

    /// The same where a broken connection is an expected answer.
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

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }
}
