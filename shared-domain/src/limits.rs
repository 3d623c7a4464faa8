//! Every limit that more than one crate relies on, with its unit in the name. `docs/LIMITS.md` is tested against this
//! file.

/// Lines of a cart, tombstones counted: 200 lines make a 2.8 KB cookie, below the 4 KB that browsers keep.
pub const CART_LINES_MAX: usize = 200;
/// Units of one SKU in a cart line.
pub const LINE_QUANTITY_MAX: u32 = 999;
/// Unfolded adds of a cart line: enough for a burst of overlapping clicks, small in the cookie.
pub const CART_LINE_ADDS_MAX: usize = 8;
/// Days after which a cart tombstone is dropped: the one stated loss of the cart.
pub const CART_TOMBSTONE_DAYS: i64 = 30;
/// Promotion codes on a cart.
pub const CART_CODES_MAX: usize = 5;
/// Bytes of a promotion code.
pub const CODE_BYTES_MAX: usize = 40;
/// Largest absolute amount of money in minor units: products and sums of it stay inside 64 bits.
pub const MONEY_AMOUNT_MAX: i64 = 10_000_000_000_000;
/// Bytes of a message on the bus.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a request body at the edge: a checkout with 200 lines needs a tenth of it.
pub const EDGE_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Minutes for which a quote can be ordered.
pub const QUOTE_VALID_MIN: i64 = 15;
/// Bytes of a quote token as text.
pub const QUOTE_TOKEN_BYTES_MAX: usize = 48 * 1024;
/// Bytes of a quote before compression: the bound that makes decompression safe.
pub const QUOTE_CONTENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a session token as text.
pub const SESSION_TOKEN_BYTES_MAX: usize = 1024;
/// Minutes for which an account's access token is valid.
pub const ACCOUNT_TOKEN_MIN: i64 = 10;
/// Days for which an account's refresh token is valid.
pub const REFRESH_TOKEN_DAYS: i64 = 30;
/// Days for which a guest's session is valid.
pub const GUEST_SESSION_DAYS: i64 = 90;
/// Orders that are placed in one batch.
pub const PLACE_BATCH_MAX: usize = 128;
/// Milliseconds after the edge received a checkout until placing it is refused for good.
pub const PLACE_DEADLINE_MS: i64 = 8_000;
/// Seconds after the place deadline when inventory asks what became of a hold without an order.
pub const HOLD_ASK_AFTER_S: i64 = 60;
/// Milliseconds a checkout waits for the provider's first word.
pub const PLACE_WAIT_MS: u32 = 1_500;
/// Orders that a buyer may have unpaid at once.
pub const UNPAID_ORDERS_MAX: i64 = 2;
/// Payment attempts of a buyer in an hour.
pub const PAYMENT_ATTEMPTS_PER_HOUR_MAX: i64 = 5;
/// Minutes an order waits for a payment without any attempt.
pub const PAYMENT_DEADLINE_NO_ATTEMPT_MIN: i64 = 5;
/// Minutes an order waits after a payment attempt.
pub const PAYMENT_DEADLINE_ATTEMPTED_MIN: i64 = 15;
/// Minutes an order waits for a shopper in a challenge.
pub const PAYMENT_DEADLINE_CHALLENGE_MIN: i64 = 30;
/// Hours of a provider's silence after which an expiring order gives its stock back.
pub const PROVIDER_SILENCE_HOURS: i64 = 6;
/// Days after the arrival of an order's last parcel for which its goods may be sent back; then it is completed.
pub const RETURN_DAYS: i64 = 30;
/// Notes of staff on one order.
pub const NOTES_MAX: i64 = 100;
/// Bytes of a note of staff on an order.
pub const NOTE_BYTES_MAX: usize = 2_000;
/// Days for which a guest's order link works.
pub const ORDER_LINK_DAYS: i64 = 90;
/// E-mails that may be told through an order link within [`LINK_WRONG_EMAILS_MIN`] before it listens no more.
pub const LINK_WRONG_EMAILS_MAX: i32 = 5;
/// Minutes for which wrong e-mails count.
pub const LINK_WRONG_EMAILS_MIN: i64 = 60;
/// Days after which the contact of an order that was to be forgotten is emptied also when the order has not ended.
pub const FORGET_LATEST_DAYS: i64 = 90;
/// Items of a listing page by default.
pub const LIST_LIMIT_DEFAULT: u32 = 24;
/// Items of a listing page at most.
pub const LIST_LIMIT_MAX: u32 = 100;
/// Products on one stored listing page of a category at the edge.
pub const CATEGORY_PAGE_PRODUCTS: usize = 24;
/// Entries of a replication batch.
pub const REPLICATION_ENTRIES_MAX: usize = 900;
/// Bytes of a replication batch before compression.
pub const REPLICATION_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a name or an address line.
pub const TEXT_LINE_BYTES_MAX: usize = 200;
/// Bytes of an e-mail address (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Bytes of a search query.
pub const SEARCH_QUERY_BYTES_MAX: usize = 200;
/// Promotions of one owner, a merchant or the marketplace, that take part in quotes at once.
pub const OWNER_PROMOTIONS_MAX: usize = 20;
/// Promotions of everybody that take part in quotes at once: each quote looks at all of them.
pub const PROMOTIONS_MAX: usize = 200;
/// Bytes of one owner's declarative rules in quotes, as JSON: one rule of the largest size fits.
pub const OWNER_RULES_BYTES_MAX: usize = 32 * 1024;
/// Bytes of everybody's declarative rules in quotes, as JSON: they are one view at the edges, which has at most 256 KiB.
pub const RULES_BYTES_MAX: usize = 224 * 1024;
/// Categories that a declarative rule may name.
pub const RULE_CATEGORIES_MAX: usize = 100;
/// SKUs that a declarative rule may name.
pub const RULE_SKUS_MAX: usize = 200;
/// Bytes of a category or a SKU that a rule names: as many as a slug has.
pub const RULE_NAME_BYTES_MAX: usize = 80;
/// Currencies of an amount in a declarative rule.
pub const RULE_CURRENCIES_MAX: usize = 30;
/// Bytes of an uploaded plugin.
pub const PLUGIN_BYTES_MAX: usize = 700 * 1024;
