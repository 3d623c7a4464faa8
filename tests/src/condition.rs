//! Waiting for a condition instead of sleeping.

use std::time::Duration;
use tokio::time::Instant;

const USUAL_PATIENCE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `condition` gives a value, for at most fifteen seconds.
///
/// # Panics
/// When the time is over, naming what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, condition: impl FnMut() -> F) -> T {
    eventually_within(USUAL_PATIENCE, what, condition).await
}

/// Looks until `condition` gives a value, for at most `patience`.
///
/// # Panics
/// When the time is over, naming what was waited for.
pub async fn eventually_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
