//! What the storefront asks of its runtime, answered by Spin's and WASI's interfaces.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bodega_storefront::platform::{
    CellError, CellKind, CoreRequest, KvError, LinkError, MediaError, Merge, Platform, setting,
};
use spin_sdk::experimental::wasi::keyvalue::atomics::{self, Cas, CasError};
use spin_sdk::experimental::wasi::keyvalue::store::{self as keyvalue, Bucket};
use spin_sdk::key_value::{self, Store};
use spin_sdk::wasip3::random::random::get_random_bytes;

use crate::link;
use crate::media;
use crate::settings::Settings;
use crate::time_limit::within;

/// Store of the catalogue, flags and the deny list.
const KV_STORE: &str = "default";
/// Store of the atomic cells.
const CELL_STORE: &str = "cells";
/// Attempts of compare-and-swap before a cell counts as contended. One of all contenders wins each round, so that even
/// 32 of them at once lose as often as this once in 10¹⁴ merges; the request's time limit is the real end.
const SWAP_ATTEMPTS_MAX: usize = 1_024;
/// What deferred work may take: shorter than a runtime's patience with an instance that has answered.
const DEFERRED_MAX: Duration = Duration::from_secs(4);

thread_local! {
    /// Handles outlive requests: opening costs a call to the host.
    static SETTINGS: OnceCell<Rc<Settings>> = const { OnceCell::new() };
    static STORE: OnceCell<Rc<Store>> = const { OnceCell::new() };
    static CELLS: RefCell<HashMap<&'static str, Rc<Bucket>>> = RefCell::new(HashMap::new());
}

/// Spin, or the embedded host.
#[derive(Clone)]
pub struct SpinPlatform {
    settings: Rc<Settings>,
    merge: Merge,
}

impl SpinPlatform {
    /// A handle for one request. `merge` is the storefront's; the first call of an instance reads the settings.
    pub async fn new(merge: Merge) -> Self {
        let settings = match SETTINGS.with(|settings| settings.get().cloned()) {
            Some(settings) => settings,
            None => {
                let read = Settings::read().await;
                SETTINGS.with(|settings| Rc::clone(settings.get_or_init(|| read)))
            }
        };
        Self { settings, merge }
    }
}

async fn store() -> Result<Rc<Store>, KvError> {
    if let Some(store) = STORE.with(|store| store.get().cloned()) {
        return Ok(store);
    }
    let opened = Rc::new(Store::open(KV_STORE).await.map_err(kv_error)?);
    Ok(STORE.with(|store| Rc::clone(store.get_or_init(|| opened))))
}

fn cells() -> Result<Rc<Bucket>, CellError> {
    CELLS.with_borrow_mut(|cells| match cells.get(CELL_STORE) {
        Some(bucket) => Ok(Rc::clone(bucket)),
        None => {
            let bucket = Rc::new(keyvalue::open(CELL_STORE).map_err(cell_error)?);
            cells.insert(CELL_STORE, Rc::clone(&bucket));
            Ok(bucket)
        }
    })
}

fn cell_key(cell: CellKind, key: &str) -> String {
    format!("{}/{key}", cell.name())
}

fn kv_error(error: key_value::Error) -> KvError {
    match error {
        key_value::Error::AccessDenied | key_value::Error::NoSuchStore => KvError::Denied,
        other => KvError::Unavailable(other.to_string()),
    }
}

fn cell_error(error: keyvalue::Error) -> CellError {
    CellError::Unavailable(error.to_string())
}

impl Platform for SpinPlatform {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        store().await?.get(key).await.map_err(kv_error)
    }

    async fn kv_put(&self, key: &str, value: Vec<u8>) -> Result<(), KvError> {
        store().await?.set(key, value).await.map_err(kv_error)
    }

    async fn kv_delete(&self, key: &str) -> Result<(), KvError> {
        store().await?.delete(key).await.map_err(kv_error)
    }

    async fn cell_read(&self, cell: CellKind, key: &str) -> Result<Option<Vec<u8>>, CellError> {
        cells()?.get(&cell_key(cell, key)).map_err(cell_error)
    }

    async fn cell_merge(&self, cell: CellKind, key: &str, delta: Vec<u8>) -> Result<Vec<u8>, CellError> {
        let bucket = cells()?;
        let mut cas = Cas::new(&bucket, &cell_key(cell, key)).map_err(cell_error)?;
        for _ in 0..SWAP_ATTEMPTS_MAX {
            let current = cas.current().map_err(cell_error)?;
            let Some(merged) = (self.merge)(cell, current.as_deref(), &delta)? else {
                return Ok(current.unwrap_or_default());
            };
            cas = match atomics::swap(cas, &merged) {
                Ok(()) => return Ok(merged),
                Err(CasError::CasFailed(newer)) => newer,
                Err(CasError::StoreError(error)) => return Err(cell_error(error)),
            };
        }
        Err(CellError::Contended)
    }

    async fn request(&self, request: CoreRequest<'_>) -> Result<Vec<u8>, LinkError> {
        link::request(&self.settings, request, self.now_ms()).await
    }

    fn now_ms(&self) -> i64 {
        now_ms()
    }

    fn random(&self, bytes: &mut [u8]) {
        random(bytes);
    }

    fn config(&self, name: &str) -> Option<String> {
        self.settings.get(name).map(str::to_owned)
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }

    async fn fetch_media(&self, name: &str) -> Result<Option<Vec<u8>>, MediaError> {
        let origin = self.settings.get(setting::MEDIA_ORIGIN);
        media::fetch(origin.ok_or_else(|| MediaError::Unavailable("media_origin is not set".into()))?, name).await
    }

    async fn pause(&self, ms: u64) {
        spin_sdk::time::sleep(Duration::from_millis(ms)).await;
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        spin_sdk::wit_bindgen::spawn(async move {
            within(DEFERRED_MAX, work).await;
        });
    }
}

/// The time, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Fills `bytes` from the host's secure source.
pub(crate) fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    // The interface may give fewer bytes than asked for.
    while filled < bytes.len() {
        let wanted = bytes.len() - filled;
        let drawn = get_random_bytes(u64::try_from(wanted).unwrap_or(u64::MAX));
        let taken = drawn.len().min(wanted);
        bytes[filled..filled + taken].copy_from_slice(&drawn[..taken]);
        filled += taken;
    }
}
