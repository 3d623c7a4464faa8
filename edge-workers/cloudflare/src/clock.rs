//! The runtime's clock. On Workers it stands still between two waits, by design.

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(worker::Date::now().as_millis()).unwrap_or(i64::MAX)
}
