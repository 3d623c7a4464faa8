//! What the storefront asks of its runtime, answered by Cloudflare's.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bodega_storefront::platform::{
    CellError, CellKind, CoreRequest, KvError, LinkError, MediaError, Platform, setting,
};
use worker::{Context, Delay, Env, Fetch, console_log};

use crate::settings::Settings;
use crate::{cell, clock, entropy, kv, link};

/// Largest picture that is read through, as the storefront has it.
const MEDIA_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Cloudflare, for one request.
#[derive(Clone)]
pub(crate) struct CloudflarePlatform {
    env: Env,
    context: Rc<Context>,
    settings: Settings,
}

impl CloudflarePlatform {
    pub(crate) fn new(env: Env, context: Context) -> Self {
        Self { settings: Settings::new(env.clone()), env, context: Rc::new(context) }
    }
}

impl Platform for CloudflarePlatform {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        kv::get(&self.env, key).await
    }

    async fn kv_put(&self, key: &str, value: Vec<u8>) -> Result<(), KvError> {
        kv::put(&self.env, key, &value).await
    }

    async fn kv_delete(&self, key: &str) -> Result<(), KvError> {
        kv::delete(&self.env, key).await
    }

    async fn cell_read(&self, cell: CellKind, key: &str) -> Result<Option<Vec<u8>>, CellError> {
        cell::read(&self.env, cell, key).await
    }

    async fn cell_merge(&self, cell: CellKind, key: &str, delta: Vec<u8>) -> Result<Vec<u8>, CellError> {
        cell::merge_into(&self.env, cell, key, &delta).await
    }

    async fn request(&self, request: CoreRequest<'_>) -> Result<Vec<u8>, LinkError> {
        link::request(&self.env, request).await
    }

    fn now_ms(&self) -> i64 {
        clock::now_ms()
    }

    fn random(&self, bytes: &mut [u8]) {
        entropy::fill(bytes);
    }

    fn config(&self, name: &str) -> Option<String> {
        self.settings.get(name)
    }

    fn log(&self, line: &str) {
        console_log!("{line}");
    }

    async fn fetch_media(&self, name: &str) -> Result<Option<Vec<u8>>, MediaError> {
        let unavailable = |text: String| MediaError::Unavailable(text);
        let origin = self.config(setting::MEDIA_ORIGIN).ok_or_else(|| unavailable("media_origin is not set".into()))?;
        let url =
            worker::Url::parse(&format!("{origin}/media/{name}")).map_err(|error| unavailable(error.to_string()))?;
        let mut response = Fetch::Url(url).send().await.map_err(|error| unavailable(error.to_string()))?;
        match response.status_code() {
            200 => {}
            404 => return Ok(None),
            status => return Err(unavailable(format!("status {status}"))),
        }
        let announced = response.headers().get("content-length").ok().flatten();
        if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > MEDIA_BYTES_MAX) {
            return Err(unavailable("larger than a picture may be".into()));
        }
        let bytes = response.bytes().await.map_err(|error| unavailable(error.to_string()))?;
        if bytes.len() > MEDIA_BYTES_MAX {
            return Err(unavailable("larger than a picture may be".into()));
        }
        Ok(Some(bytes))
    }

    async fn pause(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        self.context.wait_until(work);
    }
}
