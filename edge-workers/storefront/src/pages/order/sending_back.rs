//! Sending goods back: the form, and what became of what was asked for.

use bodega_domain::order::{OrderLine, OrderStatus, OrderView, ReturnState, ReturnView};
use maud::{Markup, html};

use super::{day, form, goods, pieces};
use crate::{pages::price, platform::Platform, visit::Visit};

/// The domain's list, as shoppers would say it.
const REASONS: [(&str, &str); 6] = [
    ("changed_mind", "I changed my mind"),
    ("damaged", "It is damaged"),
    ("wrong_item", "It is not what I ordered"),
    ("not_as_described", "It is not as described"),
    ("too_late", "It came too late"),
    ("other", "Something else"),
];

/// Pieces that have left and are in no return. Nothing happens any more to an order that is completed.
pub(super) fn some<P: Platform>(visit: &Visit<'_, P>, order: &OrderView) -> Markup {
    let choice = pieces::choice(order, returnable);
    if choice.is_empty() || !matches!(order.status, OrderStatus::InFulfilment | OrderStatus::Delivered) {
        return html! {};
    }
    let inside = html! {
        (pieces::fields("back:", &choice))
        (pieces::why("back-reason", &REASONS))
        button.button.quiet type="submit" { "Send these back" }
    };
    html! { details.deed { summary { "Send something back" } (form(visit, order, "return", inside)) } }
}

fn returnable(line: &OrderLine) -> u32 {
    line.units.shipped.saturating_sub(line.units.returning).saturating_sub(line.units.returned)
}

/// What was asked for, and what the sellers said.
pub(super) fn section(order: &OrderView) -> Markup {
    html! {
        @if !order.return_requests.is_empty() {
            section.paper aria-labelledby="returns" {
                h2 #returns { "Returns" }
                ul.sent {
                    @for asked in &order.return_requests {
                        li {
                            h3 { (so_far(asked)) }
                            (goods(order, &asked.lines))
                            p.fine { "Asked for on " (day(asked.requested_at)) }
                        }
                    }
                }
            }
        }
    }
}

fn so_far(asked: &ReturnView) -> Markup {
    let refund = asked.refund.filter(|refund| refund.amount() > 0);
    html! {
        @match (asked.state, refund) {
            (ReturnState::Requested, _) => "Asked for: the seller has not answered yet",
            (ReturnState::Approved, _) => "You may send it back",
            (ReturnState::Refused, _) => "Refused by the seller",
            (ReturnState::Receiving | ReturnState::Received, Some(refund)) => { "Received, " (price::money(refund)) " on its way back to you" },
            (ReturnState::Receiving | ReturnState::Received, None) => "Received",
        }
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::message::order::RETURN_REASONS;

    #[test]
    fn every_reason_of_the_order_service_has_its_words() {
        assert_eq!(super::REASONS.map(|(word, _)| word), RETURN_REASONS);
    }
}
