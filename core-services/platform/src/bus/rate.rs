//! How often one principal may call: a token bucket each, in this process. It protects services from one caller taking
//! all; it is not a promise to anybody, so it need not be shared between processes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bodega_domain::{Code, Failure, Timestamp, principal::Principal};

use crate::operation::RateClass;

/// Principals remembered at once. When full, the ones that have a whole bucket again are forgotten.
const BUCKETS_MAX: usize = 50_000;
/// Thousandths of a call, so that buckets fill smoothly without floats.
const MILLI: i64 = 1_000;

#[derive(Clone, Copy)]
struct Bucket {
    /// Calls left, in thousandths.
    left: i64,
    at: Timestamp,
}

/// The buckets of one process.
#[derive(Default)]
pub(crate) struct RateLimiter(Mutex<HashMap<(RateClass, u128), Bucket>>);

impl RateLimiter {
    /// Takes one call from the principal's bucket.
    pub(crate) fn take(&self, class: RateClass, principal: &Principal, now: Timestamp) -> Result<(), Failure> {
        let (Some(per_minute), Some(key)) = (class.per_minute(), key(principal)) else { return Ok(()) };
        let full = i64::from(per_minute) * MILLI;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| now.ms_since(bucket.at) < 60_000);
        }
        let bucket = buckets.entry((class, key)).or_insert(Bucket { left: full, at: now });
        let gained = now.ms_since(bucket.at).clamp(0, 60_000) * full / 60_000;
        bucket.left = (bucket.left + gained).min(full);
        bucket.at = now;
        if bucket.left < MILLI {
            let wait_s = 1 + 60 / per_minute;
            return Err(Failure::from(Code::TooManyRequests).retry_after_s(wait_s));
        }
        bucket.left -= MILLI;
        Ok(())
    }
}

/// Nobody in particular has no bucket: the core does not see addresses. Queues bound such calls, and services limit what
/// costs them most.
fn key(principal: &Principal) -> Option<u128> {
    match principal {
        Principal::Guest { session } => Some(session.as_u128()),
        Principal::Account { account, .. } => Some(account.as_u128()),
        Principal::Anonymous | Principal::Service => None,
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::id::SessionId;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limiter = RateLimiter::default();
        let guest = Principal::Guest { session: SessionId::from_u128(1) };
        let other = Principal::Guest { session: SessionId::from_u128(2) };
        let at = Timestamp::from_unix_ms;
        let take = |principal: &Principal, ms| limiter.take(RateClass::Credential, principal, at(ms)).is_ok();
        assert!((0..30).all(|_| take(&guest, 1_000)));
        assert!(!take(&guest, 1_000), "the thirty-first in a minute");
        assert!(take(&other, 1_000), "somebody else is not concerned");
        assert!(!take(&guest, 2_900));
        assert!(take(&guest, 3_100), "one every two seconds");
        assert!((0..1_000).all(|_| take(&Principal::Service, 1_000)));
    }
}
