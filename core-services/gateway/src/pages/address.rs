//! Where an order goes: on a page of its own, because whoever opens it is named in the order's history.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::OrderId,
    message::order::{Delivery, Get},
    order::{OrderStatus, OrderView},
};
use maud::{Markup, html};

use super::{layout::Page, visit::Visit};

/// The way to it, while there is something to send.
pub(super) fn section(visit: &Visit, order: &OrderView) -> Markup {
    let sent = matches!(order.status, OrderStatus::Paid | OrderStatus::InFulfilment | OrderStatus::Delivered);
    html! {
        @if sent {
            p { a.button.quiet href=(visit.at(format_args!("/orders/{}/address", order.id))) { "Where it goes" } }
        }
    }
}

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let id: OrderId = visit.part("order")?;
    let order = visit.ask(Get { order: id }).await?;
    let to = visit.ask(Delivery { order: id }).await?.shipping_address;
    let body = html! {
        address.label dir="auto" {
            strong { (to.name) } br;
            (to.line1) br;
            @if let Some(line) = &to.line2 { (line) br; }
            (to.postal_code) " " (to.city) br;
            @if let Some(region) = &to.region { (region) br; }
            (to.country)
        }
        p.fine { "For sending this order, and for nothing else. That you have looked is in its history." }
        p { a href=(visit.at(format_args!("/orders/{id}"))) { "Back to the order" } }
    };
    Ok(Page::new(format!("Where order {} goes", order.number), body))
}
