//! Orders: the list, and one of them with its timeline.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    fulfilment::Units,
    id::OrderId,
    message::{
        order::{Get, History, HistoryEntry, List, RenewLink},
        payment::{TransferView, TransfersOf},
    },
    order::{OrderStatus, OrderView},
};
use maud::{Markup, html};

use super::{
    address, calling_off,
    layout::Page,
    mails, returns, shipping,
    table::{chips, facts, pager, table},
    visit::{Done, Visit},
    words::{badge, code, json, plain, time},
};

const ORDERS_PER_PAGE: u32 = 30;

const STATUSES: [OrderStatus; 7] = [
    OrderStatus::AwaitingPayment,
    OrderStatus::Paid,
    OrderStatus::InFulfilment,
    OrderStatus::Delivered,
    OrderStatus::Completed,
    OrderStatus::Cancelled,
    OrderStatus::Expired,
];

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    let status = match visit.query("status") {
        None => None,
        Some(asked) => Some(
            STATUSES
                .into_iter()
                .find(|status| status.as_str() == asked)
                .ok_or_else(|| Failure::new(Code::BadRequest, "There is no such status of orders."))?,
        ),
    };
    let list = List { status, all: true, cursor: visit.cursor(), limit: Some(ORDERS_PER_PAGE) };
    let orders = visit.ask(list).await?;
    let filter = status.map(|status| format!("status={}", status.as_str())).unwrap_or_default();
    let body = html! {
        (chips("Orders by status", &visit.at("/orders"), "status", &STATUSES.map(OrderStatus::as_str), status.map(OrderStatus::as_str)))
        (rows(&visit, &orders.items, "No orders here."))
        (pager(&visit.at("/orders"), &filter, visit.cursor().is_some(), orders.next_cursor.as_deref()))
    };
    Ok(Page::new("Orders", body))
}

/// A table of orders. A merchant is told the value of the own parts, not of the whole.
pub(super) fn rows(visit: &Visit, orders: &[OrderView], empty: &str) -> Markup {
    let rows = orders
        .iter()
        .map(|order| {
            let pieces: u32 = order.lines.iter().map(|line| line.quantity).sum();
            vec![
                html! { a href=(visit.at(format_args!("/orders/{}", order.id))) { (order.number) } },
                time(order.placed_at),
                badge(order.status.as_str()),
                html! { (plain(&code(order.payment.status))) },
                html! { span.num { (pieces) } },
                html! { span.num { (order.totals.total) } },
            ]
        })
        .collect();
    let sum = if visit.is_admin() { "Total" } else { "Your part" };
    table("Newest first", &["Order", "Placed", "Status", "Payment", "Pieces", sum], rows, empty)
}

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let id: OrderId = visit.part("order")?;
    let order = visit.ask(Get { order: id }).await?;
    // The books name other merchants' amounts.
    let for_admins = async {
        if visit.is_admin() {
            Some(tokio::join!(visit.ask(TransfersOf { order: id }), mails::about(&visit, id)))
        } else {
            None
        }
    };
    let (history, notes, for_admins) =
        tokio::join!(visit.ask(History { order: id }), super::notes::about(&visit, id), for_admins);
    let history = history?;
    let (transfers, mails) = for_admins.unzip();
    let body = html! {
        p.lead { (badge(order.status.as_str())) " placed " (time(order.placed_at)) }
        (super::late::section(&visit, &order))
        (lines(&order))
        div.columns {
            section aria-labelledby="sums" { h2 id="sums" { "Amounts" } (amounts(&visit, &order)) }
            section aria-labelledby="state" { h2 id="state" { "State" } (state(&visit, &order)) }
        }
        (address::section(&visit, &order))
        (shipping::section(&visit, &order))
        (returns::section(&visit, &order))
        (super::notes::section(&visit, id, notes.as_deref()))
        section aria-labelledby="story" { h2 id="story" { "What happened" } (timeline(&history)) }
        @if let Some(transfers) = &transfers {
            section aria-labelledby="books" {
                h2 id="books" { "Ledger" }
                @match transfers {
                    Ok(transfers) => { (ledger(transfers)) }
                    Err(failure) => { p.notice { "The ledger could not be read: " (failure.detail) } }
                }
            }
        }
        @if let Some(mails) = &mails { (mails::section(&visit, id, mails)) }
        (calling_off::section(&visit, &order))
        @if visit.is_admin() { (link_form(&visit, &order)) (super::forget::section(&visit, &order, &history)) }
    };
    Ok(Page::new(format!("Order {}", order.number), body))
}

fn lines(order: &OrderView) -> Markup {
    let touched = order.lines.iter().any(|line| !line.units.untouched());
    let rows = order
        .lines
        .iter()
        .map(|line| {
            vec![
                html! { (line.title) },
                html! { code { (line.sku) } },
                html! { span.num { (line.quantity) } },
                html! { span.num { (line.unit_price) } },
                html! { span.num { @if line.discount.amount() > 0 { "−" } (line.discount) } },
                html! { span.num { (line.total) } },
                html! { (became(&line.units)) },
            ]
        })
        .collect();
    let heads = ["Article", "SKU", "Pieces", "Each", "Discount", "Total", "Of these"];
    // Cells beyond the heads are not shown.
    table("What was bought", if touched { &heads } else { &heads[..6] }, rows, "No lines.")
}

/// What became of the pieces of a line.
fn became(units: &Units) -> String {
    let counts = [
        (units.cancelled, "called off"),
        (units.preparing, "being sent"),
        (units.shipped, "shipped"),
        (units.delivered, "arrived"),
        (units.returning, "asked back"),
        (units.returned, "returned"),
    ];
    let some: Vec<String> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if some.is_empty() { "–".to_owned() } else { some.join(", ") }
}

fn amounts(visit: &Visit, order: &OrderView) -> Markup {
    let parts = order.parts.iter().map(|part| {
        html! { (part.total) " · " (part.skus.len()) " SKU · " (plain(&code(part.fulfilment))) }
    });
    let part = if visit.is_admin() { "Merchant's part" } else { "Your part" };
    let totals = &order.totals;
    let mut rows = vec![
        ("Goods", html! { (totals.subtotal) }),
        ("Discount", html! { (totals.discount) }),
        ("Shipping", html! { (totals.shipping) }),
        (if totals.tax_included { "Tax, inside" } else { "Tax, on top" }, html! { (totals.tax) }),
        ("Total", html! { strong { (totals.total) } }),
    ];
    rows.extend(parts.map(|facts| (part, facts)));
    facts(rows)
}

/// What is still to be taken, and until when the bank keeps it.
fn waiting(order: &OrderView) -> Option<Markup> {
    let waiting = order.payment.waiting()?;
    Some(html! {
        (waiting)
        @if let Some(until) = order.payment.capture_before { ", kept by the bank until " (time(until)) }
    })
}

/// A merchant's amounts are the share of the own parts in the one payment.
fn state(visit: &Visit, order: &OrderView) -> Markup {
    let amounts = &order.payment.amounts;
    let [authorised, captured, refunded] = if visit.is_admin() {
        ["Authorised", "Captured", "Refunded"]
    } else {
        ["Authorised, your share", "Captured, your share", "Refunded, your share"]
    };
    let mut rows = vec![
        ("Payment", badge(&code(order.payment.status))),
        (authorised, html! { (amounts.authorised) }),
        (captured, html! { (amounts.captured) }),
        (refunded, html! { (amounts.refunded) }),
    ];
    rows.extend(waiting(order).map(|waiting| ("Taken as goods leave", waiting)));
    rows.extend([
        ("Fulfilment", html! { (plain(&code(order.fulfilment))) }),
        ("Returns", html! { (plain(&code(order.returns))) }),
        ("Id", html! { code { (order.id) } }),
    ]);
    facts(rows)
}

fn timeline(history: &[HistoryEntry]) -> Markup {
    html! {
        ol.timeline {
            @for entry in history {
                li {
                    strong { (plain(&entry.what)) } " " span.fine { (time(entry.at)) " by " (entry.who) }
                    @if let Some(data) = entry.data.as_object().filter(|data| !data.is_empty()) {
                        (json(&html! { "Details" }, data))
                    }
                }
            }
        }
    }
}

fn ledger(transfers: &[TransferView]) -> Markup {
    let rows = transfers
        .iter()
        .map(|transfer| {
            vec![
                html! { (plain(&transfer.reason)) },
                time(transfer.at),
                html! { code { (transfer.debit) } },
                html! { code { (transfer.credit) } },
                html! { span.num { (transfer.amount) } },
            ]
        })
        .collect();
    table("Transfers of this order", &["Why", "When", "Debit", "Credit", "Amount"], rows, "No money has moved yet.")
}

/// Whether a guest ordered is in the history alone; for an account's order a new link changes nothing.
fn link_form(visit: &Visit, order: &OrderView) -> Markup {
    html! {
        section aria-labelledby="link" {
            h2 id="link" { "Guest's link" }
            form.sheet method="post" action=(visit.at(format_args!("/orders/{}/link", order.id))) {
                p.fine { "If somebody else has seen it: every link that was given out opens nothing from then on. The guest finds the new one on the order's page." }
                button.button.quiet type="submit" { "Undo the link" }
            }
        }
    }
}

pub(crate) async fn renew_link(visit: Arc<Visit>) -> Result<Done, Failure> {
    let order: OrderId = visit.part("order")?;
    let now = visit.ask(RenewLink { order }).await?;
    let said = format!("The guest's link of order {} is another one now.", now.number);
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}
