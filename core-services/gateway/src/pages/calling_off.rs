//! Calling an order off, on its page: some pieces that are still in the house, or all of it.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::OrderId,
    message::order::{CANCEL_REASONS, Cancel},
    order::{Fulfilment, OrderStatus, OrderView},
};
use maud::{Markup, html};

use super::{
    form::wrong,
    pieces::{self, Article, counted},
    returns::{amount, refund_field},
    visit::{Done, Visit},
    words::plain,
};

pub(super) fn section(visit: &Visit, order: &OrderView) -> Markup {
    let open: Vec<_> = pieces::open(order).into_values().flatten().collect();
    html! {
        @if !open.is_empty() { (some_form(visit, order, &open)) }
        @if visit.is_admin() && may_be_cancelled(order) { (whole_form(visit, order.id)) }
    }
}

/// What has left the house can only be sent back.
fn may_be_cancelled(order: &OrderView) -> bool {
    matches!(order.status, OrderStatus::AwaitingPayment | OrderStatus::Paid) && order.fulfilment == Fulfilment::None
}

fn reason_field(id: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { "Reason, for the history" }
            select id=(id) name="reason" required { @for reason in CANCEL_REASONS { option value=(reason) { (plain(reason)) } } }
        }
    }
}

fn some_form(visit: &Visit, order: &OrderView, open: &[Article<'_>]) -> Markup {
    html! {
        section aria-labelledby="off-some" {
            h2 id="off-some" { "Call off some pieces" }
            form.sheet method="post" action=(visit.at(format_args!("/orders/{}/call-off", order.id))) {
                input type="hidden" name="key" value=(visit.key());
                @for article in open { (article.field("off", "off", 0)) }
                (refund_field("off-refund", order.totals.total.currency()))
                (reason_field("off-reason"))
                p.fine {
                    "What these pieces cost goes back, and the stock is free again. Say another amount when some of it went back \
                     before; then call off one merchant's pieces at a time. Shipping goes back when nothing of the order is left. \
                     This cannot be taken back."
                }
                button.button.danger type="submit" { "Call these off" }
            }
        }
    }
}

fn whole_form(visit: &Visit, order: OrderId) -> Markup {
    html! {
        section aria-labelledby="off" {
            h2 id="off" { "Call it off" }
            form.sheet method="post" action=(visit.at(format_args!("/orders/{order}/cancel"))) {
                input type="hidden" name="key" value=(visit.key());
                (reason_field("reason"))
                p.fine { "What was paid goes back, and the stock is free again. This cannot be taken back." }
                button.button.danger type="submit" { "Cancel the order" }
            }
        }
    }
}

pub(crate) async fn some(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, form) = (visit.part("order")?, &visit.form);
    let pieces = form.pieces("off")?;
    // To the order service no line would be all of them.
    if pieces.is_empty() {
        return Err(wrong("off", "Say how many pieces are called off."));
    }
    let what = counted(pieces.values());
    let lines = pieces.into_iter().collect();
    let (key, refund, reason) = (form.key()?, amount(form)?, form.given("reason"));
    let now = visit.ask(Cancel { order, key, lines, refund, reason }).await?;
    let said = match now.status {
        OrderStatus::Cancelled => format!("Nothing is left of order {}: it is cancelled.", now.number),
        _ => format!("Called off: {what} of order {}. What was paid for it goes back.", now.number),
    };
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}

pub(crate) async fn whole(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, form) = (visit.part("order")?, &visit.form);
    let now = visit
        .ask(Cancel { order, key: form.key()?, lines: Vec::new(), refund: None, reason: form.given("reason") })
        .await?;
    let said = match now.status {
        OrderStatus::Cancelled => format!("Order {} is cancelled.", now.number),
        status => {
            format!("Order {} is being called off; now it is {}.", now.number, plain(status.as_str()).to_lowercase())
        }
    };
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}
