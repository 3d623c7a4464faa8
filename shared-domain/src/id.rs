//! Typed, prefixed ids: 128 bits in UUIDv7 layout, written as `ord_` and 26 characters of Crockford's base32.
//!
//! Time and randomness are passed in; ids sort by the time they were made, which keeps index inserts local.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BODY_CHARS: usize = 26;

/// A text that is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that begins with `{expected}_`")]
pub struct IdError {
    expected: &'static str,
}

fn encode(value: u128, out: &mut [u8; BODY_CHARS]) {
    let mut rest = value;
    for slot in out.iter_mut().rev() {
        // The low five bits index a table of 32.
        *slot = ALPHABET[usize::try_from(rest & 31).unwrap_or(0)];
        rest >>= 5;
    }
}

fn decode(text: &[u8]) -> Option<u128> {
    if text.len() != BODY_CHARS || text[0] > b'7' {
        return None;
    }
    text.iter().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|c| c == byte)?;
        Some((value << 5) | u128::try_from(digit).ok()?)
    })
}

/// Composes 128 bits in UUIDv7 layout from a time (Unix milliseconds) and ten random bytes.
#[must_use]
pub fn uuid_v7(unix_ms: i64, random: [u8; 10]) -> u128 {
    let ms = u128::try_from(unix_ms.max(0)).unwrap_or(0) & 0xffff_ffff_ffff;
    let mut bytes = [0_u8; 16];
    bytes[6..].copy_from_slice(&random);
    let random = u128::from_be_bytes(bytes);
    let value = (ms << 80) | random;
    let value = (value & !(0xf << 76)) | (0x7 << 76);
    (value & !(0b11 << 62)) | (0b10 << 62)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What its text begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// From a time (Unix milliseconds) and ten random bytes.
            #[must_use]
            pub fn new(unix_ms: i64, random: [u8; 10]) -> Self { Self(uuid_v7(unix_ms, random)) }

            /// From the bits that a store kept.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self { Self(bits) }

            /// The bits, for a store.
            #[must_use]
            pub const fn as_u128(self) -> u128 { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut body = [0; BODY_CHARS];
                encode(self.0, &mut body);
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(core::str::from_utf8(&body).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|body| decode(body.as_bytes()))
                    .map(Self)
                    .ok_or(IdError { expected: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// An order; also the id that a quote carries before it is one.
    OrderId = "ord";
    /// A merchant.
    MerchantId = "mrc";
    /// A shopper's, merchant's or admin's account.
    AccountId = "acc";
    /// A session, a guest's or an account's.
    SessionId = "ses";
    /// A product.
    ProductId = "prd";
    /// A promotion rule or a plugin's activation.
    PromotionId = "prm";
    /// An uploaded plugin.
    PluginId = "plg";
    /// A stock location.
    LocationId = "loc";
    /// A hold on stock.
    HoldId = "hld";
    /// A payment intent.
    IntentId = "pin";
    /// One attempt to pay an intent.
    AttemptId = "pat";
    /// A refund.
    RefundId = "rfd";
    /// A journal of the ledger.
    JournalId = "jrn";
    /// A transfer of the ledger.
    TransferId = "trf";
    /// An event in an outbox.
    EventId = "evt";
    /// A note of staff on an order.
    NoteId = "nte";
    /// A return of goods.
    ReturnId = "ret";
    /// Goods of an order that leave the house together.
    ShipmentId = "shp";
    /// Lines of an order that are called off together.
    CancellationId = "cnl";
    /// A mail.
    MailId = "eml";
    /// One request through the whole system.
    RequestId = "req";
    /// A stock movement.
    MovementId = "mov";
    /// Goods that are on their way to a shelf.
    IncomingId = "inc";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_round_trips(bits: u128) {
            let id = OrderId::from_u128(bits);
            prop_assert_eq!(id.to_string().parse::<OrderId>().unwrap(), id);
            prop_assert_eq!(id.to_string().len(), 30);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,40}") {
            if let Ok(id) = text.parse::<OrderId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn later_ids_sort_later(ms in 0_i64..1 << 47, a: [u8; 10], b: [u8; 10]) {
            prop_assert!(OrderId::new(ms, a) < OrderId::new(ms + 1, b));
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let order = OrderId::from_u128(7).to_string();
        assert!(order.parse::<MerchantId>().is_err());
        assert!("ord_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<OrderId>().is_err(), "more than 128 bits");
    }

    #[test]
    fn the_layout_is_uuid_version_7() {
        let bits = uuid_v7(1_795_000_000_000, [0xff; 10]);
        assert_eq!((bits >> 76) & 0xf, 7);
        assert_eq!((bits >> 62) & 0b11, 0b10);
    }
}
