//! The one origin from which pictures are read through: `GET /media/…` of the gateway, over plain HTTP.
//!
//! An edge stands beside its core or behind a tunnel; where it does not, a proxy on the same machine adds TLS.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, Uri};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{Error, WasiBody};

/// Port of HTTP.
const HTTP_PORT: u16 = 80;
/// Largest answer, bytes: the storefront takes pictures up to 2 MiB.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What is read through, and nothing else of the gateway.
const MEDIA_PATH: &str = "/media/";

/// Why `media_origin` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`media_origin` must be http://HOST[:PORT], not `{0}`")]
pub(crate) struct OriginError(String);

/// Host and port of the gateway.
#[derive(Debug)]
pub(crate) struct MediaOrigin(Authority);

impl MediaOrigin {
    /// Parses `http://host:port`.
    pub(crate) fn parse(origin: &str) -> Result<Self, OriginError> {
        let wrong = || OriginError(origin.to_owned());
        let uri: Uri = origin.parse().map_err(|_| wrong())?;
        match (uri.scheme_str(), uri.authority(), uri.path()) {
            (Some("http"), Some(authority), "/" | "") if !authority.as_str().contains('@') => {
                Ok(Self(authority.clone()))
            }
            _ => Err(wrong()),
        }
    }

    /// Whether the component may ask this.
    pub(crate) fn serves<B>(&self, request: &Request<B>) -> bool {
        let uri = request.uri();
        request.method() == Method::GET
            && uri.scheme_str() == Some("http")
            && uri.authority() == Some(&self.0)
            && uri.path().starts_with(MEDIA_PATH)
            && !uri.path().contains("..")
            && uri.query().is_none()
    }

    /// Reads one picture. The component's own time limit bounds it.
    pub(crate) async fn fetch(&self, path: &str) -> Result<http::Response<WasiBody>, Error> {
        let address = (self.0.host(), self.0.port_u16().unwrap_or(HTTP_PORT));
        let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer: each picture is read through once and kept.
        tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
        let host = HeaderValue::from_str(self.0.as_str()).map_err(|_| Error::HttpRequestUriInvalid)?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        let (mut head, body) = sender.send_request(request).await?.into_parts();
        head.headers.remove(header::CONNECTION);
        let body = Limited::new(body, ANSWER_BYTES_MAX).map_err(|_| Error::HttpResponseBodySize(None)).boxed_unsync();
        Ok(http::Response::from_parts(head, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_of_the_one_origin_are_read_through() {
        let origin = MediaOrigin::parse("http://127.0.0.1:8090").expect("parses");
        let asks =
            |method: Method, uri: &str| origin.serves(&Request::builder().method(method).uri(uri).body(()).unwrap());
        assert!(asks(Method::GET, "http://127.0.0.1:8090/media/ab.png"));
        assert!(!asks(Method::POST, "http://127.0.0.1:8090/media/ab.png"));
        assert!(!asks(Method::GET, "http://127.0.0.1:8090/api/v1/orders"));
        assert!(!asks(Method::GET, "http://127.0.0.1:8090/media/ab.png?x=1"));
        assert!(!asks(Method::GET, "http://127.0.0.1:5432/media/ab.png"));
        assert!(!asks(Method::GET, "http://example.com/media/ab.png"));
        for wrong in ["https://h", "h:1", "http://u:p@h", "http://h/path", ""] {
            assert!(MediaOrigin::parse(wrong).is_err(), "{wrong}");
        }
    }
}
