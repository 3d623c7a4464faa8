//! The way to the core: NATS over a TCP socket, kept by a Durable Object.
//!
//! On Workers a socket lives as long as the request that opened it. A Durable Object is one context of its own, so one
//! of them keeps the connection and all requests of this edge share it; its outgoing connection keeps it awake.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bodega_storefront::platform::{CoreRequest, LinkError};
use futures::future::{Either, select};
use nats_wire::Headers;
use worker::{Delay, DurableObject, Env, Method, Request, RequestInit, Response, State, console_error, durable_object};

mod connection;
mod frame;

use crate::clock::now_ms;
use crate::settings::{Settings, binding};
use connection::Connection;
use frame::{Frame, STATUS_UNAVAILABLE, STATUS_UNKNOWN};

/// Connecting may take this long at most, whatever time is left: a core that is away is said to be away soon.
const CONNECT_MS_MAX: i64 = 2_000;
/// Largest frame the object reads: the bus takes 1 MiB, and a line of headers before it.
const FRAME_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// Asks a service of the core through the object.
pub(crate) async fn request(env: &Env, request: CoreRequest<'_>) -> Result<Vec<u8>, LinkError> {
    let unavailable = |error: &dyn std::fmt::Display| LinkError::Unavailable(error.to_string());
    let frame = Frame {
        subject: request.subject.to_owned(),
        headers: request.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        deadline_ms: request.deadline_ms,
    };
    let body = frame.encode(request.payload).map_err(|error| unavailable(&error))?;
    let namespace = env.durable_object(binding::CORE_LINK).map_err(|error| unavailable(&error))?;
    let stub = namespace.get_by_name("core").map_err(|error| unavailable(&error))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(worker::js_sys::Uint8Array::from(body.as_slice()).into()));
    let call = Request::new_with_init("https://core-link/", &init).map_err(|error| unavailable(&error))?;

    // The object keeps the deadline itself; should the object be gone, this one holds.
    let left = remaining(request.deadline_ms);
    let answer = async {
        let mut response = stub.fetch_with_request(call).await?;
        Ok::<_, worker::Error>((response.status_code(), response.bytes().await?))
    };
    match select(std::pin::pin!(answer), std::pin::pin!(Delay::from(left + Duration::from_millis(50)))).await {
        Either::Left((Ok((200, payload)), _)) => Ok(payload),
        Either::Left((Ok((STATUS_UNAVAILABLE, text)), _)) => {
            Err(LinkError::Unavailable(String::from_utf8_lossy(&text).into_owned()))
        }
        Either::Left((Ok((_, text)), _)) => Err(LinkError::Unknown(String::from_utf8_lossy(&text).into_owned())),
        Either::Left((Err(error), _)) => Err(LinkError::Unknown(format!("the link object failed: {error}"))),
        Either::Right(_) => Err(LinkError::Unknown("the link object did not answer in time".into())),
    }
}

/// The object that keeps the connection to NATS.
#[durable_object(fetch)]
pub struct CoreLink {
    settings: Settings,
    current: RefCell<Option<Rc<Connection>>>,
}

impl DurableObject for CoreLink {
    fn new(_state: State, env: Env) -> Self {
        Self { settings: Settings::new(env), current: RefCell::new(None) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let bytes = request.bytes().await?;
        let Some((frame, payload)) = Frame::decode(&bytes).filter(|_| bytes.len() <= FRAME_BYTES_MAX) else {
            return answer_with(STATUS_UNAVAILABLE, "not a frame of this worker");
        };
        match self.ask(&frame, payload).await {
            Ok(payload) => Response::from_bytes(payload),
            Err(LinkError::Unavailable(text)) => answer_with(STATUS_UNAVAILABLE, &text),
            Err(LinkError::Unknown(text)) => answer_with(STATUS_UNKNOWN, &text),
        }
    }
}

impl CoreLink {
    async fn ask(&self, frame: &Frame, payload: &[u8]) -> Result<Vec<u8>, LinkError> {
        let mut headers = Headers::new();
        for (name, value) in &frame.headers {
            headers.append(name, value).map_err(|error| LinkError::Unavailable(format!("header {name}: {error}")))?;
        }
        // A connection found dead before a byte of the request left it: one new one is tried.
        for last in [false, true] {
            let (connection, fresh) = self.connection().map_err(LinkError::Unavailable)?;
            let connect_by = frame.deadline_ms.min(now_ms().saturating_add(CONNECT_MS_MAX));
            connection.greeted(connect_by).await.map_err(LinkError::Unavailable)?;
            match connection.request(&frame.subject, &headers, payload, frame.deadline_ms).await {
                Err(LinkError::Unavailable(text)) if connection.is_over() && !fresh && !last => {
                    console_error!("{{\"level\":\"warn\",\"message\":\"link to the core was lost: {text}\"}}");
                }
                outcome => return outcome,
            }
        }
        Err(LinkError::Unavailable("no connection to the core".into()))
    }

    /// The open connection or a new one, which may still be on its way: all who ask meanwhile wait for the same.
    fn connection(&self) -> Result<(Rc<Connection>, bool), String> {
        let mut current = self.current.borrow_mut();
        if let Some(connection) = current.as_ref().filter(|connection| !connection.is_over()) {
            return Ok((Rc::clone(connection), false));
        }
        let connection = Connection::open(&self.settings)?;
        *current = Some(Rc::clone(&connection));
        Ok((connection, true))
    }
}

/// The time left until then; none when it has passed.
fn remaining(deadline_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(deadline_ms.saturating_sub(now_ms())).unwrap_or(0))
}

fn answer_with(status: u16, text: &str) -> worker::Result<Response> {
    Ok(Response::from_bytes(text.as_bytes().to_vec())?.with_status(status))
}
