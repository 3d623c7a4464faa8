//! Signatures of webhooks: `Stripe-Signature: t=<seconds>,v1=<hex>,…`, HMAC-SHA-256 over `<seconds>.<body>`.
//! Source: <https://docs.stripe.com/webhooks#verify-manually>.

use bodega_domain::Timestamp;
use bodega_platform::config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::limits::WEBHOOK_TOLERANCE_S;

/// Whether one of the secrets signed this body, not too long ago. Several secrets are valid while one replaces another.
pub(super) fn holds(header: &str, body: &[u8], secrets: &[Secret], now: Timestamp) -> bool {
    let mut seconds = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => seconds = value.parse::<i64>().ok(),
            Some(("v1", value)) => signatures.extend(from_hex(value)),
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return false };
    if (now.unix_ms() / 1_000).abs_diff(seconds) > WEBHOOK_TOLERANCE_S.unsigned_abs() {
        return false;
    }
    // Every pair is compared, so that the time taken tells nothing about which one fits.
    let mut fits = Choice::from(0);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let Some(expected) = sign(secret.expose(), seconds, body) else { continue };
        for signature in &signatures {
            fits |= expected.ct_eq(signature);
        }
    }
    bool::from(fits)
}

fn sign(secret: &str, seconds: i64, body: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    Some(mac.finalize().into_bytes().into())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(secret: &str, seconds: i64, body: &[u8]) -> String {
        let hex: String = sign(secret, seconds, body).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={seconds},v1={hex}")
    }

    #[test]
    fn a_signature_holds_for_its_body_its_secrets_and_its_time() {
        let now = Timestamp::from_unix_ms(1_795_000_000_000);
        let seconds = now.unix_ms() / 1_000;
        let secrets = [Secret::new("new"), Secret::new("old")];
        for secret in ["new", "old"] {
            assert!(holds(&header(secret, seconds, b"{}"), b"{}", &secrets, now));
        }
        assert!(holds(&header("old", seconds - 299, b"{}"), b"{}", &secrets, now));
        assert!(!holds(&header("old", seconds - 301, b"{}"), b"{}", &secrets, now), "too old");
        assert!(!holds(&header("old", seconds + 301, b"{}"), b"{}", &secrets, now), "too early");
        assert!(!holds(&header("other", seconds, b"{}"), b"{}", &secrets, now));
        assert!(!holds(&header("new", seconds, b"{}"), b"{ }", &secrets, now));
        assert!(!holds(&header("", seconds, b"{}"), b"{}", &[Secret::new("")], now), "an empty secret signs nothing");
        for nonsense in ["", "t=1", "v1=00", "t=x,v1=y", "t=1,v1=éé"] {
            assert!(!holds(nonsense, b"{}", &secrets, now));
        }
    }
}
