//! Key rings out of the settings: `kid:base64url,…`, the first key signs, all of them verify.

use bodega_domain::token::{KeyRing, MacKey, PublicKey, from_base64url};

use crate::platform::{Platform, setting};

fn pairs(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    text.split(',').filter_map(|entry| {
        let (kid, key) = entry.trim().split_once(':')?;
        Some((kid.trim(), from_base64url(key.trim())?))
    })
}

/// The ring of guest sessions and cart cookies. Secrets shorter than 32 bytes are passed over.
pub(crate) fn guests<P: Platform>(platform: &P) -> KeyRing {
    let text = platform.config(setting::GUEST_KEYS).unwrap_or_default();
    KeyRing(
        pairs(&text)
            .filter(|(_, secret)| secret.len() >= 32)
            .map(|(kid, secret)| MacKey { kid: kid.to_owned(), secret })
            .collect(),
    )
}

/// Public keys under one of the two settings that hold some.
pub(crate) fn public<P: Platform>(platform: &P, name: &str) -> Vec<PublicKey> {
    let text = platform.config(name).unwrap_or_default();
    pairs(&text).map(|(kid, key)| PublicKey { kid: kid.to_owned(), key }).collect()
}
