//! A client of the shop: a browser with a cookie jar, or a program that keeps tokens by itself.

use std::collections::BTreeMap;

use bodega_storefront::{
    handle,
    platform::{Request, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::Edge;

/// An answer, ready to be looked at.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let json = self.json();
        assert_eq!(json["request_id"].as_str().unwrap(), self.header("bodega-request-id"));
        json["code"].as_str().unwrap().to_owned()
    }

    pub fn set_cookies(&self) -> Vec<(String, String)> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| {
                let pair = value.to_str().unwrap().split(';').next().unwrap().to_owned();
                let (name, value) = pair.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect()
    }

    /// The value of a hidden or visible field of a form on the page.
    pub fn field(&self, name: &str) -> String {
        let text = self.text();
        let at = text.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name} on the page"));
        let tag = &text[at..at + text[at..].find('>').unwrap()];
        let from = at + tag.find("value=\"").unwrap_or_else(|| panic!("no value in {tag}")) + "value=\"".len();
        let to = from + text[from..].find('"').unwrap();
        text[from..to].replace("&amp;", "&").replace("&quot;", "\"")
    }
}

/// A client at one edge at a time.
pub struct Client {
    pub edge: Edge,
    pub jar: BTreeMap<String, String>,
    pub headers: Vec<(&'static str, String)>,
}

impl Client {
    pub fn new(edge: &Edge) -> Self {
        Self { edge: edge.clone(), jar: BTreeMap::new(), headers: Vec::new() }
    }

    /// The same jar at another edge.
    pub fn moves_to(&mut self, edge: &Edge) {
        self.edge = edge.clone();
    }

    fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("shop.test"));
        if !self.jar.is_empty() {
            let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            map.insert("cookie", HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            map.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        Request {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            path: path.into(),
            query: query.into(),
            headers: map,
            body: body.to_vec(),
        }
    }

    /// Sends without keeping the answer's cookies: as a browser whose other request is still on its way.
    pub fn send_apart(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let request = self.request(method, target, headers, body);
        let Response { status, headers, body } = futures::executor::block_on(handle(&self.edge, request));
        Answer { status: status.as_u16(), headers, body }
    }

    /// Keeps the cookies of an answer.
    pub fn keep(&mut self, answer: &Answer) {
        for (name, value) in answer.set_cookies() {
            if value.is_empty() {
                self.jar.remove(&name);
            } else {
                self.jar.insert(name, value);
            }
        }
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.send_apart(method, target, headers, body);
        self.keep(&answer);
        answer
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, &[], b"")
    }

    pub fn post_bytes(&mut self, target: &str, body: &[u8]) -> Answer {
        self.send("POST", target, &[("content-type", "application/octet-stream")], body)
    }

    pub fn json(&mut self, method: &str, target: &str, body: &Value) -> Answer {
        self.send(method, target, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn json_keyed(&mut self, target: &str, key: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send("POST", target, &headers, body.to_string().as_bytes())
    }

    /// Submits a form as a browser does.
    pub fn form(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://shop.test")];
        self.send("POST", target, &headers, body.as_bytes())
    }

    /// Submits a form and follows the redirect.
    pub fn form_follow(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.form(target, fields);
        assert_eq!(answer.status, 303, "{}", answer.text());
        let to = answer.header("location").split('#').next().unwrap().to_owned();
        self.get(&to)
    }

    /// Quantity of each SKU in the cart.
    pub fn cart(&mut self) -> BTreeMap<String, u64> {
        let cart = self.get("/api/v1/cart");
        assert_eq!(cart.status, 200, "{}", cart.text());
        quantities(&cart.json())
    }
}

pub fn quantities(cart: &Value) -> BTreeMap<String, u64> {
    let lines = cart["lines"].as_array().unwrap();
    lines.iter().map(|line| (line["sku"].as_str().unwrap().to_owned(), line["quantity"].as_u64().unwrap())).collect()
}
