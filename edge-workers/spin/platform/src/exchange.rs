//! HTTP between WASI and the storefront: whole bodies on both sides.

use std::net::{IpAddr, SocketAddr};

use bodega_storefront::platform::{CLIENT_ADDRESS, Request, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields};
use spin_sdk::wasip3::{wit_future, wit_stream};
use spin_sdk::wit_bindgen::{self, StreamResult};

/// Largest body of a request, bytes. The embedded host refuses earlier; Spin knows no such limit.
pub const BODY_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Bytes asked for at once while a body is read.
const READ_BYTES: usize = 64 * 1024;
/// Where Spin and the embedded host put the shopper's address, with or without its port.
const SPIN_CLIENT_ADDRESS: &str = "spin-client-addr";

/// Reads a whole request. `Err` is an answer that needs no storefront.
pub async fn read(request: types::Request) -> Result<Request, Response> {
    let (method, target, authority) = (request.get_method(), request.get_path_with_query(), request.get_authority());
    let mut headers = header_map(request.get_headers().copy_all());
    if let Some(authority) = authority.and_then(|authority| HeaderValue::from_str(&authority).ok()) {
        headers.entry(header::HOST).or_insert(authority);
    }
    tell_address(&mut headers);

    let method = method_of(method).ok_or_else(|| bare(StatusCode::METHOD_NOT_ALLOWED))?;
    let target = target.unwrap_or_else(|| "/".into());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let body = if may_have_body(&method, &headers) { read_body(request).await? } else { Vec::new() };
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

fn method_of(method: types::Method) -> Option<Method> {
    Some(match method {
        types::Method::Get => Method::GET,
        types::Method::Head => Method::HEAD,
        types::Method::Post => Method::POST,
        types::Method::Put => Method::PUT,
        types::Method::Delete => Method::DELETE,
        types::Method::Options => Method::OPTIONS,
        types::Method::Patch => Method::PATCH,
        types::Method::Connect => Method::CONNECT,
        types::Method::Trace => Method::TRACE,
        types::Method::Other(name) => Method::from_bytes(name.as_bytes()).ok()?,
    })
}

/// Opening the body costs several calls to the host; a plain GET has none.
fn may_have_body(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.as_bytes() != b"0",
        None => headers.contains_key(header::TRANSFER_ENCODING) || !(method == Method::GET || method == Method::HEAD),
    }
}

async fn read_body(request: types::Request) -> Result<Vec<u8>, Response> {
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
            return Err(bare(StatusCode::PAYLOAD_TOO_LARGE));
        }
        match outcome {
            StreamResult::Complete(_) => {}
            StreamResult::Dropped | StreamResult::Cancelled => break,
        }
    }
    trailers.await.map_err(|_| bare(StatusCode::BAD_REQUEST))?;
    Ok(body)
}

/// What is said before the storefront could be asked.
fn bare(status: StatusCode) -> Response {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        _ => "malformed_body",
    };
    let title = status.canonical_reason().unwrap_or("Refused");
    let body = format!(
        r#"{{"type":"urn:bodega:problem:{code}","title":"{title}","status":{},"code":"{code}","detail":"{title}"}}"#,
        status.as_u16()
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response { status, headers, body: body.into_bytes() }
}
