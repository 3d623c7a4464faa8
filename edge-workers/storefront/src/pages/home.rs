//! `/`: the shop window.

use bodega_domain::catalog::CategoryView;
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
    respond::{self, Answer},
    visit::Visit,
};

/// Products in the window.
const WINDOW: usize = 12;

/// `GET /`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let categories = catalog::categories(visit).await?;
    let window = catalog::cards(visit, catalog::ALL, 0, WINDOW).await?.items;
    let known = known(visit);
    let rules = catalog::rules(visit).await;
    let (key, added, action) = (form_key(visit), added(visit), here(visit, &["added"]));
    let content = html! {
        (card::added_notice(added.as_deref()))
        section.hello {
            div {
                h1 { "Good things, round the corner" }
                p { "Bread from this morning, soap that lasts, and the battery you forgot. Open all night." }
                (offers(&rules, None))
            }
            (still_life(&categories))
        }
        (shelves(&categories))
        section aria-labelledby="window" {
            h2 #window { "In the window" }
            @if window.is_empty() {
                p.empty { "The window is still being dressed. Look in again soon." }
            } @else {
                (shelf(&window, Shelf { currency: known.currency, action: &action, key: &key, added: added.as_deref() }))
                p.more { a.button.quiet href="/c/all" { "See everything" } }
            }
        }
    };
    let frame = Frame {
        title: "The shop on every corner",
        description: Some("Groceries, bread, flowers and the small things of the house, from the shop on the corner."),
        currencies: true,
        ..Frame::default()
    };
    Ok(respond::page_read(page(visit, frame, known, content), &key))
}

fn shelves(categories: &[CategoryView]) -> Markup {
    html! {
        nav aria-labelledby="shelves" {
            h2 #shelves { "Along the shelves" }
            ul.doors {
                @for category in categories {
                    li { a.door href={ "/c/" (category.slug) } {
                        (card::picture(category.picture.as_ref(), true))
                        span dir="auto" { (category.title) }
                    } }
                }
            }
        }
    }
}

/// Three pictures for wide windows, where there is room for them.
fn still_life(categories: &[CategoryView]) -> Markup {
    let pictures: Vec<_> = categories.iter().filter_map(|category| category.picture.as_ref()).take(3).collect();
    html! {
        @if pictures.len() == 3 {
            div.still aria-hidden="true" {
                @for picture in pictures { img src=(card::source(picture)) alt="" width="120" height="120"; }
            }
        }
    }
}
