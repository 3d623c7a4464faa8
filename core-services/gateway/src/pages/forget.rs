//! Forgetting who has ordered, on an order's page: for a guest who asks the shop for it.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::OrderId,
    limits::FORGET_LATEST_DAYS,
    message::order::{ForgetContact, HistoryEntry},
    order::OrderView,
};
use maud::{Markup, html};

use super::{
    form::wrong,
    visit::{Done, Visit},
};

/// The confirmation's value when it is given.
const SURE: &str = "yes";

/// The form, or what has become of it.
pub(super) fn section(visit: &Visit, order: &OrderView, history: &[HistoryEntry]) -> Markup {
    let happened = |what: &str| history.iter().any(|entry| entry.what == what);
    html! {
        section aria-labelledby="forget" {
            h2 id="forget" { "Who ordered" }
            @if happened("contact_forgotten") {
                p { "Forgotten: this order has no name, e-mail and address any more." }
            } @else if happened("forget_asked") {
                p { "Will be forgotten as soon as this order has ended, after " (FORGET_LATEST_DAYS) " days at the latest." }
            } @else {
                (form(visit, order))
            }
        }
    }
}

fn form(visit: &Visit, order: &OrderView) -> Markup {
    html! {
        form.sheet method="post" action=(visit.at(format_args!("/orders/{}/forget", order.id))) {
            p.fine {
                "When the person asks for it: name, e-mail and addresses are deleted for good, at once if the order has ended, \
                 else as soon as it has. The order stays."
            }
            div.field {
                label for="sure" { "Has the person asked for it?" }
                select id="sure" name="sure" required {
                    option value="" { "No" }
                    option value=(SURE) { "Yes" }
                }
            }
            button.button.danger type="submit" { "Forget who ordered" }
        }
    }
}

pub(crate) async fn forget(visit: Arc<Visit>) -> Result<Done, Failure> {
    let order: OrderId = visit.part("order")?;
    if visit.form.text("sure") != SURE {
        return Err(wrong("sure", "Say that the person has asked for it."));
    }
    let said = match visit.ask(ForgetContact { order }).await?.emptied {
        true => "Who ordered is forgotten.",
        false => "Who ordered is forgotten as soon as the order has ended.",
    };
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said: said.to_owned() })
}
