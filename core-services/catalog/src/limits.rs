//! The limits of the catalogue, each with its unit in the name.

/// Products of one upsert: what fits into a message, and what one transaction should hold.
pub const UPSERT_PRODUCTS_MAX: usize = 1_000;
/// Categories of the shop: all of them are one view.
pub const CATEGORIES_MAX: usize = 500;
/// Merchants of one upsert.
pub const UPSERT_MERCHANTS_MAX: usize = 500;
/// Variants of a product.
pub const VARIANTS_MAX: usize = 100;
/// Options of a variant.
pub const OPTIONS_MAX: usize = 8;
/// Attributes of a product.
pub const ATTRIBUTES_MAX: usize = 50;
/// Price lists of a variant.
pub const PRICES_MAX: usize = 30;
/// Bytes of a slug.
pub const SLUG_BYTES_MAX: usize = 80;
/// Bytes of a SKU's code.
pub const SKU_BYTES_MAX: usize = 64;
/// Bytes of a product's description.
pub const DESCRIPTION_BYTES_MAX: usize = 10_000;
/// Views of one `put_views`.
pub const PUT_VIEWS_MAX: usize = 1_000;
/// Bytes of the body of a view that another service puts.
pub const PUT_VIEW_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the key of a view that another service puts.
pub const VIEW_KEY_BYTES_MAX: usize = 100;
/// Bands of one `set_bands`.
pub const SET_BANDS_MAX: usize = 10_000;
/// SKUs of one `price_lines`: a cart's worth.
pub const PRICE_LINES_MAX: usize = bodega_domain::limits::CART_LINES_MAX;
/// Entries of one page of views.
pub const VIEWS_PAGE_MAX: u32 = 1_000;
/// Bytes of the bodies on one page of views: with keys and JSON around them it stays below a message's size.
pub const VIEWS_PAGE_BYTES_MAX: i64 = 600 * 1024;
/// Results that a search can be paged through.
pub const SEARCH_RESULTS_MAX: i64 = 1_000;
/// Words of a search query that count.
pub const SEARCH_WORDS_MAX: usize = 12;
/// Rows that the sequencer gives positions in one transaction.
pub const SEQUENCE_BATCH_MAX: i64 = 5_000;
/// Days for which a deletion is told to edges: one that was away for longer gets a snapshot.
pub const DELETIONS_TOLD_DAYS: i64 = 7;
/// Rows deleted in one statement.
pub const SWEEP_ROWS_MAX: i64 = 5_000;
