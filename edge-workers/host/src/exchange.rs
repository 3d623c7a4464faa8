//! One request and its answer: bounds, identity of the request, the component, and what is said when it fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bodega_domain::failure::Code;
use bodega_domain::id::RequestId;
use bodega_domain::time::Timestamp;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Uri};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout_at;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError, ProxyHandler};

use crate::access_log::{AccessLog, Line, loggable};
use crate::guest::Usage;
use crate::metrics::{Metrics, Now};
use crate::problem::Problem;
use crate::room::{NoRoom, Room};
use crate::runtime::{Exhausted, Runtime};
use crate::settings::{Limits, mib};

/// The request's name in every log line from here to SQL. A client's own is overwritten; the component takes this one over,
/// or answers under a name of its own.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("bodega-request-id");
/// The shopper's address for the component, as Spin names it. Never taken from the client.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("spin-client-addr");

/// What every connection needs.
pub(crate) struct Exchange {
    pub(crate) handler: ProxyHandler<Runtime>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    pub(crate) limits: Limits,
    pub(crate) client_address_header: Option<HeaderName>,
    /// Who may be in the component at once.
    pub(crate) room: Room,
    /// Requests outlive their connections: what was begun is finished.
    pub(crate) tasks: TaskTracker,
}

type Answer = http::Response<Full<Bytes>>;

impl Exchange {
    /// Answers one request, whatever happens.
    pub(crate) async fn answer(self: Arc<Self>, request: http::Request<Incoming>, peer: SocketAddr) -> Answer {
        let begun = Instant::now();
        let mut request_id = new_request_id();
        let method = request.method().clone();
        let path = loggable(request.uri().path());
        let usage = Arc::new(Usage::default());

        let work = {
            let exchange = Arc::clone(&self);
            let (usage, request_id) = (Arc::clone(&usage), request_id.clone());
            async move { exchange.attempt(request, peer, begun, &request_id, usage).await }
        };
        // A client that hangs up drops this future, not the task.
        let outcome = self.tasks.spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, request_id, "the host failed on a request");
            Err(Problem::new(Code::EdgeFault))
        });

        let (mut answer, code) = match outcome {
            Ok(answer) => (answer, None),
            Err(problem) => (problem.answer(&request_id), Some(problem.code.as_str())),
        };
        match answer.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()) {
            Some(own) => request_id = own.to_owned(),
            None => insert(answer.headers_mut(), REQUEST_ID, &request_id),
        }
        let took = begun.elapsed();
        let usage = usage.snapshot();
        let status = answer.status().as_u16();
        self.metrics.answered(status, took, &usage);
        self.access_log.line(|| {
            let bytes = answer.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
            Line {
                time: now().to_string(),
                request_id,
                method: method.to_string(),
                path,
                status,
                ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                bytes: if method == Method::HEAD { 0 } else { bytes },
                kv_reads: 0,
                kv_read_bytes: 0,
                kv_writes: 0,
                kv_swaps: 0,
                code,
            }
            .with_usage(&usage)
        });
        answer
    }

    /// What is going on.
    pub(crate) fn now(&self) -> Now {
        Now {
            instances: self.handler.state().live(),
            running: self.limits.instances.saturating_sub(self.room.free()),
            waiting: self.room.waiting(),
        }
    }

    async fn attempt(
        &self,
        request: http::Request<Incoming>,
        peer: SocketAddr,
        begun: Instant,
        request_id: &str,
        usage: Arc<Usage>,
    ) -> Result<Answer, Problem> {
        let due = tokio::time::Instant::from_std(begun + self.limits.request());
        let (mut head, body) = request.into_parts();
        head.uri = absolute(&head.uri, &head.headers)?;
        self.rewrite(&mut head.headers, peer, request_id);

        // The whole body first: a slow sender must not hold an instance.
        let body = timeout_at(due, Limited::new(body, mib(self.limits.body_mib)).collect())
            .await
            .map_err(|_| {
                self.metrics.timed_out();
                Problem::new(Code::BadRequest).detail("the request's body did not arrive in time")
            })?
            .map_err(|error| match error.is::<LengthLimitError>() {
                true => Problem::new(Code::PayloadTooLarge),
                false => Problem::new(Code::BadRequest).detail("the request's body broke off"),
            })?
            .to_bytes();

        let _place = self.room.enter(head.method.is_safe(), due).await.map_err(|NoRoom| {
            self.metrics.refused();
            Problem::new(Code::Overloaded).retry_after(1)
        })?;
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        let answer = timeout_at(due, self.run(usage, http::Request::from_parts(head, body)))
            .await
            .map_err(|_| self.too_late("the component did not answer in time"))?
            .map_err(|error| self.failure(&error, request_id))?;

        // The whole answer before its first byte is sent: a trap in the middle is a problem, not a torn page.
        let (head, body) = answer.into_parts();
        let body = timeout_at(due, Limited::new(body, mib(self.limits.answer_mib)).collect())
            .await
            .map_err(|_| self.too_late("the component did not finish its answer in time"))?
            .map_err(|error| {
                tracing::error!(%error, request_id, "the component did not finish its answer");
                self.metrics.faulted();
                Problem::new(Code::EdgeFault)
            })?
            .to_bytes();
        let mut answer = http::Response::from_parts(head, Full::new(body));
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        Ok(answer)
    }

    /// Hands the request to an instance. Instances that have answered and not returned yet count, so that for a moment
    /// there may be none to have: the request comes back and is handed in again.
    async fn run(
        &self,
        usage: Arc<Usage>,
        mut request: wasmtime_wasi_http::handler::Request,
    ) -> wasmtime::Result<wasmtime_wasi_http::handler::Response> {
        loop {
            let error = match self.handler.handle(Arc::clone(&usage), request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let failed = error.downcast::<InstantiationError<Arc<Usage>>>()?;
            if !failed.error.is::<Exhausted>() {
                return Err(wasmtime::format_err!("{:#}", failed.error));
            }
            request = failed.request.into_inner().map_err(|_| wasmtime::format_err!("the request was lost"))?;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn failure(&self, error: &wasmtime::Error, request_id: &str) -> Problem {
        if error.is::<ExpirationError>() {
            return self.too_late("the component did not answer in time");
        }
        tracing::error!(error = format!("{error:#}"), request_id, "the component failed on a request");
        self.metrics.faulted();
        Problem::new(Code::EdgeFault)
    }

    fn too_late(&self, detail: &'static str) -> Problem {
        self.metrics.timed_out();
        Problem::new(Code::EdgeFault).detail(detail)
    }

    /// Sets what the component may believe, and removes what only the host may say.
    fn rewrite(&self, headers: &mut HeaderMap, peer: SocketAddr, request_id: &str) {
        let forwarded = self.client_address_header.as_ref().and_then(|name| {
            let last = headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
            last.parse().ok().or_else(|| last.parse().ok().map(|address: SocketAddr| address.ip()))
        });
        let address = forwarded.unwrap_or(peer.ip());
        insert(headers, CLIENT_ADDRESS, &address.to_string());
        insert(headers, REQUEST_ID, request_id);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn new_request_id() -> String {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    let mut random = [0; 10];
    random.copy_from_slice(&bytes[6..]);
    RequestId::new(now().unix_ms(), random).to_string()
}

/// The component is told scheme and authority beside the path, as if it had been asked with an absolute address.
fn absolute(uri: &Uri, headers: &HeaderMap) -> Result<Uri, Problem> {
    let authority: Authority = match (uri.authority(), headers.get(header::HOST)) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => host
            .as_bytes()
            .try_into()
            .map_err(|_| Problem::new(Code::BadRequest).detail("the Host header is not a host"))?,
        (None, None) => return Err(Problem::new(Code::BadRequest).detail("a Host header is needed")),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with('/') {
        return Err(Problem::new(Code::BadRequest).detail("the path must begin with `/`"));
    }
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| Problem::new(Code::BadRequest))
}

/// The time, for logs.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An answer for operators.
pub(crate) fn plain(status: StatusCode, text: String) -> Answer {
    let mut answer = http::Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
