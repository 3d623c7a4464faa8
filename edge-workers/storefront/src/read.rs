//! What a request brings, parsed once at the border: strict JSON with pointers, forms that came from this shop.

use bodega_domain::{Code, Failure, failure::Validation, limits::IDEMPOTENCY_KEY_BYTES_MAX};
use http::header;
use serde::de::DeserializeOwned;

use crate::{platform::Platform, visit::Visit};

/// A body of JSON. What is not JSON at all is `malformed_body`; a wrong, missing or unknown member is named.
pub(crate) fn json<P: Platform, T: DeserializeOwned>(visit: &Visit<'_, P>) -> Result<T, Failure> {
    same_origin_if_told(visit)?;
    let content_type = visit.header(header::CONTENT_TYPE.as_str()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json")
        || media_type.get(media_type.len().saturating_sub(5)..).is_some_and(|tail| tail.eq_ignore_ascii_case("+json"));
    if !is_json {
        return Err(Failure::new(Code::UnsupportedMediaType, "Send `Content-Type: application/json`."));
    }
    parse(&visit.request.body)
}

/// The same without a request around it.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let cause = error.into_inner();
        if cause.is_data() {
            let mut v = Validation::new();
            v.wrong(pointer, "invalid", plain(&cause.to_string()));
            v.finish().err().unwrap_or_else(|| Code::ValidationFailed.into())
        } else {
            Failure::new(Code::MalformedBody, "The body is not valid JSON.")
        }
    })?;
    deserializer.end().map_err(|_| Failure::new(Code::MalformedBody, "There is something after the JSON."))?;
    Ok(value)
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |mut pointer, segment| {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
        pointer
    })
}

/// Without the position, which counts bytes and helps nobody.
fn plain(message: &str) -> String {
    let text = message.split(" at line ").next().unwrap_or(message);
    text.chars().take(200).collect()
}

/// A browser tells where a request began; scripts of another site may not use this shop's cookies.
pub(crate) fn same_origin_if_told<P: Platform>(visit: &Visit<'_, P>) -> Result<(), Failure> {
    match visit.header(header::ORIGIN.as_str()) {
        Some(origin) if !is_ours(visit, origin) => Err(Code::OriginForbidden.into()),
        _ => Ok(()),
    }
}

fn is_ours<P: Platform>(visit: &Visit<'_, P>, origin: &str) -> bool {
    if origin.eq_ignore_ascii_case(&visit.origin()) {
        return true;
    }
    // Behind a proxy, or under another name of the same machine: the host that the browser itself asked for.
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    !host.is_empty() && visit.header(header::HOST.as_str()).is_some_and(|ours| ours.eq_ignore_ascii_case(host))
}

/// The fields of a form.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// A field's first value, trimmed; empty when it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// A field exactly as it was typed: for passwords.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// A field that may be left empty.
    pub(crate) fn optional(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// All fields in the order of the form.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A form that a page of this shop sent: the browser's `Origin` says so, or for old ones `Referer`.
pub(crate) fn form<P: Platform>(visit: &Visit<'_, P>) -> Result<Form, Failure> {
    let from_here = match (visit.header("origin"), visit.header("sec-fetch-site"), visit.header("referer")) {
        (Some(origin), _, _) => is_ours(visit, origin),
        (None, Some(site), _) => site == "same-origin",
        (None, None, Some(referer)) => is_ours(visit, &referer.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")),
        (None, None, None) => false,
    };
    if !from_here {
        return Err(Failure::new(Code::OriginForbidden, "The form did not come from a page of this shop."));
    }
    let content_type = visit.header(header::CONTENT_TYPE.as_str()).unwrap_or("");
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return Err(Failure::new(Code::UnsupportedMediaType, "Forms are sent as application/x-www-form-urlencoded."));
    }
    Ok(Form(form_urlencoded::parse(&visit.request.body).into_owned().collect()))
}

/// The `Idempotency-Key`, if one came.
pub(crate) fn idempotency_key<P: Platform>(visit: &Visit<'_, P>) -> Result<Option<String>, Failure> {
    match visit.request.headers.get("idempotency-key") {
        None => Ok(None),
        Some(value) => checked_key(value.to_str().unwrap_or("\u{0}")).map(Some),
    }
}

/// The `Idempotency-Key` where nothing is done without one.
pub(crate) fn required_idempotency_key<P: Platform>(visit: &Visit<'_, P>) -> Result<String, Failure> {
    idempotency_key(visit)?.ok_or_else(|| Code::IdempotencyKeyMissing.into())
}

/// A key as it came in a header, a form or a path.
pub(crate) fn checked_key(key: &str) -> Result<String, Failure> {
    let key = key.trim();
    if key.is_empty() {
        return Err(Code::IdempotencyKeyMissing.into());
    }
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::new(
            Code::BadRequest,
            "An Idempotency-Key has 1 to 128 visible ASCII characters without spaces.",
        ));
    }
    Ok(key.to_owned())
}

/// A whole number of the query within bounds.
pub(crate) fn query_number<P: Platform>(
    visit: &Visit<'_, P>,
    name: &str,
    bounds: std::ops::RangeInclusive<u32>,
) -> Result<Option<u32>, Failure> {
    let Some(text) = visit.query(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse::<u32>().ok().filter(|number| bounds.contains(number)).map(Some).ok_or_else(|| {
        Failure::new(
            Code::BadRequest,
            format!("`{name}` is a whole number from {} to {}.", bounds.start(), bounds.end()),
        )
    })
}
