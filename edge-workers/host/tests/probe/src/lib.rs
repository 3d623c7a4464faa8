//! A component for the tests of the embedded host: each route tries one thing, through the same platform as the shop.

use bodega_spin_platform::{SpinPlatform, exchange};
use bodega_storefront::platform::{
    CellError, CellKind, CoreRequest, LinkError, MergeRefused, Platform, Request, Response, setting,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types;

struct Probe;

spin_sdk::wasip3::http::service::export!(Probe);

impl Guest for Probe {
    async fn handle(request: types::Request) -> Result<types::Response, types::ErrorCode> {
        let answer = match exchange::read(request).await {
            Ok(request) => answer(request).await,
            Err(answer) => answer,
        };
        exchange::write(answer)
    }
}

/// A cell of the probe is a decimal number, a delta is added; `no` is refused, `0` changes nothing.
fn merge(_: CellKind, current: Option<&[u8]>, delta: &[u8]) -> Result<Option<Vec<u8>>, MergeRefused> {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
    let added = number(delta).ok_or_else(|| MergeRefused(b"not a number".to_vec()))?;
    let sum = current.and_then(number).unwrap_or(0) + added;
    Ok((added != 0).then(|| sum.to_string().into_bytes()))
}

async fn answer(request: Request) -> Response {
    let platform = SpinPlatform::new(merge).await;
    let (route, rest) = request.path.trim_start_matches('/').split_once('/').unwrap_or((&request.path[1..], ""));
    match (route, &request.method) {
        ("", _) => page("hello"),
        ("echo", _) => bytes(StatusCode::OK, request.body),
        ("header", _) => match request.headers.get(rest) {
            Some(value) => bytes(StatusCode::OK, value.as_bytes().to_vec()),
            None => text(StatusCode::NOT_FOUND, "absent"),
        },
        ("edge", _) => page(&platform.config(setting::EDGE_ID).unwrap_or_default()),
        ("random", _) => {
            let mut drawn = [0; 16];
            platform.random(&mut drawn);
            bytes(StatusCode::OK, drawn.to_vec())
        }
        ("now", _) => page(&platform.now_ms().to_string()),
        ("log", _) => {
            platform.log(&String::from_utf8_lossy(&request.body));
            page("logged")
        }
        ("kv", &Method::PUT) => outcome(platform.kv_put(rest, request.body).await.map(|()| None)),
        ("kv", &Method::DELETE) => outcome(platform.kv_delete(rest).await.map(|()| None)),
        ("kv", _) => outcome(platform.kv_get(rest).await),
        ("denied", _) => match spin_sdk::key_value::Store::open(rest).await {
            Ok(_) => page("opened"),
            Err(error) => text(StatusCode::FORBIDDEN, &error.to_string()),
        },
        ("cell", &Method::POST) => match platform.cell_merge(CellKind::Cart, rest, request.body).await {
            Err(CellError::Refused(why)) => bytes(StatusCode::CONFLICT, why.0),
            merged => outcome(merged.map(Some)),
        },
        ("cell", _) => outcome(platform.cell_read(CellKind::Cart, rest).await),
        ("ask", _) => ask(&platform, rest, &request).await,
        ("defer", _) => {
            let later = platform.clone();
            let key = rest.to_owned();
            let wait = request.query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or(50);
            platform.defer(async move {
                later.pause(wait).await;
                if let Err(error) = later.kv_put(&key, b"deferred".to_vec()).await {
                    later.log(&error.to_string());
                }
            });
            page("answered")
        }
        ("panic", _) => panic!("planted"),
        ("spin", _) => spin(),
        ("eat", _) => eat(),
        ("take", _) => {
            let taken = std::hint::black_box(vec![1u8; rest.parse::<usize>().unwrap_or(0) << 20]);
            page(&taken.len().to_string())
        }
        ("pause", _) => {
            platform.pause(rest.parse().unwrap_or(0)).await;
            page("paused")
        }
        ("large", _) => bytes(StatusCode::OK, vec![b'x'; rest.parse().unwrap_or(0)]),
        ("connect", _) => connect(rest).await,
        ("media", _) => match platform.fetch_media(rest).await {
            Ok(Some(picture)) => bytes(StatusCode::OK, picture),
            Ok(None) => text(StatusCode::NOT_FOUND, "no picture"),
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.to_string()),
        },
        ("out", _) => match spin_sdk::http::get(format!("http://{rest}")).await {
            Ok(answer) => page(answer.status().as_str()),
            Err(error) => text(StatusCode::FORBIDDEN, &error.to_string()),
        },
        _ => text(StatusCode::NOT_FOUND, "no such probe"),
    }
}

async fn ask(platform: &SpinPlatform, subject: &str, request: &Request) -> Response {
    let wait = request.query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or(2_000);
    let asked = CoreRequest {
        subject,
        headers: &[("Bodega-Request-Id", "req_probe")],
        payload: &request.body,
        deadline_ms: platform.now_ms() + wait,
    };
    match platform.request(asked).await {
        Ok(reply) => bytes(StatusCode::OK, reply),
        Err(LinkError::Unavailable(why)) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        Err(LinkError::Unknown(why)) => text(StatusCode::ACCEPTED, &why),
    }
}

/// Computes without end.
fn spin() -> Response {
    let mut count = 0u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

/// Takes memory until there is none.
fn eat() -> Response {
    let mut eaten = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

async fn connect(address: &str) -> Response {
    use spin_sdk::wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
    let Ok(std::net::SocketAddr::V4(address)) = address.parse() else {
        return text(StatusCode::BAD_REQUEST, "an address is needed");
    };
    let remote =
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: address.ip().octets().into() });
    let connected = match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(socket) => socket.connect(remote).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(()) => page("connected"),
        Err(error) => text(StatusCode::FORBIDDEN, &format!("{error:?}")),
    }
}

fn outcome<E: std::fmt::Display>(result: Result<Option<Vec<u8>>, E>) -> Response {
    match result {
        Ok(Some(value)) => bytes(StatusCode::OK, value),
        Ok(None) => text(StatusCode::NOT_FOUND, ""),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn page(body: &str) -> Response {
    text(StatusCode::OK, body)
}

fn text(status: StatusCode, body: &str) -> Response {
    bytes(status, body.as_bytes().to_vec())
}

fn bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Response { status, headers, body }
}
