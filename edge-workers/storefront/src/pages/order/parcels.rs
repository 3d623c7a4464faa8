//! Where the goods of an order are: by line, and by parcel.

use bodega_domain::{
    fulfilment::Units,
    order::{OrderLine, OrderView, ShipmentState, ShipmentView},
};
use maud::{Markup, html};

use super::{day, goods};

/// What became of a line's pieces; nothing as long as nothing has.
pub(super) fn so_far(line: &OrderLine) -> String {
    let Units { cancelled, preparing, shipped, delivered, returning, returned } = line.units;
    let of = if line.quantity == 1 { String::new() } else { format!(" of {}", line.quantity) };
    // What comes back had arrived, whether or not anybody said so.
    let back = returning.saturating_add(returned);
    let arrived = delivered.max(back);
    let (under_way, there) = (shipped.saturating_sub(arrived), arrived.saturating_sub(back));
    let whose = if under_way == 1 { "its" } else { "their" };
    let told = [
        (preparing, format!("{preparing}{of} being packed")),
        (under_way, format!("{under_way}{of} on {whose} way")),
        (there, format!("{there}{of} arrived")),
        (returning, format!("{returning} in a return")),
        (returned, format!("{returned} returned")),
        (cancelled, format!("{cancelled} cancelled")),
    ];
    let told: Vec<String> = told.into_iter().filter(|(pieces, _)| *pieces > 0).map(|(_, text)| text).collect();
    told.join(", ")
}

/// Parcels that have left. One that is being packed may yet become another, and one that failed never was.
pub(super) fn section(order: &OrderView) -> Markup {
    let sent = |parcel: &ShipmentView| match parcel.state {
        ShipmentState::Shipped => Some("On its way"),
        ShipmentState::Delivered => Some("Arrived"),
        ShipmentState::Preparing | ShipmentState::Failed => None,
    };
    let parcels: Vec<_> = order.shipments.iter().filter_map(|parcel| Some((parcel, sent(parcel)?))).collect();
    html! {
        @if !parcels.is_empty() {
            section.paper aria-labelledby="parcels" {
                h2 #parcels { "Parcels" }
                ul.sent {
                    @for (parcel, state) in parcels {
                        li {
                            h3 { (state) }
                            (goods(order, &parcel.lines))
                            (facts(parcel))
                        }
                    }
                }
            }
        }
    }
}

fn facts(parcel: &ShipmentView) -> Markup {
    html! {
        dl.facts {
            @if let Some(carrier) = &parcel.carrier { div { dt { "Carrier" } dd dir="auto" { (carrier) } } }
            @if let Some(tracking) = &parcel.tracking { div { dt { "Tracking number" } dd { code dir="auto" { (tracking) } } } }
            @if let Some(at) = parcel.shipped_at { div { dt { "Sent" } dd { (day(at)) } } }
            @if let Some(at) = parcel.delivered_at { div { dt { "Arrived" } dd { (day(at)) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::{Currency, Money, id::MerchantId, quote::QuoteLine};

    use super::*;

    fn told(quantity: u32, units: Units) -> String {
        let zero = Money::zero(Currency::EUR);
        let quoted = QuoteLine {
            sku_no: 1,
            sku: "TEA".to_owned(),
            title: "Tea".to_owned(),
            merchant: MerchantId::from_u128(1),
            quantity,
            unit_price: zero,
            subtotal: zero,
            discount: zero,
            tax_rate_bp: 0,
            tax: zero,
            total: zero,
        };
        so_far(&OrderLine { quoted, units })
    }

    #[test]
    fn a_line_says_where_its_pieces_are() {
        assert_eq!(told(3, Units::default()), "");
        assert_eq!(told(3, Units { shipped: 2, ..Units::default() }), "2 of 3 on their way");
        assert_eq!(told(1, Units { shipped: 1, ..Units::default() }), "1 on its way");
        let all = Units { cancelled: 1, preparing: 2, shipped: 7, delivered: 5, returning: 1, returned: 1 };
        assert_eq!(
            told(10, all),
            "2 of 10 being packed, 2 of 10 on their way, 3 of 10 arrived, 1 in a return, 1 returned, 1 cancelled"
        );
        let unheard = Units { shipped: 2, returned: 1, ..Units::default() };
        assert_eq!(told(2, unheard), "1 of 2 on its way, 1 returned", "nobody said that it had arrived");
        let most = u32::MAX;
        let absurd = Units { delivered: most, returning: most, returned: most, ..Units::default() };
        assert!(told(1, absurd).ends_with("4294967295 returned"), "what the core says is never a trap");
    }
}
