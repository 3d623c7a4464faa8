//! Money that came when its order had ended, on the order's page: make the order again with it, or give it back.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::OrderId,
    message::{order::Reinstate, payment::Refund},
    order::{OrderStatus, OrderView},
};
use maud::{Markup, html};

use super::{
    visit::{Done, Visit},
    words::{plain, time},
};

/// Key of the refund that the button asks for: however often it is pressed, it is one.
const GIVEN_BACK: &str = "late_payment_by_hand";

/// What waits, or what was made of it; nothing for every other order.
pub(super) fn section(visit: &Visit, order: &OrderView) -> Markup {
    let address = |id: OrderId| visit.at(format_args!("/orders/{id}"));
    html! {
        @if let Some(again) = order.reinstated_as {
            p.notice { "This order was made again with its late money: " a href=(address(again)) { code { (again) } } "." }
        }
        @if let Some(ended) = order.reinstates {
            p.notice { "Made again with the late money of " a href=(address(ended)) { code { (ended) } } "." }
        }
        @if let Some(until) = order.payment.held_until {
            section aria-labelledby="late" {
                h2 id="late" { "Money that came too late" }
                p { strong { (order.payment.amounts.captured) } " came after this order had ended and waits until " (time(until)) ". Then it goes back by itself." }
                form.sheet method="post" action=(visit.at(format_args!("/orders/{}/reinstate", order.id))) {
                    p.fine { "The same articles, prices and address as a new order, if the stock is still there. Nobody pays again." }
                    button.button type="submit" { "Make the order again" }
                }
                @if visit.is_admin() {
                    form.sheet method="post" action=(visit.at(format_args!("/orders/{}/give-back", order.id))) {
                        button.button.quiet type="submit" { "Give the money back now" }
                    }
                }
            }
        }
    }
}

pub(crate) async fn reinstate(visit: Arc<Visit>) -> Result<Done, Failure> {
    let again = visit.ask(Reinstate { order: visit.part("order")? }).await?;
    let said = match again.status {
        OrderStatus::AwaitingPayment => format!("Order {} is being paid with the late money.", again.number),
        status => format!("Order {} was made of it: {}.", again.number, plain(status.as_str()).to_lowercase()),
    };
    Ok(Done { to: visit.at(format_args!("/orders/{}", again.id)), said })
}

pub(crate) async fn give_back(visit: Arc<Visit>) -> Result<Done, Failure> {
    let order: OrderId = visit.part("order")?;
    let reason = "late_payment".to_owned();
    let refund = Refund { order, amount: None, merchant: None, key: GIVEN_BACK.to_owned(), reason };
    let given = visit.ask(refund).await?;
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said: format!("{} is on its way back.", given.amount) })
}
