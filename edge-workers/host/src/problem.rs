//! What the host says itself, as `application/problem+json`.

use bodega_domain::failure::Code;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

/// A refusal or fault of the host.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    detail: &'static str,
    retry_after_s: Option<u32>,
}

impl Problem {
    pub(crate) fn new(code: Code) -> Self {
        Self { code, detail: code.title(), retry_after_s: None }
    }

    pub(crate) fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// As a client sees it.
    pub(crate) fn answer(&self, request_id: &str) -> Response<Full<Bytes>> {
        let status = self.code.http_status();
        let body = serde_json::json!({
            "type": format!("urn:bodega:problem:{}", self.code.as_str()),
            "title": self.code.title(),
            "status": status,
            "code": self.code.as_str(),
            "detail": self.detail,
            "request_id": request_id,
        });
        let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}
