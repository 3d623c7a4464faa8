//! Pictures, read through from the gateway of the core.

use std::time::Duration;

use bodega_storefront::platform::MediaError;
use http::StatusCode;
use spin_sdk::http::body::IncomingBodyExt;

use crate::time_limit::within;

/// Largest picture, bytes.
const PICTURE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a picture may take: a page shows without it.
const FETCH_MAX: Duration = Duration::from_secs(3);

/// Reads `/media/{name}` from `origin`; `None` when there is no such picture.
pub(crate) async fn fetch(origin: &str, name: &str) -> Result<Option<Vec<u8>>, MediaError> {
    let address = format!("{}/media/{name}", origin.trim_end_matches('/'));
    within(FETCH_MAX, read(&address))
        .await
        .unwrap_or_else(|| Err(MediaError::Unavailable(format!("{address}: too slow"))))
}

async fn read(address: &str) -> Result<Option<Vec<u8>>, MediaError> {
    let unavailable = |error: String| MediaError::Unavailable(format!("{address}: {error}"));
    let answer = spin_sdk::http::get(address).await.map_err(|error| unavailable(error.to_string()))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        other => return Err(unavailable(other.to_string())),
    }
    let bytes = answer.into_body().bytes().await.map_err(|error| unavailable(error.to_string()))?;
    if bytes.len() > PICTURE_BYTES_MAX {
        return Err(unavailable("too large".into()));
    }
    Ok(Some(bytes.to_vec()))
}
