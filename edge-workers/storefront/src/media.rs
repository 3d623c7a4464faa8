//! Pictures: read through once, checked against the hash that is their name, kept for good.

use bodega_domain::{Code, Failure, token::sha256_hex};
use http::StatusCode;

use crate::{
    limits::MEDIA_BYTES_MAX,
    platform::{MediaError, Platform},
    respond::{self, Answer},
    visit::Visit,
};

fn content_type(ext: &str) -> Option<&'static str> {
    match ext {
        "webp" => Some("image/webp"),
        "png" => Some("image/png"),
        "jpg" => Some("image/jpeg"),
        _ => None,
    }
}

/// `GET /media/{hash}.{ext}`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, name: &str) -> Answer {
    let absent = || Failure::new(Code::NotFound, "There is no such picture.");
    let (hash, ext) = name.split_once('.').ok_or_else(absent)?;
    let content_type = content_type(ext).ok_or_else(absent)?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_hash {
        return Err(absent());
    }
    let key = format!("media/{name}");
    // A store that is away costs a look at the origin, not the picture.
    let kept = visit.platform.kv_get(&key).await.unwrap_or_else(|error| {
        visit.warn("media_kv", &error.to_string());
        None
    });
    let bytes = match kept {
        Some(bytes) => bytes,
        None => read_through(visit, name, hash, &key).await?.ok_or_else(absent)?,
    };
    let mut response = respond::body(StatusCode::OK, content_type, bytes);
    respond::set(&mut response.headers, "cache-control", "public, max-age=31536000, immutable");
    respond::set(&mut response.headers, "etag", &format!("\"{}\"", hash.get(..32).unwrap_or(hash)));
    Ok(response)
}

async fn read_through<P: Platform>(
    visit: &Visit<'_, P>,
    name: &str,
    hash: &str,
    key: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let bytes = match visit.platform.fetch_media(name).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(MediaError::Unavailable(detail)) => {
            visit.warn("media_origin", &detail);
            return Err(Failure::new(Code::CoreUnavailable, "The picture cannot be fetched just now.").retry_after_s(5));
        }
    };
    if bytes.len() > MEDIA_BYTES_MAX || sha256_hex(&bytes) != hash {
        visit.warn("media_origin", "the bytes are not those of their name");
        return Ok(None);
    }
    let (platform, key, copy) = (visit.platform.clone(), key.to_owned(), bytes.clone());
    visit.platform.defer(async move {
        // Not kept is read through again.
        let _ = platform.kv_put(&key, copy).await;
    });
    Ok(Some(bytes))
}
