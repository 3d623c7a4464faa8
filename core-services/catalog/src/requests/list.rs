//! `catalog.v1.list`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    catalog::ProductCard,
    message::{Page, catalog::List},
};
use bodega_platform::Call;

use super::{database, page_of, page_size, place_of};
use crate::{
    State,
    store::{listing::ALL, read},
};

pub(crate) async fn list(state: Arc<State>, _call: Call, request: List) -> Result<Page<ProductCard>, Failure> {
    let pool = state.context.postgres().pool();
    let (size, after) = (page_size(request.limit), place_of(request.cursor.as_deref())?);
    let category = request.category.as_deref().filter(|slug| *slug != ALL);
    // Also keeps what cannot be bound as text away from the database.
    if category.is_some_and(|slug| !crate::validate::is_slug(slug)) {
        return Err(Code::CategoryNotFound.into());
    }
    let cards = read::list(pool, category, request.merchant, (after, size + 1)).await.map_err(database)?;
    if let (true, Some(slug)) = (cards.is_empty(), category)
        && !read::category_exists(pool, slug).await.map_err(database)?
    {
        return Err(Code::CategoryNotFound.into());
    }
    Ok(page_of(cards, size))
}
