//! The overview: what wants attention.

use std::{collections::BTreeMap, sync::Arc};

use bodega_domain::{
    Failure,
    id::OrderId,
    limits::LIST_LIMIT_MAX,
    message::{
        self, inventory,
        inventory::LowStock,
        order,
        order::{List, Returns, Sagas},
        payment,
        replicator::Edges,
    },
    order::ReturnState,
};
use maud::{Markup, html};

use super::{
    layout::Page,
    orders,
    services::edges_table,
    table::table,
    visit::{Done, Visit},
    words::{plain, time},
};
use crate::health::health;

/// Newest orders shown in full.
const ORDERS_SHOWN: usize = 8;

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let orders = visit.ask(List { all: true, limit: Some(LIST_LIMIT_MAX), ..List::default() }).await?.items;
    let mut counts = BTreeMap::<&str, u32>::new();
    for order in &orders {
        *counts.entry(order.status.as_str()).or_default() += 1;
    }
    let (waiting, attention) = if visit.is_admin() {
        tokio::join!(waiting(&visit), attention(&visit))
    } else {
        (waiting(&visit).await, html! {})
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
        (waiting)
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

/// What goes on only when somebody has decided about it.
async fn waiting(visit: &Visit) -> Markup {
    let requested = Returns { state: Some(ReturnState::Requested), limit: Some(LIST_LIMIT_MAX), ..Returns::default() };
    let returns = async { visit.ask(requested).await.map(|page| count(&page)) };
    let parked = async {
        if !visit.is_admin() {
            return Ok(None);
        }
        visit.ask(Sagas { parked: true, cursor: None }).await.map(|page| count(&page))
    };
    let low = async { visit.ask(LowStock::default()).await.map(|page| count(&page)) };
    let (returns, parked, low) = tokio::join!(returns, parked, low);
    let lists = [
        (returns, "/returns?state=requested", "Returns to decide about"),
        (parked, "/sagas?only=parked", "Parked, to be put right"),
        (low, "/stock/low", "Articles to order anew"),
    ];
    html! {
        section aria-labelledby="waiting" {
            h2 id="waiting" { "Waiting for you" }
            @if lists.iter().all(|(count, ..)| matches!(count, Ok(None))) {
                p.empty { "Nothing. Everything goes its way." }
            } @else {
                ul.numbers {
                    @for (count, list, what) in &lists {
                        @match count {
                            Err(failure) => li { (unread(failure)) },
                            Ok(Some(count)) => li { a href=(visit.at(list)) { strong { (count) } " " (what) } },
                            Ok(None) => {}
                        }
                    }
                }
            }
        }
    }
}

/// How many there are, or that there are more than on one page; nothing for none.
fn count<T>(page: &message::Page<T>) -> Option<String> {
    match (page.items.len(), &page.next_cursor) {
        (0, _) => None,
        (count, None) => Some(count.to_string()),
        (count, Some(_)) => Some(format!("{count}+")),
    }
}

/// Each part stands alone: a service that does not answer takes its own part of the page and no more.
async fn attention(visit: &Visit) -> Markup {
    let (payments, orders, stock, edges, services) = tokio::join!(
        visit.ask(payment::Exceptions::default()),
        visit.ask(order::Exceptions::default()),
        visit.ask(inventory::Exceptions::default()),
        visit.ask(Edges {}),
        health(&visit.context)
    );
    let silent: Vec<_> = services.iter().filter(|service| !service.answers()).map(|service| service.name).collect();
    html! {
        section aria-labelledby="odd" {
            h2 id="odd" { "Payments to look at" }
            @match payments {
                Err(failure) => { (unread(&failure)) }
                Ok(page) => {
                    (table("Newest first", &["Order", "What", "What to do", "Since", "Known", "Done"], page.items.iter().map(|one| vec![
                        link(visit, one.order),
                        html! { (plain(&one.kind)) },
                        html! {
                            (one.suggestion.text)
                            @if let Some(before) = one.detail["respond_before"].as_str() { br; strong { "Before " (before) } }
                        },
                        time(one.opened_at),
                        html! { code { (one.detail) } },
                        close_form(visit, "payments", &one.id, &one.kind),
                    ]).collect(), "None. Every payment is as it should be."))
                }
            }
        }
        section aria-labelledby="stuck" {
            h2 id="stuck" { "Orders to look at" }
            @match orders {
                Err(failure) => { (unread(&failure)) }
                Ok(page) => {
                    (table("Newest first", &["Order", "What", "Since", "Done"], page.items.iter().map(|one| vec![
                        link(visit, Some(one.order)),
                        html! { (plain(&one.kind)) },
                        time(one.opened_at),
                        close_form(visit, "orders", &one.id, &one.kind),
                    ]).collect(), "None. Every order goes its way."))
                }
            }
        }
        section aria-labelledby="short" {
            h2 id="short" { "Stock to look at" }
            @match stock {
                Err(failure) => { (unread(&failure)) }
                Ok(page) => {
                    (table("Promised beyond what was counted", &["SKU number", "Missing", "Since", "Where"], page.items.iter().map(|one| vec![
                        html! { (one.sku_no) },
                        html! { (one.short) },
                        time(one.opened_at),
                        html! { code { (one.location) } },
                    ]).collect(), "None. What is promised is there."))
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

fn link(visit: &Visit, order: Option<OrderId>) -> Markup {
    html! {
        @if let Some(order) = order { a href=(visit.at(format_args!("/orders/{order}"))) { code { (order) } } }
        @else { "none" }
    }
}

fn close_form(visit: &Visit, of: &str, id: &str, kind: &str) -> Markup {
    html! {
        form method="post" action=(visit.at(format_args!("/exceptions/{of}/{id}/close"))) {
            button.button.quiet type="submit" { "Done" span.vh { " with " (plain(kind)) } }
        }
    }
}

pub(crate) async fn close_payment(visit: Arc<Visit>) -> Result<Done, Failure> {
    visit.ask(payment::CloseException { exception: visit.part("exception")? }).await?;
    Ok(Done { to: visit.at(""), said: "That payment is done with.".to_owned() })
}

pub(crate) async fn close_order(visit: Arc<Visit>) -> Result<Done, Failure> {
    visit.ask(order::CloseException { exception: visit.part("exception")? }).await?;
    Ok(Done { to: visit.at(""), said: "That order is done with.".to_owned() })
}

pub(super) fn unread(failure: &Failure) -> Markup {
    html! { p.notice { "This could not be read: " (failure.detail) } }
}
