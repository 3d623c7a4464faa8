//! A file a request, or a family of requests that share their rules.

pub(crate) mod plugin;
pub(crate) mod promotion;
pub(crate) mod quote;

use bodega_domain::{Code, Failure, id::MerchantId, limits::LIST_LIMIT_MAX, message::Page, principal::Principal};
use serde::Serialize;

/// Items of one page.
const PAGE_ITEMS_MAX: usize = LIST_LIMIT_MAX as usize;
/// Bytes of the items on one page as JSON: with what is around them it stays below a message's size. The largest plugin,
/// with [`OWNER_PROMOTIONS_MAX`](bodega_domain::limits::OWNER_PROMOTIONS_MAX) configurations, fits.
const PAGE_BYTES_MAX: usize = 600 * 1024;

/// A page out of one row more than it may have items; configurations may be large, so that fewer fit.
fn page<T: Serialize>(mut found: Vec<T>, items_max: usize, cursor_of: impl Fn(&T) -> String) -> Page<T> {
    let mut bytes = 0;
    let size = |item: &T| serde_json::to_vec(item).map_or(0, |json| json.len());
    let fit = found.iter().take(items_max).take_while(|item| {
        bytes += size(item);
        bytes <= PAGE_BYTES_MAX
    });
    let fit = fit.count().max(1);
    let more = found.len() > fit;
    found.truncate(fit);
    let next_cursor = found.last().filter(|_| more).map(cursor_of);
    Page { items: found, next_cursor }
}

/// Whose promotion the asker may write: merchants their own, admins and services anybody's and the marketplace's.
pub(crate) fn writes_for(principal: &Principal, wanted: Option<MerchantId>) -> Result<Option<MerchantId>, Failure> {
    if principal.acts_for_all() {
        return Ok(wanted);
    }
    let own: Vec<MerchantId> = principal.merchants().collect();
    match (wanted, own.as_slice()) {
        (Some(merchant), own) if own.contains(&merchant) => Ok(Some(merchant)),
        (None, [only]) => Ok(Some(*only)),
        _ => Err(Code::Forbidden.into()),
    }
}

/// Whose promotions the asker may see; an empty list is everybody's.
pub(crate) fn reads_of(principal: &Principal, wanted: Option<MerchantId>) -> Result<Vec<MerchantId>, Failure> {
    let all = principal.acts_for_all();
    let own: Vec<MerchantId> = principal.merchants().collect();
    match wanted {
        Some(merchant) if all || own.contains(&merchant) => Ok(vec![merchant]),
        None if all => Ok(Vec::new()),
        None if !own.is_empty() => Ok(own),
        _ => Err(Code::Forbidden.into()),
    }
}
