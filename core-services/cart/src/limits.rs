//! The limits of carts, each with its unit in the name.

use bodega_platform::BatchLimits;

/// Characters of a cart's name: a hash in base64url.
pub const CART_NAME_CHARS: core::ops::RangeInclusive<usize> = 16..=64;
/// Characters of an encoded state: 200 lines with all the adds that a decoder accepts stay below.
pub const STATE_CHARS_MAX: usize = 256 * 1024;
/// Merges that wait, that are written in one transaction, and transactions at once.
pub const MERGE_BATCHES: BatchLimits = BatchLimits { queue_max: 2_048, batch_max: 64, writers: 2 };
/// Seconds for which Redis may answer a read: below the five that an edge may lag behind another.
pub const CACHE_S: u64 = 4;
/// Days after which a guest's cart that nobody touched is deleted: as long as a guest's session lives.
pub const ABANDONED_DAYS: i64 = bodega_domain::limits::GUEST_SESSION_DAYS;
/// Rows deleted in one statement.
pub const SWEEP_ROWS_MAX: i64 = 5_000;
