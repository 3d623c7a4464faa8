//! Reads of the catalogue: out of the edge's key-value store, and only before the first complete snapshot out of the core.

use bodega_domain::{
    Code, Failure,
    catalog::{CategoryView, ListingPage, ProductCard, ProductView, SkuNo, SkuView, keys},
    limits::CATEGORY_PAGE_PRODUCTS,
    message::{self, Page},
    promotion::Rule,
};
use serde::de::DeserializeOwned;

use crate::{
    core_link::ask,
    ingest,
    limits::{FALLBACK_READ_MS, SKU_BYTES_MAX, SLUG_BYTES_MAX},
    platform::Platform,
    visit::Visit,
};

/// The category that holds everything.
pub(crate) const ALL: &str = "all";

/// Lower-case letters, digits and dashes: anything else names nothing, and never becomes part of a key.
pub(crate) fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= SLUG_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Letters, digits, dashes, dots and underscores.
pub(crate) fn is_sku(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= SKU_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// A view by kind and key. `None`: it is not there, which means something only after a snapshot.
pub(crate) async fn view<P: Platform, T: DeserializeOwned>(
    visit: &Visit<'_, P>,
    kind: &str,
    key: &str,
) -> Result<Option<T>, Failure> {
    let full = format!("{kind}/{key}");
    let bytes = visit.platform.kv_get(&full).await.map_err(|error| {
        visit.warn("kv_get", &error.to_string());
        not_ready()
    })?;
    let Some(bytes) = bytes else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        visit.warn("kv_value", &format!("{full}: {error}"));
        Failure::new(Code::EdgeFault, "What this edge has stored cannot be read. It is logged under the request id.")
    })
}

fn not_ready() -> Failure {
    Failure::new(Code::EdgeNotReady, "This edge is still receiving the catalogue. Try again in a moment.")
        .retry_after_s(2)
}

/// Whether a complete snapshot has come: from then on a missing key is a thing that does not exist.
pub(crate) async fn is_ready<P: Platform>(visit: &Visit<'_, P>) -> bool {
    ingest::position(visit).await.is_ok_and(|position| position.ready)
}

/// What a missing key means: nothing there after a snapshot, a question to the core before it.
async fn missing<P: Platform, R: message::Request>(
    visit: &Visit<'_, P>,
    request: &R,
    absent: Code,
) -> Result<R::Answer, Failure> {
    if is_ready(visit).await {
        return Err(absent.into());
    }
    ask(visit, None, request, FALLBACK_READ_MS).await.map_err(|error| match error {
        crate::core_link::AskError::Refused(failure) => failure,
        _ => not_ready(),
    })
}

/// A product.
pub(crate) async fn product<P: Platform>(visit: &Visit<'_, P>, slug: &str) -> Result<ProductView, Failure> {
    if !is_slug(slug) {
        return Err(Code::ProductNotFound.into());
    }
    match view(visit, keys::PRODUCT, slug).await? {
        Some(product) => Ok(product),
        None => missing(visit, &message::catalog::Get { slug: slug.to_owned() }, Code::ProductNotFound).await,
    }
}

/// All categories in display order.
pub(crate) async fn categories<P: Platform>(visit: &Visit<'_, P>) -> Result<Vec<CategoryView>, Failure> {
    match view(visit, keys::CATEGORIES, ALL).await? {
        Some(categories) => Ok(categories),
        None => match missing(visit, &message::catalog::Categories {}, Code::CategoryNotFound).await {
            Err(failure) if failure.code == Code::CategoryNotFound => Ok(Vec::new()),
            other => other,
        },
    }
}

/// One stored page of a category, from 1.
pub(crate) async fn listing<P: Platform>(
    visit: &Visit<'_, P>,
    category: &str,
    page: u32,
) -> Result<ListingPage, Failure> {
    if !is_slug(category) {
        return Err(Code::CategoryNotFound.into());
    }
    if let Some(listing) = view(visit, keys::LISTING, &format!("{category}/{page}")).await? {
        return Ok(listing);
    }
    let request = message::catalog::List {
        category: Some(category.to_owned()).filter(|category| category != ALL),
        merchant: None,
        cursor: None,
        limit: u32::try_from(CATEGORY_PAGE_PRODUCTS).ok(),
    };
    if page > 1 {
        return Err(if is_ready(visit).await { Code::CategoryNotFound.into() } else { not_ready() });
    }
    let items = match missing(visit, &request, Code::CategoryNotFound).await {
        // Nothing was ever put on this shelf, so that no page of it was stored.
        Err(failure) if failure.code == Code::CategoryNotFound && is_shelf(visit, category).await? => Vec::new(),
        other => other?.items,
    };
    let total = u32::try_from(items.len()).unwrap_or(u32::MAX);
    Ok(ListingPage { items, pages: 1, total })
}

/// Whether there is such a category, with or without products.
async fn is_shelf<P: Platform>(visit: &Visit<'_, P>, category: &str) -> Result<bool, Failure> {
    Ok(category == ALL || categories(visit).await?.iter().any(|known| known.slug == category))
}

/// Products `offset..offset + limit` of a category, over the stored pages that hold them.
pub(crate) async fn cards<P: Platform>(
    visit: &Visit<'_, P>,
    category: &str,
    offset: usize,
    limit: usize,
) -> Result<Page<ProductCard>, Failure> {
    let mut items = Vec::with_capacity(limit);
    let mut at = offset;
    loop {
        let page = u32::try_from(at / CATEGORY_PAGE_PRODUCTS).unwrap_or(u32::MAX).saturating_add(1);
        let stored = match listing(visit, category, page).await {
            // A cursor beyond the end is the end, not a category that is gone.
            Err(failure) if failure.code == Code::CategoryNotFound && page > 1 => break,
            other => other?,
        };
        let wanted = limit.saturating_sub(items.len());
        let before = items.len();
        items.extend(stored.items.into_iter().skip(at % CATEGORY_PAGE_PRODUCTS).take(wanted));
        at = at.saturating_add(items.len().saturating_sub(before));
        if page >= stored.pages || items.len() >= limit || items.len() == before {
            let total = usize::try_from(stored.total).unwrap_or(usize::MAX);
            let next_cursor = (at < total && !items.is_empty()).then(|| at.to_string());
            return Ok(Page { items, next_cursor });
        }
    }
    Ok(Page { items, next_cursor: None })
}

/// A SKU by its number.
pub(crate) async fn sku<P: Platform>(visit: &Visit<'_, P>, no: SkuNo) -> Result<Option<SkuView>, Failure> {
    view(visit, keys::SKU, &no.to_string()).await
}

/// Declarative promotion rules, for estimates. Without them a cart is estimated without discounts.
pub(crate) async fn rules<P: Platform>(visit: &Visit<'_, P>) -> Vec<Rule> {
    view(visit, keys::PROMOTIONS, "active").await.unwrap_or_default().unwrap_or_default()
}

/// The number of a SKU's code.
pub(crate) async fn sku_no<P: Platform>(visit: &Visit<'_, P>, code: &str) -> Result<SkuNo, Failure> {
    if !is_sku(code) {
        return Err(Code::SkuNotFound.into());
    }
    match view(visit, keys::SKU_CODE, code).await? {
        Some(no) => Ok(no),
        None if is_ready(visit).await => Err(Code::SkuNotFound.into()),
        None => Err(not_ready()),
    }
}
