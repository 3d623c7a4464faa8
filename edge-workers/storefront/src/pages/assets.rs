//! The stylesheet and the icon: named by their hash, kept by browsers for good.

use std::sync::OnceLock;

use bodega_domain::{Code, Failure, token::sha256_hex};
use http::StatusCode;

use crate::respond::{self, Answer};

const STYLESHEET: &str = include_str!("../../assets/shop.css");
const ICON: &str = include_str!("../../assets/icon.svg");

fn name(cell: &'static OnceLock<String>, content: &str, stem: &str, ext: &str) -> &'static str {
    cell.get_or_init(|| {
        let hash = sha256_hex(content.as_bytes());
        format!("{stem}.{}.{ext}", hash.get(..16).unwrap_or(&hash))
    })
}

fn stylesheet_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    name(&NAME, STYLESHEET, "shop", "css")
}

fn icon_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    name(&NAME, ICON, "icon", "svg")
}

/// Where the stylesheet is.
pub(crate) fn stylesheet() -> String {
    format!("/assets/{}", stylesheet_name())
}

/// Where the icon is.
pub(crate) fn icon() -> String {
    format!("/assets/{}", icon_name())
}

/// `GET /assets/{name}`.
pub(crate) async fn show(asked: &str) -> Answer {
    let (content_type, content) = if asked == stylesheet_name() {
        ("text/css; charset=utf-8", STYLESHEET)
    } else if asked == icon_name() {
        ("image/svg+xml", ICON)
    } else {
        return Err(Failure::new(Code::NotFound, "There is no such file, or no longer: load the page again."));
    };
    let mut response = respond::body(StatusCode::OK, content_type, content.as_bytes().to_vec());
    respond::set(&mut response.headers, "cache-control", "public, max-age=31536000, immutable");
    Ok(response)
}
