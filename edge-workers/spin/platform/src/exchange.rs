//! HTTP between WASI and the storefront: whole bodies on both sides.

use std::net::{IpAddr, SocketAddr};

use bodega_domain::Code;
use bodega_domain::id::RequestId;
use bodega_storefront::platform::{CLIENT_ADDRESS, REQUEST_ID, Request, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields};
use spin_sdk::wasip3::{wit_future, wit_stream};
use spin_sdk::wit_bindgen::{self, StreamResult};

use crate::platform::{now_ms, random};

/// Largest body of a request that is read, bytes: more than the storefront takes, so that it refuses one that is cut off here
/// with its own words. The embedded host refuses earlier; Spin knows no such limit.
pub const BODY_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Bytes asked for at once while a body is read.
const READ_BYTES: usize = 64 * 1024;
/// Where Spin and the embedded host put the shopper's address, with or without its port.
const SPIN_CLIENT_ADDRESS: &str = "spin-client-addr";
/// Set where the runtime overwrites `bodega-request-id`, as the embedded host does. Spin leaves a client's own in place.
const NAMES_REQUESTS: &str = "BODEGA_HOST_NAMES_REQUESTS";

/// Reads a whole request. `Err` is an answer that needs no storefront.
pub async fn read(request: types::Request) -> Result<Request, Response> {
    let (method, target, authority) = (request.get_method(), request.get_path_with_query(), request.get_authority());
    let mut headers = header_map(request.get_headers().copy_all());
    if let Some(authority) = authority.and_then(|authority| HeaderValue::from_str(&authority).ok()) {
        headers.entry(header::HOST).or_insert(authority);
    }
    tell_address(&mut headers);
    if std::env::var_os(NAMES_REQUESTS).is_none() {
        headers.remove(REQUEST_ID);
    }

    let method = method_of(method);
    let target = target.unwrap_or_else(|| "/".into());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let body = if may_have_body(&method, &headers) { read_body(request).await } else { Some(Vec::new()) };
    let body = body.ok_or_else(|| broken_off(&request_id(&headers)))?;
    Ok(Request { method, path: path.into(), query: query.into(), headers, body })
}

/// Hands an answer over; its body follows while the component already takes the next request.
pub fn write(response: Response) -> Result<types::Response, ErrorCode> {
    let fields: Vec<_> =
        response.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    let fields = Fields::from_list(&fields).map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    drop(trailers_writer);
    let body = (!response.body.is_empty()).then(|| {
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn(async move {
            // What is left over was not wanted: the reader went away.
            drop(writer.write_all(response.body).await);
        });
        reader
    });
    let (wasi, _sent) = types::Response::new(fields, body, trailers);
    wasi.set_status_code(response.status.as_u16())
        .map_err(|()| ErrorCode::InternalError(Some("the status is not one".into())))?;
    Ok(wasi)
}

/// Tells the shopper's address as the runtime knows it; what a client claims is dropped.
fn tell_address(headers: &mut HeaderMap) {
    headers.remove(CLIENT_ADDRESS);
    let Some(told) = headers.remove(SPIN_CLIENT_ADDRESS) else { return };
    let address = told
        .to_str()
        .ok()
        .and_then(|text| text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse::<IpAddr>()).ok());
    if let Some(address) = address.and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
        headers.insert(CLIENT_ADDRESS, address);
    }
}

fn header_map(fields: Vec<(String, Vec<u8>)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn method_of(method: types::Method) -> Method {
    match method {
        types::Method::Get => Method::GET,
        types::Method::Head => Method::HEAD,
        types::Method::Post => Method::POST,
        types::Method::Put => Method::PUT,
        types::Method::Delete => Method::DELETE,
        types::Method::Options => Method::OPTIONS,
        types::Method::Patch => Method::PATCH,
        types::Method::Connect => Method::CONNECT,
        types::Method::Trace => Method::TRACE,
        // What is no method is refused like one that no address has: with the methods that it has.
        types::Method::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or(Method::TRACE),
    }
}

/// Opening the body costs several calls to the host; a plain GET has none.
fn may_have_body(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.as_bytes() != b"0",
        None => headers.contains_key(header::TRANSFER_ENCODING) || !(method == Method::GET || method == Method::HEAD),
    }
}

/// The body, cut off behind what anybody reads; `None` when it broke off.
async fn read_body(request: types::Request) -> Option<Vec<u8>> {
    let (_result, result) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = types::Request::consume_body(request, result);
    let mut body = Vec::new();
    loop {
        if body.len() == body.capacity() {
            body.reserve(READ_BYTES);
        }
        let (outcome, filled) = stream.read(body).await;
        body = filled;
        if body.len() > BODY_BYTES_MAX {
            return Some(body);
        }
        match outcome {
            StreamResult::Complete(_) => {}
            StreamResult::Dropped | StreamResult::Cancelled => break,
        }
    }
    trailers.await.ok().map(|_| body)
}

/// The runtime's id of the request, or a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    let told = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    told.unwrap_or_else(|| {
        let mut drawn = [0; 10];
        random(&mut drawn);
        RequestId::new(now_ms(), drawn)
    })
}

/// The one answer that needs no storefront: there is no whole request to give it.
fn broken_off(request_id: &RequestId) -> Response {
    let (code, title, detail) = (Code::BadRequest, Code::BadRequest.title(), "The request's body broke off.");
    let status = code.http_status();
    // Nothing in it has to be escaped.
    let body = format!(
        r#"{{"type":"urn:bodega:problem:{code}","title":"{title}","status":{status},"code":"{code}","detail":"{detail}","request_id":"{request_id}"}}"#,
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    Response { status: StatusCode::BAD_REQUEST, headers, body: body.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_broke_off_is_a_problem_with_the_request_s_id() {
        let id = RequestId::from_u128(7);
        let answer = broken_off(&id);
        let body = String::from_utf8(answer.body).expect("text");
        assert!(body.contains(r#""code":"bad_request","#) && body.contains(&id.to_string()), "{body}");
        assert_eq!(answer.headers[REQUEST_ID], id.to_string());
    }

    #[test]
    fn a_name_that_is_no_method_is_left_to_the_storefront_to_refuse() {
        assert_eq!(method_of(types::Method::Other("no method".into())), Method::TRACE);
        assert_eq!(method_of(types::Method::Other("BREW".into())).as_str(), "BREW");
    }
}
