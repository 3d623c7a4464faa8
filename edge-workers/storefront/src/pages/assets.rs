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

#[cfg(test)]
#[allow(clippy::float_arithmetic)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Relative luminance as WCAG 2.2 defines it.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The colours of the two palettes, light and dark.
    fn palettes() -> Vec<BTreeMap<&'static str, &'static str>> {
        let blocks = STYLESHEET.split(":root {").skip(1).filter_map(|rest| rest.split('}').next());
        blocks
            .map(|block| {
                let pairs = block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
                pairs.filter(|(_, value)| value.starts_with('#')).collect()
            })
            .collect()
    }

    #[test]
    fn text_and_edges_can_be_told_from_what_is_behind_them_by_day_and_by_night() {
        let text = [
            ("ink", "paper"),
            ("soft", "paper"),
            ("soft", "card"),
            ("soft", "tile"),
            ("on-red", "red"),
            ("on-red", "red-deep"),
            ("red", "card"),
            ("tag-ink", "tag"),
            ("warn", "card"),
            ("leaf", "card"),
            ("leaf", "leaf-soft"),
            ("bad", "card"),
            ("ink", "warn-soft"),
            ("ink", "bad-soft"),
            ("ink", "leaf-soft"),
            ("card", "leaf"),
        ];
        let edges = [("edge", "card"), ("edge", "paper"), ("focus", "card"), ("focus", "paper")];
        let palettes = palettes();
        assert_eq!(palettes.len(), 2);
        for palette in &palettes {
            for (least, pairs) in [(4.5, &text[..]), (3.0, &edges[..])] {
                for (front, back) in pairs {
                    let found = contrast(palette[front], palette[back]);
                    assert!(found >= least, "{front} on {back}: {found:.2}, at least {least}");
                }
            }
        }
    }

    #[test]
    fn the_stylesheet_names_nothing_outside_the_shop() {
        for outside in ["url(", "@import", "http:", "https:", "//"] {
            assert!(!STYLESHEET.contains(outside), "{outside}");
        }
    }
}
