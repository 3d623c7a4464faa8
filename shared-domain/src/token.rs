//! Signed tokens: who may claim what, verified in constant time before anything inside is read.
//!
//! | token | form | key | who verifies |
//! | --- | --- | --- | --- |
//! | guest session | `g1.kid.payload.mac` | guest key ring, HMAC-SHA-256 | every edge and the core |
//! | account session | `a1.kid.payload.sig` | identity's Ed25519 key | everybody, with the public key only |
//! | quote | `q1.kid.payload.mac` | quote key ring, HMAC-SHA-256 | pricing and order |
//! | cart cookie | `c1.kid.payload.mac` | guest key ring, HMAC-SHA-256 | every edge |
//!
//! The signature covers prefix, key id and payload, so that a token of one kind is never one of another.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    id::{AccountId, MerchantId, SessionId},
    limits::{QUOTE_CONTENT_BYTES_MAX, SESSION_TOKEN_BYTES_MAX},
    time::Timestamp,
};

/// Why a token does not count. Callers answer all of them alike; the difference is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not of this form at all.
    #[error("not a token of this kind")]
    Malformed,
    /// No key of this id in the ring.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// Once valid, now too old.
    #[error("expired")]
    Expired,
}

/// A key of a ring: its public name and its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct MacKey {
    /// Names the key inside tokens; `[a-z0-9]`, at most 16 bytes.
    pub kid: String,
    /// At least 32 bytes, base64url without padding in JSON.
    #[serde(with = "secret_bytes")]
    pub secret: Vec<u8>,
}

impl core::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "MacKey({}, ***)", self.kid)
    }
}

mod secret_bytes {
    use super::{Engine, URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(de::Error::custom)
    }
}

/// Keys for HMAC-SHA-256. The first signs; all of them verify, so that a key can be rotated without signing anybody out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyRing(pub Vec<MacKey>);

fn mac(secret: &[u8], signed: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(signed);
    Some(mac)
}

impl KeyRing {
    /// Signs a payload under the first key. `None` when the ring is empty.
    #[must_use]
    pub fn sign(&self, prefix: &str, payload: &[u8]) -> Option<String> {
        let key = self.0.first()?;
        let signed = format!("{prefix}.{}.{}", key.kid, URL_SAFE_NO_PAD.encode(payload));
        let tag = mac(&key.secret, signed.as_bytes())?.finalize().into_bytes();
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    /// The payload of a token that one of the keys signed.
    ///
    /// # Errors
    /// [`TokenError`], without having read anything of the payload.
    pub fn verify(&self, prefix: &str, token: &str) -> Result<Vec<u8>, TokenError> {
        let (signed, tag) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| TokenError::Malformed)?;
        let (kid, payload) = parts(signed, prefix)?;
        let key = self.0.iter().find(|key| key.kid == kid).ok_or(TokenError::UnknownKey)?;
        mac(&key.secret, signed.as_bytes())
            .ok_or(TokenError::UnknownKey)?
            .verify_slice(&tag)
            .map_err(|_| TokenError::Signature)?;
        URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)
    }

    /// A keyed digest for purposes that are not tokens (a cart cell's key, a guest's order link). 32 bytes.
    #[must_use]
    pub fn digest(&self, purpose: &str, data: &[u8]) -> Option<[u8; 32]> {
        let key = self.0.first()?;
        let mut signed = Vec::with_capacity(purpose.len() + 1 + data.len());
        signed.extend_from_slice(purpose.as_bytes());
        signed.push(0);
        signed.extend_from_slice(data);
        Some(mac(&key.secret, &signed)?.finalize().into_bytes().into())
    }
}

fn parts<'a>(signed: &'a str, prefix: &str) -> Result<(&'a str, &'a str), TokenError> {
    let rest = signed.strip_prefix(prefix).and_then(|r| r.strip_prefix('.')).ok_or(TokenError::Malformed)?;
    rest.split_once('.').filter(|(kid, _)| !kid.is_empty() && kid.len() <= 16).ok_or(TokenError::Malformed)
}

/// SHA-256, for fingerprints and content addresses.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-256 as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(data: &[u8]) -> String {
    use core::fmt::Write;
    sha256(data).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of base64url without padding, `None` for anything else.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What a guest's session token says. An edge minted it; it reaches only its own cart and orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestClaims {
    /// The session.
    #[serde(rename = "s")]
    pub session: SessionId,
    /// When it ends.
    #[serde(rename = "e")]
    pub expires: Timestamp,
}

/// What an account may do beside shopping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the whole marketplace.
    Admin,
    /// Acts for one merchant.
    Merchant(MerchantId),
}

/// What an account's access token says. Only identity can sign it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountClaims {
    /// The account.
    #[serde(rename = "a")]
    pub account: AccountId,
    /// The session, which can be revoked.
    #[serde(rename = "s")]
    pub session: SessionId,
    /// Roles beside shopper.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// When it was issued.
    #[serde(rename = "i")]
    pub issued: Timestamp,
    /// When it ends.
    #[serde(rename = "e")]
    pub expires: Timestamp,
}

/// The session tokens of this shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// A guest.
    Guest(GuestClaims),
    /// A signed-in account.
    Account(AccountClaims),
}

/// A public key of identity, as edges hold it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublicKey {
    /// Names the key inside tokens.
    pub kid: String,
    /// 32 bytes, base64url without padding in JSON.
    #[serde(with = "secret_bytes")]
    pub key: Vec<u8>,
}

/// An Ed25519 key that signs: identity's for account sessions, the replicator's for batches.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretKey {
    /// Names the key inside tokens.
    pub kid: String,
    /// The 32 bytes of the seed, base64url without padding in JSON.
    #[serde(with = "secret_bytes")]
    pub seed: Vec<u8>,
}

impl core::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SecretKey({}, ***)", self.kid)
    }
}

impl SecretKey {
    fn signing(&self) -> Option<SigningKey> {
        Some(SigningKey::from_bytes(&<[u8; 32]>::try_from(self.seed.as_slice()).ok()?))
    }

    /// Its public half. `None` when the seed is not 32 bytes.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        Some(PublicKey { kid: self.kid.clone(), key: self.signing()?.verifying_key().to_bytes().to_vec() })
    }

    /// A detached signature of 64 bytes. `None` when the seed is not 32 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(self.signing()?.sign(message).to_bytes())
    }
}

impl PublicKey {
    /// Whether this key signed the message (strict verification: no malleable signatures).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = <[u8; 32]>::try_from(self.key.as_slice()) else { return false };
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

/// Mints a guest's session token. `None` when the ring is empty.
#[must_use]
pub fn mint_guest(ring: &KeyRing, claims: &GuestClaims) -> Option<String> {
    ring.sign("g1", &serde_json::to_vec(claims).ok()?)
}

/// Mints an account's access token. `None` when the key is not usable.
#[must_use]
pub fn mint_account(key: &SecretKey, claims: &AccountClaims) -> Option<String> {
    let signed = format!("a1.{}.{}", key.kid, URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).ok()?));
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?)))
}

/// Verifies a session token of either kind. Whether it was revoked is a question to the deny list, not to the token.
///
/// # Errors
/// [`TokenError`]; `Expired` only after the signature held.
pub fn verify_session(
    token: &str,
    guests: &KeyRing,
    accounts: &[PublicKey],
    now: Timestamp,
) -> Result<Session, TokenError> {
    if token.len() > SESSION_TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (session, expires) = if token.starts_with("g1.") {
        let claims: GuestClaims = json(&guests.verify("g1", token)?)?;
        let expires = claims.expires;
        (Session::Guest(claims), expires)
    } else {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        let (kid, payload) = parts(signed, "a1")?;
        let key = accounts.iter().find(|key| key.kid == kid).ok_or(TokenError::UnknownKey)?;
        if !key.verifies(signed.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        let claims: AccountClaims = json(&URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?)?;
        let expires = claims.expires;
        (Session::Account(claims), expires)
    };
    if now >= expires { Err(TokenError::Expired) } else { Ok(session) }
}

fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, TokenError> {
    serde_json::from_slice(payload).map_err(|_| TokenError::Malformed)
}

/// Mints a token of compressed JSON (quotes). `None` when the ring is empty or the content is too large.
#[must_use]
pub fn mint_compressed<T: Serialize>(ring: &KeyRing, prefix: &str, content: &T) -> Option<String> {
    let json = serde_json::to_vec(content).ok()?;
    if json.len() > QUOTE_CONTENT_BYTES_MAX {
        return None;
    }
    ring.sign(prefix, &miniz_oxide::deflate::compress_to_vec(&json, 6))
}

/// Verifies a token of compressed JSON: the MAC first, then a bounded decompression.
///
/// # Errors
/// [`TokenError`].
pub fn verify_compressed<T: DeserializeOwned>(ring: &KeyRing, prefix: &str, token: &str) -> Result<T, TokenError> {
    let packed = ring.verify(prefix, token)?;
    let plain = miniz_oxide::inflate::decompress_to_vec_with_limit(&packed, QUOTE_CONTENT_BYTES_MAX)
        .map_err(|_| TokenError::Malformed)?;
    json(&plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(kids: &[&str]) -> KeyRing {
        KeyRing(kids.iter().map(|kid| MacKey { kid: (*kid).into(), secret: sha256(kid.as_bytes()).to_vec() }).collect())
    }

    fn identity() -> SecretKey {
        SecretKey { kid: "i1".into(), seed: vec![7; 32] }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn account() -> AccountClaims {
        AccountClaims {
            account: AccountId::from_u128(1),
            session: SessionId::from_u128(2),
            roles: vec![Role::Admin, Role::Merchant(MerchantId::from_u128(3))],
            issued: at(0),
            expires: at(600_000),
        }
    }

    #[test]
    fn sessions_of_both_kinds_verify_until_they_expire() {
        let guest = GuestClaims { session: SessionId::from_u128(9), expires: at(1_000) };
        let token = mint_guest(&ring(&["a"]), &guest).unwrap();
        let verify = |token: &str, now| verify_session(token, &ring(&["a"]), &[identity().public().unwrap()], at(now));
        assert_eq!(verify(&token, 999), Ok(Session::Guest(guest)));
        assert_eq!(verify(&token, 1_000), Err(TokenError::Expired));
        let token = mint_account(&identity(), &account()).unwrap();
        assert_eq!(verify(&token, 1), Ok(Session::Account(account())));
        assert_eq!(verify(&token, 600_000), Err(TokenError::Expired));
    }

    #[test]
    fn an_edge_key_cannot_make_an_account() {
        let forged = ring(&["i1"]).sign("a1", &serde_json::to_vec(&account()).unwrap()).unwrap();
        let keys = [identity().public().unwrap()];
        assert_eq!(verify_session(&forged, &ring(&["i1"]), &keys, at(1)), Err(TokenError::Signature));
    }

    #[test]
    fn an_old_key_verifies_while_it_is_in_the_ring() {
        let token = ring(&["old"]).sign("g1", b"x").unwrap();
        assert_eq!(ring(&["new", "old"]).verify("g1", &token), Ok(b"x".to_vec()));
        assert_eq!(ring(&["new"]).verify("g1", &token), Err(TokenError::UnknownKey));
    }

    #[test]
    fn a_token_of_one_kind_is_never_one_of_another() {
        let token = ring(&["a"]).sign("c1", b"x").unwrap();
        assert_eq!(ring(&["a"]).verify("g1", &token), Err(TokenError::Malformed));
        let renamed = token.replacen("c1", "g1", 1);
        assert_eq!(ring(&["a"]).verify("g1", &renamed), Err(TokenError::Signature));
    }

    #[test]
    fn a_compressed_bomb_is_refused() {
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![b' '; QUOTE_CONTENT_BYTES_MAX + 1], 9);
        let token = ring(&["a"]).sign("q1", &bomb).unwrap();
        let verified = verify_compressed::<serde_json::Value>(&ring(&["a"]), "q1", &token);
        assert_eq!(verified, Err(TokenError::Malformed));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(payload: Vec<u8>, at_byte: prop::sample::Index, to in 33_u8..126) {
            let token = ring(&["a"]).sign("g1", &payload).unwrap();
            let mut bytes = token.clone().into_bytes();
            let i = at_byte.index(bytes.len());
            prop_assume!(bytes[i] != to);
            bytes[i] = to;
            let changed = String::from_utf8(bytes).unwrap();
            if let Ok(read) = ring(&["a"]).verify("g1", &changed) {
                // Unused bits of the last base64 digit are refused by the decoder, so nothing changed may verify.
                prop_assert_eq!(read, payload);
                prop_assert!(false, "a changed token verified");
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,300}") {
            let keys = [identity().public().unwrap()];
            let _ = verify_session(&text, &ring(&["a"]), &keys, at(0));
            prop_assert!(verify_compressed::<serde_json::Value>(&ring(&["a"]), "q1", &text).is_err());
        }
    }
}
