//! `GET /media/{hash}.{ext}`: pictures out of the object store, named by their content and therefore immutable. Edges
//! read through this and keep them.

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bodega_domain::Code;
use bodega_platform::Context;

use crate::{exchange::Exchange, problem::Problem};

/// Types that are served; everything else is not a picture.
const TYPES: [(&str, &str); 4] =
    [("avif", "image/avif"), ("jpg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp")];

pub(crate) async fn get(State(context): State<Context>, Path(name): Path<String>, exchange: Exchange) -> Response {
    let Some(media_type) = media_type(&name) else {
        return Problem::new(Code::NotFound, &exchange).into_response();
    };
    match tokio::fs::read(context.config().media.directory.join(&name)).await {
        Ok(bytes) => {
            let mut response = bytes.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
            response
        }
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::error!(%error, name, "a picture cannot be read");
            }
            Problem::new(Code::NotFound, &exchange).into_response()
        }
    }
}

/// The type of a name that is 64 hexadecimal digits and a known ending: nothing else ever reaches the file system.
fn media_type(name: &str) -> Option<&'static str> {
    let (hash, extension) = name.split_once('.')?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    TYPES.iter().find(|(known, _)| is_hash && *known == extension).map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_made_of_a_hash_are_looked_up() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(media_type(&format!("{hash}.webp")), Some("image/webp"));
        for name in [
            "../../etc/passwd",
            "..",
            "",
            "a.webp",
            &format!("{hash}.svg"),
            hash.as_str(),
            &format!("{hash}.webp/.."),
            &format!("{}.png", hash.to_uppercase()),
        ] {
            assert_eq!(media_type(name), None, "{name}");
        }
    }
}
