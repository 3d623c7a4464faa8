//! Every limit of this crate alone, with its unit in the name; those shared with the core are in the domain crate.

use bodega_domain::{
    Code, Failure,
    limits::{EDGE_BODY_BYTES_MAX, REPLICATION_BATCH_BYTES_MAX},
};

use crate::platform::Request;

/// Bytes of a path: the longest one we make, an order's secret link, has 80.
pub(crate) const PATH_BYTES_MAX: usize = 1024;
/// Bytes of a query: a search text, percent-encoded, and a cursor.
pub(crate) const QUERY_BYTES_MAX: usize = 4096;
/// Bytes of all headers together: a full cart, a session and a refresh token fit three times.
pub(crate) const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a product's or category's slug.
pub(crate) const SLUG_BYTES_MAX: usize = 100;
/// Bytes of a SKU's code.
pub(crate) const SKU_BYTES_MAX: usize = 64;
/// Milliseconds a read may wait for the core before the first snapshot has come.
pub(crate) const FALLBACK_READ_MS: i64 = 300;
/// Milliseconds a search may take.
pub(crate) const SEARCH_MS: i64 = 2_000;
/// Bytes of a picture that is read through and kept.
pub(crate) const MEDIA_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Where replication is received: the one place that takes large bodies.
pub(crate) const INGEST_PATH: &str = "/_edge/v1/ingest";

/// Refuses what is too large before anything else looks at it.
pub(crate) fn check(request: &Request) -> Result<(), Failure> {
    let headers: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > HEADERS_BYTES_MAX {
        return Err(Failure::new(Code::BadRequest, "The headers are larger than this shop reads."));
    }
    if request.path.len() > PATH_BYTES_MAX || request.query.len() > QUERY_BYTES_MAX {
        return Err(Failure::new(Code::BadRequest, "The address is longer than any of this shop."));
    }
    let body_max = if request.path == INGEST_PATH { REPLICATION_BATCH_BYTES_MAX } else { EDGE_BODY_BYTES_MAX };
    if request.body.len() > body_max {
        return Err(Failure::new(Code::PayloadTooLarge, format!("At most {body_max} bytes are read here.")));
    }
    Ok(())
}
