//! What a form brings: fields of text and perhaps a file.

use std::collections::{BTreeMap, HashMap};

use axum::{
    extract::{Form as UrlEncoded, FromRequest as _, Multipart, Request},
    http::{HeaderMap, header},
};
use bodega_domain::{
    Code, Failure,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, PLUGIN_BYTES_MAX},
};
use bytes::Bytes;

/// Fields of one form; more than anybody's page has.
const FIELDS_MAX: usize = 2_000;

/// A form that was sent.
#[derive(Default)]
pub(crate) struct Form {
    fields: HashMap<String, String>,
    file: Option<Bytes>,
}

impl Form {
    pub(crate) async fn of(request: Request) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut form = Self::default();
        if kind.starts_with("multipart/form-data") {
            let mut parts = Multipart::from_request(request, &()).await.map_err(|_| unreadable())?;
            while let Some(part) = parts.next_field().await.map_err(|error| of_status(error.status().as_u16()))? {
                let name = part.name().unwrap_or_default().to_owned();
                if form.fields.len() >= FIELDS_MAX {
                    return Err(Code::PayloadTooLarge.into());
                }
                if part.file_name().is_some() {
                    let bytes = part.bytes().await.map_err(|error| of_status(error.status().as_u16()))?;
                    if bytes.len() > PLUGIN_BYTES_MAX {
                        return Err(Code::PayloadTooLarge.into());
                    }
                    form.file = Some(bytes).filter(|bytes| !bytes.is_empty());
                } else {
                    form.fields.insert(name, part.text().await.map_err(|error| of_status(error.status().as_u16()))?);
                }
            }
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            let sent = UrlEncoded::<Vec<(String, String)>>::from_request(request, &()).await;
            let UrlEncoded(fields) = sent.map_err(|error| of_status(error.status().as_u16()))?;
            if fields.len() > FIELDS_MAX {
                return Err(Code::PayloadTooLarge.into());
            }
            form.fields = fields.into_iter().collect();
        } else {
            return Err(Code::UnsupportedMediaType.into());
        }
        // No field of any page may hold it, and databases refuse it with a fault instead of an answer.
        if form.fields.values().any(|value| value.contains('\0')) {
            return Err(Failure::new(Code::ValidationFailed, "The text holds a character that cannot be stored."));
        }
        Ok(form)
    }

    /// A field's text; what is absent is empty.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A field's text without blanks around it, unless that is empty.
    pub(crate) fn given(&self, name: &str) -> Option<String> {
        Some(self.text(name).trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The key that the form was made with.
    pub(crate) fn key(&self) -> Result<String, Failure> {
        let key = self.text("key");
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(wrong("key", "The form has no usable key. Open the page again."));
        }
        Ok(key.to_owned())
    }

    /// The numbers in the fields `of.SKU`, by SKU; an empty field and 0 are none. Sorted, because the same form has to say
    /// the same when it is sent twice.
    pub(crate) fn pieces(&self, of: &str) -> Result<BTreeMap<String, u32>, Failure> {
        let mut pieces = BTreeMap::new();
        for (name, text) in &self.fields {
            let Some(sku) = name.strip_prefix(of).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let count = match text.trim() {
                "" => 0,
                text => text.parse().map_err(|_| wrong(name, "A whole number of pieces."))?,
            };
            if count > 0 {
                pieces.insert(sku.to_owned(), count);
            }
        }
        Ok(pieces)
    }

    pub(crate) fn file(&self) -> Option<&Bytes> {
        self.file.as_ref()
    }

    /// A field that is an id or a number.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<T, Failure> {
        self.text(name).trim().parse().map_err(|_| wrong(name, expected))
    }

    /// A field that is a JSON object; empty is an empty one.
    pub(crate) fn json(&self, name: &str) -> Result<serde_json::Value, Failure> {
        let text = self.text(name).trim();
        if text.is_empty() {
            return Ok(serde_json::Value::Object(serde_json::Map::new()));
        }
        serde_json::from_str(text).map_err(|error| wrong(name, &format!("is not JSON: {error}")))
    }
}

/// A field that is not what it should be.
pub(crate) fn wrong(name: &str, expected: &str) -> Failure {
    Failure::new(Code::ValidationFailed, "The form is not complete or not right.").field(
        format!("/{name}"),
        "invalid",
        expected,
    )
}

fn unreadable() -> Failure {
    Failure::new(Code::MalformedBody, "The form could not be read.")
}

fn of_status(status: u16) -> Failure {
    if status == 413 { Code::PayloadTooLarge.into() } else { unreadable() }
}

/// Whether a form was sent from a page of this very host: browsers say so in `Origin`, or else in `Sec-Fetch-Site`.
/// What says neither is not a browser that a form could have been sent with.
pub(crate) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
        }
        (Some(_), None) => false,
        (None, _) => text("sec-fetch-site") == Some("same-origin"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn pieces_are_read_by_sku_and_none_are_left_out() {
        let form = |fields: &[(&str, &str)]| Form {
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            file: None,
        };
        let sent = form(&[("send.B.2", " 3 "), ("send.A", "1"), ("send.C", "0"), ("send.D", ""), ("sender.E", "5")]);
        let pieces: Vec<_> = sent.pieces("send").unwrap().into_iter().collect();
        assert_eq!(pieces, [("A".to_owned(), 1), ("B.2".to_owned(), 3)]);
        for number in ["-1", "1.5", "many", "4294967296"] {
            let failure = form(&[("send.A", number)]).pieces("send").unwrap_err();
            assert_eq!(failure.fields[0].pointer, "/send.A", "{number}");
        }
    }

    #[test]
    fn only_forms_of_this_host_are_from_here() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            is_from_here(&headers.collect())
        };
        let host = ("host", "shop.example:8090");
        assert!(from(&[host, ("origin", "http://shop.example:8090")]));
        assert!(from(&[host, ("origin", "https://shop.example:8090")]));
        assert!(from(&[host, ("sec-fetch-site", "same-origin")]));
        for origin in
            ["null", "http://shop.example", "http://evil.example", "http://shop.example:8090.evil.example", ""]
        {
            assert!(!is_from_here(&HeaderMap::from_iter([
                (header::HOST, HeaderValue::from_static("shop.example:8090")),
                (header::ORIGIN, HeaderValue::from_static(origin)),
            ])));
        }
        assert!(!from(&[host]));
        assert!(!from(&[host, ("sec-fetch-site", "same-site")]));
        assert!(!from(&[host, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")]));
    }
}
