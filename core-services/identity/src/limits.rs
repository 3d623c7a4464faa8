//! The limits of identity, each with its unit in the name.

use bodega_domain::limits::ACCOUNT_TOKEN_MIN;

/// Characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Bytes of a password: longer ones only cost time.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Attempts to sign in with one e-mail within the window.
pub const SIGN_IN_ATTEMPTS_MAX: i32 = 10;
/// Minutes of that window.
pub const SIGN_IN_WINDOW_MIN: i64 = 15;
/// Password hashes under way at once: each takes 19 MiB and some 20 ms of one core.
pub const HASHES_AT_ONCE_MAX: usize = 2;
/// Password hashes that wait; one more is refused as `overloaded`.
pub const HASHES_WAITING_MAX: usize = 200;
/// Revocations on one page.
pub const REVOKED_PAGE_MAX: i64 = 1_000;
/// Minutes that a revocation outlives the last token of its session, for clocks that differ.
pub const REVOCATION_GRACE_MIN: i64 = 2;
/// Roles of one account.
pub const ROLES_MAX: usize = 50;
/// Seconds until the order service is asked again to forget a deleted account, doubled with each try.
pub const FORGET_AGAIN_S: i64 = 2;
/// Seconds between two tries at most.
pub const FORGET_AGAIN_MAX_S: i64 = 60;
/// Deleted accounts that are asked for in a row.
pub const FORGET_BATCH_MAX: i64 = 50;
/// Minutes after a deletion when no checkout of the account can be under way any more: its last token has run out, and
/// clocks may differ.
pub const LAST_ORDER_MIN: i64 = ACCOUNT_TOKEN_MIN + 5;
/// Seconds after a round of refresh tokens began during which a token of the round before still counts: two tabs, or an
/// answer that got lost.
pub const REFRESH_OVERLAP_S: i64 = 30;
