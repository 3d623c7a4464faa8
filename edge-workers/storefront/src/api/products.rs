//! Catalogue: products, one product, categories; a search asks the core.

use bodega_domain::{
    Code, Failure,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, SEARCH_QUERY_BYTES_MAX},
    message::catalog::Search,
};

use crate::{
    catalog,
    core_link::ask,
    limits::SEARCH_MS,
    platform::Platform,
    read,
    respond::{self, Answer},
    visit::Visit,
};

/// `GET /api/v1/products?category=&q=&cursor=&limit=`.
pub(crate) async fn list<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let limit = read::query_number(visit, "limit", 1..=LIST_LIMIT_MAX)?.unwrap_or(LIST_LIMIT_DEFAULT);
    let category = visit.query("category").filter(|category| !category.is_empty());
    if category.as_deref().is_some_and(|category| !catalog::is_slug(category)) {
        return Err(Code::CategoryNotFound.into());
    }
    let cursor = visit.query("cursor").filter(|cursor| !cursor.is_empty());
    if let Some(q) = visit.query("q").filter(|q| !q.trim().is_empty()) {
        let request = Search { q: checked_query(&q)?, category, cursor, limit: Some(limit) };
        let page = ask(visit, None, &request, SEARCH_MS).await.map_err(|error| error.of_read())?;
        return respond::json_read(&page);
    }
    let offset = match cursor {
        None => 0,
        Some(cursor) => cursor
            .parse::<usize>()
            .map_err(|_| Failure::new(Code::BadRequest, "`cursor` is not one that a list gave."))?,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = catalog::cards(visit, category.as_deref().unwrap_or(catalog::ALL), offset, limit).await?;
    respond::json_read(&page)
}

/// A search text within its bounds.
pub(crate) fn checked_query(q: &str) -> Result<String, Failure> {
    let q: String = q.trim().chars().filter(|c| !c.is_control()).collect();
    if q.len() > SEARCH_QUERY_BYTES_MAX {
        return Err(Failure::new(
            Code::BadRequest,
            format!("At most {SEARCH_QUERY_BYTES_MAX} bytes can be searched for."),
        ));
    }
    Ok(q)
}

/// `GET /api/v1/products/{slug}`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, slug: &str) -> Answer {
    respond::json_read(&catalog::product(visit, slug).await?)
}

/// `GET /api/v1/categories`.
pub(crate) async fn categories<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    #[derive(serde::Serialize)]
    struct Categories {
        items: Vec<bodega_domain::catalog::CategoryView>,
        next_cursor: Option<String>,
    }
    respond::json_read(&Categories { items: catalog::categories(visit).await?, next_cursor: None })
}
