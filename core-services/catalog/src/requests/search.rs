//! `catalog.v1.search`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    catalog::ProductCard,
    limits::SEARCH_QUERY_BYTES_MAX,
    message::{Page, catalog::Search},
};
use bodega_platform::Call;

use super::{database, page_of, page_size, place_of};
use crate::{
    State,
    limits::{SEARCH_RESULTS_MAX, SEARCH_WORDS_MAX},
    store::{listing::ALL, read},
};

pub(crate) async fn search(state: Arc<State>, _call: Call, request: Search) -> Result<Page<ProductCard>, Failure> {
    if request.q.len() > SEARCH_QUERY_BYTES_MAX {
        let failure = Failure::from(Code::ValidationFailed);
        return Err(failure.field("/q", "too_long", "At most 200 bytes."));
    }
    // A zero byte cannot be bound as text.
    let typed = request.q.replace('\0', " ");
    let (size, after) = (page_size(request.limit), place_of(request.cursor.as_deref())?);
    if typed.trim().is_empty() || after >= SEARCH_RESULTS_MAX {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    }
    let category = request.category.as_deref().filter(|slug| *slug != ALL);
    let pool = state.context.postgres().pool();
    let cards = read::search(pool, (&typed, &prefixes(&typed)), category, (after, size + 1)).await.map_err(database)?;
    Ok(page_of(cards, size))
}

/// A `tsquery` for products in which every typed word is a beginning: what a shopper who is still typing means. Empty
/// when the words carry operators of `websearch_to_tsquery`, which say exactly what is meant.
fn prefixes(typed: &str) -> String {
    let operators =
        typed.contains('"') || typed.split_whitespace().any(|w| w.starts_with('-') || w.eq_ignore_ascii_case("or"));
    if operators {
        return String::new();
    }
    // Only letters and digits are left, so nothing can leave the quotes.
    typed
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(SEARCH_WORDS_MAX)
        .map(|word| format!("'{word}':*"))
        .collect::<Vec<_>>()
        .join(" & ")
}

#[cfg(test)]
mod tests {
    use super::prefixes;

    #[test]
    fn every_word_is_a_beginning() {
        assert_eq!(prefixes("rye bre"), "'rye':* & 'bre':*");
        assert_eq!(prefixes("crème, 2% (x)"), "'crème':* & '2':* & 'x':*");
    }

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(prefixes("a':* | 'b\\"), "'a':* & 'b':*");
        assert_eq!(prefixes("''':&|!()"), "");
    }

    #[test]
    fn operators_say_what_is_meant() {
        assert_eq!(prefixes("\"rye bread\""), "");
        assert_eq!(prefixes("bread -rye"), "");
        assert_eq!(prefixes("rye OR wheat"), "");
    }
}
