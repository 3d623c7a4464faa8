//! Redis spares reads. What it holds is never older than [`CACHE_S`](crate::limits::CACHE_S), so that a write it missed
//! is still seen in time, and who may read a cart is kept beside it.

use std::time::Duration;

use bodega_platform::redis::Redis;
use uuid::Uuid;

use crate::{limits::CACHE_S, store::Row};

const ACCOUNT_BYTES: usize = 16;

fn key(cart: &str) -> String {
    format!("bodega:cart:{cart}")
}

/// Keeps a cart for a moment, unless a later one is kept already: two batches may come here in another order than they
/// were committed in.
pub(crate) async fn set(redis: &Redis, cart: &str, row: &Row) {
    let mut value = row.account.unwrap_or_default().into_bytes().to_vec();
    value.extend_from_slice(&row.state);
    redis.set_newer(&key(cart), row.version, &value, Duration::from_secs(CACHE_S)).await;
}

/// A cart as it was a moment ago.
pub(crate) async fn get(redis: &Redis, cart: &str) -> Option<Row> {
    let (version, value) = redis.get_versioned(&key(cart)).await?;
    let (account, state) = value.split_first_chunk::<ACCOUNT_BYTES>()?;
    let account = Some(Uuid::from_bytes(*account)).filter(|account| !account.is_nil());
    Some(Row { state: state.to_vec(), account, version })
}
