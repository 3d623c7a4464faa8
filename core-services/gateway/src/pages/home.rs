//! The overview: what wants attention.

use std::{collections::BTreeMap, sync::Arc};

use bodega_domain::{
    Failure,
    limits::LIST_LIMIT_MAX,
    message::{order::List, payment::Exceptions, replicator::Edges},
};
use maud::{Markup, html};

use super::{
    layout::Page,
    orders,
    services::{edges_table, health},
    table::table,
    visit::Visit,
    words::{plain, time},
};

/// Newest orders shown in full.
const ORDERS_SHOWN: usize = 8;

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let orders = visit.ask(List { all: true, limit: Some(LIST_LIMIT_MAX), ..List::default() }).await?.items;
    let mut counts = BTreeMap::<&str, u32>::new();
    for order in &orders {
        *counts.entry(order.status.as_str()).or_default() += 1;
    }
    let attention = if visit.is_admin() {
        attention(&visit).await
    } else {
        html! {}
    };
    let body = html! {
        section aria-labelledby="counts" {
            h2 id="counts" { "Orders" }
            @if orders.is_empty() { p.empty { "No orders yet." } } @else {
                ul.numbers {
                    @for (status, count) in counts {
                        li { a href=(visit.at(format_args!("/orders?status={status}"))) { strong { (count) } " " (plain(status)) } }
                    }
                }
                p.fine { "Of the newest " (orders.len()) "." }
            }
        }
        (attention)
        @if !orders.is_empty() {
            section aria-labelledby="newest" {
                h2 id="newest" { "Newest orders" }
                (orders::rows(&visit, &orders[..orders.len().min(ORDERS_SHOWN)], "No orders yet."))
                p { a href=(visit.at("/orders")) { "All orders" } }
            }
        }
    };
    Ok(Page::new("Overview", body))
}

/// Each part stands alone: a service that does not answer takes its own part of the page and no more.
async fn attention(visit: &Visit) -> Markup {
    let (exceptions, edges, services) =
        tokio::join!(visit.ask(Exceptions::default()), visit.ask(Edges {}), health(&visit.context));
    let silent: Vec<_> = services.iter().filter(|service| !service.answers()).map(|service| service.name).collect();
    html! {
        section aria-labelledby="odd" {
            h2 id="odd" { "Payments to look at" }
            @match exceptions {
                Err(failure) => { (unread(&failure)) }
                Ok(page) => {
                    (table("Newest first", &["Order", "What", "Since", "Known"], page.items.iter().map(|one| vec![
                        html! {
                            @if let Some(order) = one.order { a href=(visit.at(format_args!("/orders/{order}"))) { code { (order) } } }
                            @else { "none" }
                        },
                        html! { (plain(&one.kind)) },
                        time(one.opened_at),
                        html! { code { (one.detail) } },
                    ]).collect(), "None. Every payment is as it should be."))
                }
            }
        }
        div.columns {
            section aria-labelledby="services" {
                h2 id="services" { "Services" }
                @if silent.is_empty() { p { "All " (services.len()) " services answer." } }
                @else { p.notice.bad { "No answer from " (silent.join(", ")) "." } }
                p { a href=(visit.at("/services")) { "Services and edges" } }
            }
            section aria-labelledby="edges" {
                h2 id="edges" { "Edges" }
                @match edges { Err(failure) => { (unread(&failure)) } Ok(edges) => { (edges_table(&edges)) } }
            }
        }
    }
}

pub(super) fn unread(failure: &Failure) -> Markup {
    html! { p.notice { "This could not be read: " (failure.detail) } }
}
