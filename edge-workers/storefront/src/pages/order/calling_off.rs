//! Calling an order off: all of it, or pieces that are still in the shop.

use bodega_domain::order::{Fulfilment, OrderLine, OrderStatus, OrderView};
use maud::{Markup, html};

use super::{form, pieces};
use crate::{platform::Platform, visit::Visit};

/// Words of the domain's list that a shopper can mean.
const REASONS: [(&str, &str); 4] = [
    ("changed_mind", "I changed my mind"),
    ("wrong_item", "I chose something wrong"),
    ("too_late", "It would come too late"),
    ("other", "Something else"),
];

/// The whole order, of which nothing has left. Who looks through a link says the order's e-mail, as a proof.
pub(super) fn whole<P: Platform>(visit: &Visit<'_, P>, order: &OrderView, by_link: bool) -> Markup {
    let early = matches!(order.status, OrderStatus::AwaitingPayment | OrderStatus::Paid);
    if !early || order.fulfilment != Fulfilment::None {
        return html! {};
    }
    let action = if by_link { "cancel_by_link" } else { "cancel" };
    let inside = html! {
        @if by_link {
            label for="email" { "The e-mail that you ordered with" }
            input #email name="email" type="email" autocomplete="email" required maxlength="254" dir="ltr";
        }
        (pieces::why("reason", &REASONS))
        button.button.quiet type="submit" { "Yes, call it off" }
    };
    html! { details.deed { summary { "Call the order off" } (form(visit, order, action, inside)) } }
}

/// Pieces of a paid order that have not left. An order of a single piece is called off as a whole.
pub(super) fn some<P: Platform>(visit: &Visit<'_, P>, order: &OrderView) -> Markup {
    let choice = pieces::choice(order, open);
    let single = matches!(order.lines.as_slice(), [line] if line.quantity == 1);
    if choice.is_empty() || single || !matches!(order.status, OrderStatus::Paid | OrderStatus::InFulfilment) {
        return html! {};
    }
    let inside = html! {
        (pieces::fields("off:", &choice))
        (pieces::why("off-reason", &REASONS))
        p.fine { "The money for these pieces goes back to you." }
        button.button.quiet type="submit" { "Cancel these" }
    };
    html! { details.deed { summary { "Cancel single articles" } (form(visit, order, "cancel_lines", inside)) } }
}

/// What is packed already is as good as gone.
fn open(line: &OrderLine) -> u32 {
    let gone = [line.units.cancelled, line.units.preparing, line.units.shipped];
    gone.into_iter().fold(line.quantity, u32::saturating_sub)
}

#[cfg(test)]
mod tests {
    use bodega_domain::message::order::CANCEL_REASONS;

    #[test]
    fn every_reason_is_one_that_the_order_service_knows() {
        assert!(super::REASONS.iter().all(|(word, _)| CANCEL_REASONS.contains(word)));
    }
}
