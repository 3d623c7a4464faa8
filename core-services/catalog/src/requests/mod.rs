//! A file a request.

pub(crate) mod categories;
pub(crate) mod digests;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod merchant;
pub(crate) mod price_lines;
pub(crate) mod put_views;
pub(crate) mod retire;
pub(crate) mod search;
pub(crate) mod set_bands;
pub(crate) mod upsert;
pub(crate) mod views;

use bodega_domain::{
    Code, Failure,
    catalog::ProductCard,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::Page,
};
use bodega_platform::{DatabaseError, sqlx};

use crate::store::read::Cards;

/// Items a page: what was asked for, within the limit.
fn page_size(asked: Option<u32>) -> i64 {
    i64::from(asked.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX))
}

/// Where a page begins. Cursors are places in an order; clients treat them as opaque.
fn place_of(cursor: Option<&str>) -> Result<i64, Failure> {
    match cursor {
        None => Ok(0),
        Some(text) => text.parse().ok().filter(|place| *place >= 0).ok_or_else(|| {
            Failure::new(Code::BadRequest, "The cursor is not one of ours.").field(
                "/cursor",
                "cursor",
                "Leave it out to begin.",
            )
        }),
    }
}

/// A page out of one row more than it has items.
fn page_of(mut cards: Cards, size: i64) -> Page<ProductCard> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = cards.len() > size;
    cards.truncate(size);
    let next_cursor = cards.last().filter(|_| more).map(|(place, _)| place.to_string());
    Page { items: cards.into_iter().map(|(_, card)| card.0).collect(), next_cursor }
}

fn database(error: sqlx::Error) -> Failure {
    DatabaseError::from(error).into()
}
