//! NATS keys: an Ed25519 seed in base32 with a type prefix and a CRC-16.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::error::Error;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The five bits of `S`, at the top of a seed's first byte.
const PREFIX_SEED: u8 = 18 << 3;
/// The five bits of `U`, as they stand at the top of a public key's first byte.
const PREFIX_USER: u8 = 20 << 3;
const SEED_LEN: usize = 32;
/// Two bytes of prefix, the seed, two bytes of checksum.
const ENCODED_SEED_LEN: usize = 2 + SEED_LEN + 2;

/// Why a text is no user seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NkeyErrorKind {
    /// Not base32, or not 36 bytes of it.
    #[error("not base32 of a seed's length")]
    Encoding,
    /// The CRC-16 does not match: a typing error.
    #[error("the checksum does not match")]
    Checksum,
    /// Not a seed: a public key, perhaps.
    #[error("not a seed (SU…)")]
    NotASeed,
    /// A seed of something else than a user: an account, an operator, a server.
    #[error("not a user's seed (SU…)")]
    NotAUser,
}

/// A text is no user seed.
pub type NkeyError = Error<NkeyErrorKind>;

/// A user's key pair. The seed is wiped from memory when this is dropped and never printed.
#[derive(Clone)]
pub struct UserKey {
    signing: SigningKey,
}

impl UserKey {
    /// Reads a user's seed, `SU…` (58 characters).
    pub fn from_seed(text: &str) -> Result<Self, NkeyError> {
        let raw = base32_decode(text.trim()).ok_or(NkeyErrorKind::Encoding)?;
        let raw: &[u8; ENCODED_SEED_LEN] = raw.as_slice().try_into().map_err(|_| NkeyErrorKind::Encoding)?;
        let [first, second, seed @ .., low, high] = raw;
        if crc16(&raw[..ENCODED_SEED_LEN - 2]) != u16::from_le_bytes([*low, *high]) {
            return Err(NkeyErrorKind::Checksum.into());
        }
        if first & 0b1111_1000 != PREFIX_SEED {
            return Err(NkeyErrorKind::NotASeed.into());
        }
        if (first & 0b0000_0111) << 5 | second >> 3 != PREFIX_USER {
            return Err(NkeyErrorKind::NotAUser.into());
        }
        let seed: &[u8; SEED_LEN] = seed;
        Ok(Self { signing: SigningKey::from_bytes(seed) })
    }

    /// Makes a key from 32 random bytes, which the caller must take from a good source and wipe.
    pub fn from_random(seed: &[u8; SEED_LEN]) -> Self {
        Self { signing: SigningKey::from_bytes(seed) }
    }

    /// The seed as text, `SU…`: a secret.
    pub fn seed(&self) -> String {
        let mut raw = Vec::with_capacity(ENCODED_SEED_LEN);
        raw.extend_from_slice(&[PREFIX_SEED | PREFIX_USER >> 5, (PREFIX_USER & 0b0001_1111) << 3]);
        raw.extend_from_slice(self.signing.as_bytes());
        base32_encode_checked(raw)
    }

    /// The public key as a server's configuration names it, `U…`.
    pub fn public(&self) -> String {
        let mut raw = Vec::with_capacity(1 + SEED_LEN + 2);
        raw.push(PREFIX_USER);
        raw.extend_from_slice(self.signing.verifying_key().as_bytes());
        base32_encode_checked(raw)
    }

    /// The signature of a server's nonce, as `CONNECT` carries it.
    pub fn sign_nonce(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.signing.sign(nonce.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserKey").field(&self.public()).finish()
    }
}

fn base32_encode_checked(mut raw: Vec<u8>) -> String {
    let checksum = crc16(&raw);
    raw.extend_from_slice(&checksum.to_le_bytes());
    let mut out = String::with_capacity(raw.len().div_ceil(5) * 8);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for byte in raw {
        bits = bits << 8 | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(letter(bits >> held));
            bits &= (1 << held) - 1;
        }
    }
    if held > 0 {
        out.push(letter(bits << (5 - held)));
    }
    out
}

fn letter(bits: u32) -> char {
    // 31 & x is below 32, the length of the alphabet.
    ALPHABET.get((bits & 31) as usize).copied().map_or('A', char::from)
}

fn base32_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    // Leftover bits must be padding of fewer than one symbol and zero, so that one key has one text.
    (held < 5 && bits == 0).then_some(out)
}

/// CRC-16/XMODEM: polynomial 0x1021, initial value 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn kind(text: &str) -> Option<NkeyErrorKind> {
        UserKey::from_seed(text).err().map(|error| *error.kind())
    }

    #[test]
    fn the_checksum_is_the_one_of_the_catalogue_of_crcs() {
        // The check value that the catalogue gives for CRC-16/XMODEM.
        assert_eq!(crc16(b"123456789"), 0x31C3);
    }

    #[test]
    fn a_seed_survives_its_text_form() {
        for byte in [0, 1, 127, 255] {
            let key = UserKey::from_random(&[byte; 32]);
            assert!(key.seed().starts_with("SU"), "{}", key.seed());
            assert!(key.public().starts_with('U'), "{}", key.public());
            let read = UserKey::from_seed(&key.seed()).unwrap();
            assert_eq!(read.public(), key.public());
            assert_eq!(read.sign_nonce("n"), key.sign_nonce("n"));
        }
    }

    #[test]
    fn a_typing_error_is_found() {
        let seed = UserKey::from_random(&[7; 32]).seed();
        for at in 0..seed.len() {
            let wrong: String =
                seed.char_indices().map(|(i, c)| if i == at { if c == 'A' { 'B' } else { 'A' } } else { c }).collect();
            assert!(kind(&wrong).is_some(), "{at}");
        }
        assert_eq!(kind(""), Some(NkeyErrorKind::Encoding));
        assert_eq!(kind("su"), Some(NkeyErrorKind::Encoding));
        assert_eq!(kind(&seed[..50]), Some(NkeyErrorKind::Encoding));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let mut account = alloc::vec![PREFIX_SEED, 0];
        account.extend_from_slice(&[7; 32]);
        assert_eq!(kind(&base32_encode_checked(account)), Some(NkeyErrorKind::NotAUser));
        let mut public = alloc::vec![PREFIX_USER, 0];
        public.extend_from_slice(&[7; 32]);
        assert_eq!(kind(&base32_encode_checked(public)), Some(NkeyErrorKind::NotASeed));
    }

    #[test]
    fn a_seed_is_not_printed() {
        let key = UserKey::from_random(&[7; 32]);
        assert!(!format!("{key:?}").contains(&key.seed()));
    }
}
