//! The one place where the core draws random bytes: ids, secrets, keys.

use bodega_domain::Timestamp;
use uuid::Uuid;

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entropy;

impl Entropy {
    /// So many random bytes, fit for keys.
    ///
    /// # Panics
    /// When the operating system gives none: nothing that needs an id or a secret may go on then.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// A `UUIDv7` of this time. Typed ids are made by `OrderId::new(now.unix_ms(), entropy.bytes())`.
    #[must_use]
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        Uuid::from_u128(bodega_domain::id::uuid_v7(now.unix_ms(), self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_of_one_moment_differ_and_are_version_7() {
        let now = Timestamp::from_unix_ms(1_795_000_000_000);
        let (a, b) = (Entropy.uuid(now), Entropy.uuid(now));
        assert_ne!(a, b);
        assert_eq!(a.get_version_num(), 7);
    }
}
