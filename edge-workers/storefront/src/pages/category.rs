//! `/c/{category}`: a shelf, page by page.

use bodega_domain::{Code, Failure, catalog::CategoryView};
use maud::{Markup, html};

use super::{
    browse::{added, form_key},
    card::{self, Shelf, shelf},
    frame::{Frame, here, known, page},
    offers::offers,
};
use crate::{
    catalog,
    platform::Platform,
    read,
    respond::{self, Answer},
    visit::Visit,
};

/// Pages of a category that can be asked for.
const PAGES_MAX: u32 = 100_000;

/// `GET /c/{category}?page=`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, slug: &str) -> Answer {
    let number = read::query_number(visit, "page", 1..=PAGES_MAX)?.unwrap_or(1);
    let categories = catalog::categories(visit).await?;
    let category = categories.iter().find(|category| category.slug == slug);
    if category.is_none() && slug != catalog::ALL {
        return Err(Failure::new(Code::CategoryNotFound, "We have no such shelf. Perhaps it was moved."));
    }
    let listing = catalog::listing(visit, slug, number).await?;
    let (title, description) =
        category.map_or(("Everything we have", ""), |c| (c.title.as_str(), c.description.as_str()));
    let known = known(visit);
    let rules = catalog::rules(visit).await;
    let (key, added, action) = (form_key(visit), added(visit), here(visit, &["added"]));
    let content = html! {
        (chips(&categories, slug))
        (card::added_notice(added.as_deref()))
        div.heading {
            h1 dir="auto" { (title) }
            @if !description.is_empty() { p dir="auto" { (description) } }
            (offers(&rules, Some(slug)))
        }
        @if listing.items.is_empty() {
            p.empty { "This shelf is empty just now." }
        } @else {
            (shelf(&listing.items, Shelf { currency: known.currency, action: &action, key: &key, added: added.as_deref() }))
        }
        (pager(slug, number, listing.pages))
    };
    let frame = Frame {
        title,
        description: Some(description).filter(|text| !text.is_empty()),
        currencies: true,
        ..Frame::default()
    };
    Ok(respond::page_read(page(visit, frame, known, content), &key))
}

/// All shelves in one line, to move along.
pub(crate) fn chips(categories: &[CategoryView], current: &str) -> Markup {
    html! {
        nav.chips aria-label="Shelves" {
            ul {
                @for category in categories {
                    li { a href={ "/c/" (category.slug) } aria-current=[(category.slug == current).then_some("page")] dir="auto" { (category.title) } }
                }
            }
        }
    }
}

fn pager(slug: &str, number: u32, pages: u32) -> Markup {
    html! {
        @if pages > 1 {
            nav.pager aria-label="Pages" {
                @if number > 1 { a.button.quiet href={ "/c/" (slug) "?page=" (number - 1) } rel="prev" { "← Before" } }
                span { "Page " (number) " of " (pages) }
                @if number < pages { a.button.quiet href={ "/c/" (slug) "?page=" (number + 1) } rel="next" { "Next →" } }
            }
        }
    }
}
