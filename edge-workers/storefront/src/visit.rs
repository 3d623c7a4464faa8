//! One request on its way through the shop: what came, when, under which id, and which cookies its answer sets.

use std::cell::{Cell, RefCell};

use bodega_domain::{Timestamp, id::RequestId};
use http::{HeaderMap, Method, StatusCode, header};

use crate::platform::{Platform, REQUEST_ID, Request, setting};

/// Who reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// A program: JSON, and `problem+json` for refusals.
    Json,
    /// A person: HTML.
    Page,
}

/// A request being answered.
pub(crate) struct Visit<'a, P: Platform> {
    pub(crate) platform: &'a P,
    pub(crate) request: &'a Request,
    /// In every log line and header on this request's way.
    pub(crate) id: String,
    pub(crate) now: Timestamp,
    pub(crate) face: Face,
    cookies: Vec<(&'a str, &'a str)>,
    set_cookies: RefCell<Vec<(String, String)>>,
    answer_headers: RefCell<Vec<(&'static str, String)>>,
    core_calls: Cell<u32>,
    cart_forgotten: Cell<bool>,
}

impl<'a, P: Platform> Visit<'a, P> {
    pub(crate) fn new(platform: &'a P, request: &'a Request) -> Self {
        let now_ms = platform.now_ms();
        Self {
            platform,
            request,
            id: request_id(platform, request, now_ms).to_string(),
            now: Timestamp::from_unix_ms(now_ms),
            face: face(request),
            cookies: cookies(&request.headers),
            set_cookies: RefCell::default(),
            answer_headers: RefCell::default(),
            core_calls: Cell::new(0),
            cart_forgotten: Cell::new(false),
        }
    }

    /// `HEAD` is answered like `GET`.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.request.method, Method::GET | Method::HEAD)
    }

    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All values of a cookie: a browser may send an old one of another path beside ours.
    pub(crate) fn cookies<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'a str> + 'v {
        self.cookies.iter().filter(move |(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// Whether any cookie came.
    pub(crate) fn has_cookies(&self) -> bool {
        !self.cookies.is_empty()
    }

    /// A parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.request.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Sets a cookie for the whole shop, out of reach of scripts; it goes with the answer whatever that is.
    pub(crate) fn set_cookie(&self, name: &str, value: &str, max_age_s: i64) {
        let secure = if self.origin().starts_with("https://") { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}");
        let mut set = self.set_cookies.borrow_mut();
        set.retain(|(n, _)| n != name);
        set.push((name.to_owned(), cookie));
    }

    /// Removes a cookie.
    pub(crate) fn drop_cookie(&self, name: &str) {
        self.set_cookie(name, "", 0);
    }

    /// The cookies to be set.
    pub(crate) fn take_set_cookies(&self) -> Vec<String> {
        self.set_cookies.take().into_iter().map(|(_, cookie)| cookie).collect()
    }

    /// A header for the answer, whatever that is.
    pub(crate) fn answer_header(&self, name: &'static str, value: String) {
        let mut headers = self.answer_headers.borrow_mut();
        headers.retain(|(n, _)| *n != name);
        headers.push((name, value));
    }

    /// The headers collected for the answer.
    pub(crate) fn take_answer_headers(&self) -> Vec<(&'static str, String)> {
        self.answer_headers.take()
    }

    /// The origin that shoppers see, without a slash at the end.
    pub(crate) fn origin(&self) -> String {
        match self.platform.config(setting::PUBLIC_ORIGIN) {
            Some(origin) if !origin.is_empty() => origin.trim_end_matches('/').to_owned(),
            _ => format!("http://{}", self.header(header::HOST.as_str()).unwrap_or("localhost")),
        }
    }

    /// So many random bytes.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.platform.random(&mut bytes);
        bytes
    }

    /// The cart that came belongs to a session that has ended: nobody may look into it any more.
    pub(crate) fn forget_cart(&self) {
        self.cart_forgotten.set(true);
    }

    /// Whether the cart that came may not be used.
    pub(crate) fn is_cart_forgotten(&self) -> bool {
        self.cart_forgotten.get()
    }

    /// Counts a question to the core, for the log.
    pub(crate) fn count_core_call(&self) {
        self.core_calls.set(self.core_calls.get().saturating_add(1));
    }

    /// Logs what went wrong, for operators: never personal data, never a token.
    pub(crate) fn warn(&self, what: &str, detail: &str) {
        let line = serde_json::json!({ "level": "warn", "request_id": self.id, "what": what, "detail": detail });
        self.platform.log(&line.to_string());
    }

    /// Logs the answer under the route's pattern: a path may hold a secret.
    pub(crate) fn log_answer(&self, route: &str, status: StatusCode) {
        let line = serde_json::json!({
            "level": "info",
            "request_id": self.id,
            "method": self.request.method.as_str(),
            "route": route,
            "status": status.as_u16(),
            "core_calls": self.core_calls.get(),
            "ms": self.platform.now_ms().saturating_sub(self.now.unix_ms()),
        });
        self.platform.log(&line.to_string());
    }
}

/// The id that the runtime has given the request, so that a fault which it answers itself has the same; else a new one.
fn request_id<P: Platform>(platform: &P, request: &Request, now_ms: i64) -> RequestId {
    let told = request.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    told.and_then(|id| id.parse().ok()).unwrap_or_else(|| {
        let mut random = [0; 10];
        platform.random(&mut random);
        RequestId::new(now_ms, random)
    })
}

fn face(request: &Request) -> Face {
    let path = request.path.as_str();
    let for_programs = ["/api/", "/_edge/", "/media/", "/assets/", "/healthz", "/readyz", "/openapi.json"];
    if for_programs.iter().any(|prefix| path.starts_with(prefix)) || path == "/api" {
        return Face::Json;
    }
    let accept = request.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accept.contains("json") && !accept.contains("text/html") { Face::Json } else { Face::Page }
}

fn cookies(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}
