//! Atomic cells: a Durable Object for each, which runs the storefront's merge function itself.

use bodega_storefront::cell::merge;
use bodega_storefront::platform::{CellError, CellKind, MergeRefused};
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::JsCast as _;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{DurableObject, Env, Method, Request, RequestInit, Response, State, Stub, durable_object};

use crate::clock::now_ms;
use crate::settings::binding;

const VALUE: &str = "value";
const TOUCHED_MS: &str = "touched_ms";
/// A cart that nobody has merged for so long is dropped here; the core keeps its own copy.
const CART_IDLE_MS_MAX: i64 = 90 * 24 * 60 * 60 * 1000;

/// The value of a cell.
pub(crate) async fn read(env: &Env, cell: CellKind, key: &str) -> Result<Option<Vec<u8>>, CellError> {
    let request = Request::new(&address(cell), Method::Get).map_err(unavailable)?;
    let mut response = stub(env, cell, key)?.fetch_with_request(request).await.map_err(unavailable)?;
    match response.status_code() {
        200 => response.bytes().await.map(Some).map_err(unavailable),
        204 => Ok(None),
        status => Err(unavailable(format!("status {status}"))),
    }
}

/// Merges `delta` and returns the value after.
pub(crate) async fn merge_into(env: &Env, cell: CellKind, key: &str, delta: &[u8]) -> Result<Vec<u8>, CellError> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(Uint8Array::from(delta).into()));
    let request = Request::new_with_init(&address(cell), &init).map_err(unavailable)?;
    let mut response = stub(env, cell, key)?.fetch_with_request(request).await.map_err(unavailable)?;
    let body = response.bytes().await.map_err(unavailable)?;
    match response.status_code() {
        200 => Ok(body),
        409 => Err(CellError::Refused(MergeRefused(body))),
        status => Err(unavailable(format!("status {status}"))),
    }
}

fn stub(env: &Env, cell: CellKind, key: &str) -> Result<Stub, CellError> {
    let namespace = env.durable_object(binding::CELLS).map_err(unavailable)?;
    namespace.get_by_name(&format!("{}/{key}", cell.name())).map_err(unavailable)
}

fn address(cell: CellKind) -> String {
    format!("https://cell/{}", cell.name())
}

fn unavailable(error: impl std::fmt::Display) -> CellError {
    CellError::Unavailable(error.to_string())
}

/// One cell. The runtime delivers no other event to it while it waits for its storage, and there is no other wait
/// between reading and writing: that is the atomicity.
#[durable_object(alarm)]
pub struct Cell {
    state: State,
}

impl DurableObject for Cell {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let Some(kind) = CellKind::from_name(request.path().trim_start_matches('/')) else {
            return Response::error("no such kind of cell", 404);
        };
        if request.method() != Method::Post {
            return match self.value().await? {
                Some(value) => Response::from_bytes(value),
                None => Ok(Response::empty()?.with_status(204)),
            };
        }
        let delta = request.bytes().await?;
        let current = self.value().await?;
        match merge(kind, current.as_deref(), &delta) {
            Ok(Some(merged)) => {
                self.keep(kind, &merged).await?;
                Response::from_bytes(merged)
            }
            Ok(None) => Response::from_bytes(current.unwrap_or_default()),
            Err(MergeRefused(reason)) => Ok(Response::from_bytes(reason)?.with_status(409)),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let storage = self.state.storage();
        let touched: f64 = storage.get(TOUCHED_MS).await?.unwrap_or_default();
        let idle_ms = now_ms().saturating_sub(from_js(touched));
        if idle_ms >= CART_IDLE_MS_MAX {
            storage.delete_all().await?;
        } else {
            storage.set_alarm(CART_IDLE_MS_MAX.saturating_sub(idle_ms)).await?;
        }
        Response::empty()
    }
}

impl Cell {
    async fn value(&self) -> worker::Result<Option<Vec<u8>>> {
        let value = JsFuture::from(self.state.storage().as_raw().get(VALUE)?).await?;
        Ok(value.dyn_into::<Uint8Array>().ok().map(|bytes| bytes.to_vec()))
    }

    async fn keep(&self, kind: CellKind, merged: &[u8]) -> worker::Result<()> {
        let storage = self.state.storage();
        storage.put_raw(VALUE, Uint8Array::from(merged)).await?;
        if kind == CellKind::Cart {
            storage.put_raw(TOUCHED_MS, to_js(now_ms())).await?;
            if storage.get_alarm().await?.is_none() {
                storage.set_alarm(CART_IDLE_MS_MAX).await?;
            }
        }
        Ok(())
    }
}

/// Milliseconds as JavaScript keeps them: exact until the year 287,396.
#[allow(clippy::cast_precision_loss)]
const fn to_js(ms: i64) -> f64 {
    ms as f64
}

#[allow(clippy::cast_possible_truncation)]
const fn from_js(ms: f64) -> i64 {
    ms as i64
}
