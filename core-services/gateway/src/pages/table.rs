//! Tables that turn into cards on a phone, and the links from page to page of a list.

use maud::{Markup, html};

use super::words::plain;

/// A table, or what to say when it would be empty. The first cell of a row names the row. The roles are written out,
/// because browsers forget them where the table is laid out as cards.
pub(crate) fn table(caption: &str, heads: &[&str], rows: Vec<Vec<Markup>>, empty: &str) -> Markup {
    if rows.is_empty() {
        return html! { p.empty { (empty) } };
    }
    html! {
        table role="table" {
            caption { (caption) }
            thead role="rowgroup" {
                tr role="row" { @for head in heads { th scope="col" role="columnheader" { (head) } } }
            }
            tbody role="rowgroup" {
                @for row in rows {
                    tr role="row" {
                        @for (index, (cell, head)) in row.into_iter().zip(heads).enumerate() {
                            @if index == 0 { th scope="row" role="rowheader" { (cell) } }
                            @else { td role="cell" data-head=(head) { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// Links to a list with and without each value of a filter, `chosen` being where the visitor is.
pub(crate) fn chips(label: &str, address: &str, filter: &str, values: &[&str], chosen: Option<&str>) -> Markup {
    html! {
        nav.chips aria-label=(label) {
            ul {
                li { a href=(address) aria-current=[chosen.is_none().then_some("true")] { "All" } }
                @for value in values {
                    li {
                        a href={ (address) "?" (filter) "=" (value) }
                            aria-current=[(chosen == Some(*value)).then_some("true")] { (plain(value)) }
                    }
                }
            }
        }
    }
}

/// First page and next page of a list. `filter` is the rest of the query, already escaped.
pub(crate) fn pager(address: &str, filter: &str, began: bool, next: Option<&str>) -> Markup {
    let and = if filter.is_empty() { "" } else { "&" };
    html! {
        @if began || next.is_some() {
            nav.pager aria-label="Pages of this list" {
                @if began { a.button.quiet href={ (address) "?" (filter) } { "Back to the start" } }
                @if let Some(next) = next {
                    a.button.quiet rel="next" href={ (address) "?" (filter) (and) "cursor=" (escape(next)) } { "Further" }
                }
            }
        }
    }
}

/// Text inside a query.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// Names and values.
pub(crate) fn facts(rows: Vec<(&str, Markup)>) -> Markup {
    html! { dl.facts { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } } }
}
