//! `/search?q=`: the one page that has to ask the core, and says so when it cannot.

use bodega_domain::{Failure, limits::LIST_LIMIT_DEFAULT, message::catalog::Search};
use http::StatusCode;
use maud::{Markup, html};

use super::{
    browse::{added, form_key},
    card::{self, Shelf, shelf},
    category::chips,
    frame::{Frame, Known, here, known, page},
};
use crate::{
    api::products::checked_query,
    catalog,
    core_link::ask,
    limits::SEARCH_MS,
    platform::Platform,
    respond::{self, Answer},
    visit::Visit,
};

/// `GET /search?q=`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let q = checked_query(&visit.query("q").unwrap_or_default())?;
    let known = known(visit);
    let categories = catalog::categories(visit).await.unwrap_or_default();
    let key = form_key(visit);
    let (status, found) = if q.is_empty() {
        (StatusCode::OK, html! { p.empty { "What are you looking for?" } })
    } else {
        let cursor = visit.query("cursor").filter(|cursor| !cursor.is_empty());
        let request = Search { q: q.clone(), category: None, cursor, limit: Some(LIST_LIMIT_DEFAULT) };
        match ask(visit, None, &request, SEARCH_MS).await {
            Ok(found) => (StatusCode::OK, results(visit, &q, &found, known, &key)),
            Err(error) => away(&error.of_read())?,
        }
    };
    let title = if q.is_empty() { "Search".to_owned() } else { format!("“{q}”") };
    let content = html! {
        (chips(&categories, ""))
        (card::added_notice(added(visit).as_deref()))
        div.heading { h1 dir="auto" { (title) } }
        (found)
    };
    let frame = Frame { title: &title, search: &q, currencies: true, private: true, ..Frame::default() };
    let markup = page(visit, frame, known, content);
    Ok(if status == StatusCode::OK { respond::page_read(markup, &key) } else { respond::page(status, markup) })
}

fn away(failure: &Failure) -> Result<(StatusCode, Markup), Failure> {
    if failure.code.http_status() < 500 {
        return Err(failure.clone());
    }
    Ok((
        StatusCode::SERVICE_UNAVAILABLE,
        html! {
            div.notice.bad role="status" {
                p { strong { "Search is away for a moment." } " Everything on the shelves is still here: have a look around, and try again soon." }
            }
        },
    ))
}

fn results<P: Platform>(
    visit: &Visit<'_, P>,
    q: &str,
    found: &bodega_domain::message::Page<bodega_domain::catalog::ProductCard>,
    known: Known,
    key: &str,
) -> Markup {
    let action = here(visit, &["added"]);
    let added = added(visit);
    let next = found.next_cursor.as_ref().map(|cursor| {
        form_urlencoded::Serializer::new("/search?".to_owned())
            .append_pair("q", q)
            .append_pair("cursor", cursor)
            .finish()
    });
    html! {
        @if found.items.is_empty() {
            p.empty { "Nothing on our shelves answers to that. Fewer words, or another one?" }
        } @else {
            (shelf(&found.items, Shelf { currency: known.currency, action: &action, key, added: added.as_deref() }))
            @if let Some(next) = next { p.more { a.button.quiet href=(next) { "More of these" } } }
        }
    }
}
