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

/// Marks a cursor among the results of the second look.
const LOOSE: char = 'l';
/// Letters that a word keeps at least, and that it loses at most, in the second look: "berries" finds "berry".
const LOOSE_LETTERS_MIN: usize = 4;
const LOOSE_LETTERS_CUT: usize = 3;

pub(crate) async fn search(state: Arc<State>, _call: Call, request: Search) -> Result<Page<ProductCard>, Failure> {
    if request.q.len() > SEARCH_QUERY_BYTES_MAX {
        let failure = Failure::from(Code::ValidationFailed);
        return Err(failure.field("/q", "too_long", "At most 200 bytes."));
    }
    let typed = request.q.as_str();
    let cursor = request.cursor.as_deref();
    let (loosely, cursor) = match cursor.and_then(|text| text.strip_prefix(LOOSE)) {
        Some(rest) => (true, Some(rest)),
        None => (false, cursor),
    };
    let (size, after) = (page_size(request.limit), place_of(cursor)?);
    if typed.trim().is_empty() || after >= SEARCH_RESULTS_MAX {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    }
    let category = request.category.as_deref().filter(|slug| *slug != ALL);
    if category.is_some_and(|slug| !crate::validate::is_slug(slug)) {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    }
    let pool = state.context.postgres().pool();
    let exact = prefixes(typed, |word| word);
    if !loosely {
        let cards = read::search(pool, (typed, &exact), category, (after, size + 1)).await.map_err(database)?;
        if !cards.is_empty() || after > 0 || exact.is_empty() {
            return Ok(page_of(cards, size));
        }
    }
    // Nothing begins like that: perhaps another ending does.
    let loose = prefixes(typed, shortened);
    let cards = read::search(pool, ("", &loose), category, (after, size + 1)).await.map_err(database)?;
    let mut page = page_of(cards, size);
    page.next_cursor = page.next_cursor.map(|cursor| format!("{LOOSE}{cursor}"));
    Ok(page)
}

/// A `tsquery` for products in which every typed word is a beginning: what a shopper who is still typing means. Empty
/// when the words carry operators of `websearch_to_tsquery`, which say exactly what is meant.
fn prefixes(typed: &str, cut: fn(&str) -> &str) -> String {
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
        .map(|word| format!("'{}':*", cut(word)))
        .collect::<Vec<_>>()
        .join(" & ")
}

/// A word without its ending.
fn shortened(word: &str) -> &str {
    let letters = word.chars().count();
    let kept = letters.saturating_sub(LOOSE_LETTERS_CUT).max(LOOSE_LETTERS_MIN);
    word.char_indices().nth(kept).map_or(word, |(end, _)| &word[..end])
}

#[cfg(test)]
mod tests {
    use super::{prefixes as with, shortened};

    fn prefixes(typed: &str) -> String {
        with(typed, |word| word)
    }

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

    #[test]
    fn a_word_without_its_ending_keeps_whole_letters() {
        assert_eq!(
            ["apples", "berries", "tea", "Äpfelchen", "いちごジャム"].map(shortened),
            ["appl", "berr", "tea", "Äpfelc", "いちごジ"]
        );
    }
}
