//! The one place where the core reads a clock. Clocks decide when, rows decide whether: no invariant depends on one.

use std::time::{SystemTime, UNIX_EPOCH};

use bodega_domain::Timestamp;

/// The wall clock of this process, possibly skewed by configuration so that tests can run processes that disagree.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    skew_ms: i64,
}

impl Clock {
    /// The system's clock as it is.
    #[must_use]
    pub const fn system() -> Self {
        Self { skew_ms: 0 }
    }

    /// The system's clock, ahead by so many milliseconds (behind when negative).
    #[must_use]
    pub const fn skewed(skew_ms: i64) -> Self {
        Self { skew_ms }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        // Before 1970 is a broken machine; the epoch then makes every token expired, which is the safe side.
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0));
        Timestamp::from_unix_ms(ms).plus_ms(self.skew_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skewed_clock_is_ahead_by_its_skew() {
        let system = Clock::system().now();
        let ahead = Clock::skewed(600_000).now().ms_since(system);
        assert!((600_000..601_000).contains(&ahead), "{ahead}");
        assert!(Clock::skewed(-600_000).now() < system);
    }
}
