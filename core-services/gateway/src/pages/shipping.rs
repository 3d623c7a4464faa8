//! What leaves the house, on an order's page: sending it, who carries it, and that it has arrived.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    id::{MerchantId, OrderId, ShipmentId},
    message::order::{Deliver, Ship, Track},
    order::{OrderStatus, OrderView, ShipmentState, ShipmentView},
};
use maud::{Markup, html};

use super::{
    form::wrong,
    pieces::{self, Article, counted, goods},
    table::table,
    visit::{Done, Visit},
    words::{badge, code, time},
};

/// Characters of a carrier's name and of a tracking number.
const LABEL_CHARS_MAX: usize = 80;

pub(super) fn section(visit: &Visit, order: &OrderView) -> Markup {
    let open = pieces::open(order);
    html! {
        @if !open.is_empty() {
            section aria-labelledby="send" {
                h2 id="send" { "Send" }
                @for (merchant, articles) in &open {
                    @if order.parts.len() > 1 { h3 { "Goods of merchant " code { (merchant) } } }
                    (send_form(visit, order.id, *merchant, articles))
                }
            }
        }
        @if !order.shipments.is_empty() {
            section aria-labelledby="sent" { h2 id="sent" { "Shipments" } (sent(visit, order)) }
        }
    }
}

fn send_form(visit: &Visit, order: OrderId, merchant: MerchantId, articles: &[Article<'_>]) -> Markup {
    let form = format!("send-{merchant}");
    html! {
        form.sheet method="post" action=(visit.at(format_args!("/orders/{order}/ship"))) {
            input type="hidden" name="key" value=(visit.key());
            input type="hidden" name="merchant" value=(merchant);
            @for article in articles { (article.field(&form, "send", article.pieces)) }
            (carrier_fields(&form, None, None))
            p.fine { "One parcel: its pieces leave the stock, the others stay open." }
            button.button type="submit" { "Mark as shipped" }
        }
    }
}

fn carrier_fields(form: &str, carrier: Option<&str>, tracking: Option<&str>) -> Markup {
    let fields = [("carrier", "Carrier, if there is one", carrier), ("tracking", "Tracking number", tracking)];
    html! {
        @for (name, label, now) in fields {
            div.field {
                label for={ (form) "-" (name) } { (label) }
                input id={ (form) "-" (name) } name=(name) maxlength=(LABEL_CHARS_MAX) autocomplete="off" value=[now];
            }
        }
    }
}

fn sent(visit: &Visit, order: &OrderView) -> Markup {
    let when = |at| html! { @if let Some(at) = at { (time(at)) } @else { "–" } };
    let rows = order
        .shipments
        .iter()
        .map(|shipment| {
            vec![
                goods(&shipment.lines),
                badge(&code(shipment.state)),
                when(shipment.shipped_at),
                when(shipment.delivered_at),
                html! {
                    span {
                        (shipment.carrier.as_deref().unwrap_or("–"))
                        @if let Some(tracking) = &shipment.tracking { " " code { (tracking) } }
                    }
                },
                html! {
                    @if shipment.state == ShipmentState::Failed { "–" } @else { (track_form(visit, order.id, shipment)) }
                    @if shipment.state == ShipmentState::Shipped { (arrived_form(visit, order.id, shipment)) }
                },
            ]
        })
        .collect();
    let heads = ["Goods", "State", "Left", "Arrived", "Carrier", "Change"];
    table("Oldest first", &heads, rows, "Nothing has been sent.")
}

fn track_form(visit: &Visit, order: OrderId, shipment: &ShipmentView) -> Markup {
    let form = format!("track-{}", shipment.id);
    html! {
        details.adjust {
            summary { "Carrier" span.vh { " of shipment " (shipment.id) } }
            form method="post" action=(visit.at(format_args!("/orders/{order}/shipments/{}/track", shipment.id))) {
                (carrier_fields(&form, shipment.carrier.as_deref(), shipment.tracking.as_deref()))
                button.button type="submit" { "Save" }
            }
        }
    }
}

fn arrived_form(visit: &Visit, order: OrderId, shipment: &ShipmentView) -> Markup {
    html! {
        form method="post" action=(visit.at(format_args!("/orders/{order}/shipments/{}/delivered", shipment.id))) {
            button.button.quiet type="submit" { "It has arrived" span.vh { ": shipment " (shipment.id) } }
        }
    }
}

pub(crate) async fn ship(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, form) = (visit.part("order")?, &visit.form);
    let merchant: MerchantId = form.parsed("merchant", "The id of a merchant.")?;
    let pieces = form.pieces("send")?;
    // To the order service no line would be all of them.
    if pieces.is_empty() {
        return Err(wrong("send", "Say how many pieces leave."));
    }
    let what = counted(pieces.values());
    let message = Ship {
        order,
        key: form.key()?,
        lines: pieces.into_iter().collect(),
        merchant: Some(merchant),
        location: None,
        carrier: form.given("carrier"),
        tracking: form.given("tracking"),
    };
    let now = visit.ask(message).await?;
    let last = now.shipments.iter().rfind(|shipment| shipment.merchant == merchant);
    let said = match last.map(|shipment| shipment.state) {
        // The form was sent again; why it failed was told the first time.
        None | Some(ShipmentState::Failed) => {
            return Err(Failure::new(
                Code::OrderStateConflict,
                "This shipment did not come about. Open the order again.",
            ));
        }
        Some(ShipmentState::Preparing) => {
            format!("Being taken out of the stock: {what} of order {}. Look again in a moment.", now.number)
        }
        Some(ShipmentState::Shipped | ShipmentState::Delivered) => {
            format!("Marked as shipped: {what} of order {}.", now.number)
        }
    };
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}

pub(crate) async fn track(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, shipment): (OrderId, ShipmentId) = (visit.part("order")?, visit.part("shipment")?);
    let (carrier, tracking) = (visit.form.given("carrier"), visit.form.given("tracking"));
    visit.ask(Track { order, shipment, carrier, tracking }).await?;
    let said = "Carrier and tracking number are saved.".to_owned();
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}

pub(crate) async fn deliver(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, shipment): (OrderId, ShipmentId) = (visit.part("order")?, visit.part("shipment")?);
    let now = visit.ask(Deliver { order, shipment }).await?;
    let said = match now.status {
        OrderStatus::Delivered => format!("That shipment has arrived, and with it all of order {}.", now.number),
        _ => "That shipment has arrived.".to_owned(),
    };
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}
