//! HTTP as the runtime has it, and as the storefront wants it.

use bodega_domain::limits::{EDGE_BODY_BYTES_MAX, REPLICATION_BATCH_BYTES_MAX};
use bodega_storefront::platform::{CLIENT_ADDRESS, REQUEST_ID, Request, Response};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use worker::Headers;

/// Header in which Cloudflare tells the client's address; it drops one that came from outside.
const CONNECTING_IP: &str = "cf-connecting-ip";
/// One byte more than the storefront takes: it refuses such a body with its own words.
const BODY_BYTES_MAX: usize =
    if REPLICATION_BATCH_BYTES_MAX > EDGE_BODY_BYTES_MAX { REPLICATION_BATCH_BYTES_MAX } else { EDGE_BODY_BYTES_MAX }
        + 1;

/// Reads the whole request.
pub(crate) async fn request(mut from: worker::Request) -> worker::Result<Request> {
    let url = from.url()?;
    let method = Method::from_bytes(from.inner().method().as_bytes())
        .map_err(|error| worker::Error::RustError(error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in from.headers().entries() {
        // The runtime has checked them; what http refuses nobody here could read.
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(&latin1(&value))) else {
            continue;
        };
        headers.append(name, value);
    }
    headers.remove(CLIENT_ADDRESS);
    // The runtime names no requests: this one is a client's own.
    headers.remove(REQUEST_ID);
    if let Some(address) = headers.get(CONNECTING_IP).cloned() {
        headers.insert(CLIENT_ADDRESS, address);
    }
    Ok(Request {
        method,
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        headers,
        body: body(&mut from).await?,
    })
}

/// Headers are bytes, which JavaScript shows as one character each.
fn latin1(value: &str) -> Vec<u8> {
    value.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

async fn body(from: &mut worker::Request) -> worker::Result<Vec<u8>> {
    let mut body = Vec::new();
    // A request without body has no stream.
    let Ok(mut stream) = from.stream() else { return Ok(body) };
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk?);
        if body.len() >= BODY_BYTES_MAX {
            body.truncate(BODY_BYTES_MAX);
            break;
        }
    }
    Ok(body)
}

/// Hands the answer to the runtime.
pub(crate) fn response(from: Response) -> worker::Result<worker::Response> {
    let headers = Headers::new();
    for (name, value) in &from.headers {
        let value: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        headers.append(name.as_str(), &value)?;
    }
    let status = from.status.as_u16();
    let builder = worker::Response::builder().with_status(status).with_headers(headers);
    // The runtime refuses a body with these.
    Ok(if matches!(status, 101 | 204 | 205 | 304) { builder.empty() } else { builder.fixed(from.body) })
}
