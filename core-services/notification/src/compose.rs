//! What a mail says: as text and as a page, from the order as it is when the mail is sent.

use std::fmt::Write as _;

use bodega_domain::{
    id::{ReturnId, ShipmentId},
    message::notification::MailKind,
    order::{OrderStatus, OrderView, ReturnState, ReturnView, ShipmentView},
};
use maud::{DOCTYPE, Markup, html};

use crate::store::Mail;

/// A mail without its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// What is told: a heading and some sentences, then lines or not.
struct Told {
    heading: String,
    sentences: Vec<String>,
    /// What it is about: article and how many.
    pieces: Vec<(String, u32)>,
    /// Whether the sums of the order belong below it.
    sums: bool,
}

/// The mail about an order, or nothing when what it would tell is not true any more.
pub(crate) fn letter(mail: &Mail, order: &OrderView, name: &str, shop: &str) -> Option<Letter> {
    let told = told(mail, order)?;
    let path = order.link.clone().unwrap_or_else(|| format!("/orders/{}", order.id));
    let address = format!("{shop}{path}");
    let subject = format!("{} · order {}", told.heading, order.number);
    Some(Letter { text: text(&told, order, name, &address), html: page(&told, order, name, &address), subject })
}

fn told(mail: &Mail, order: &OrderView) -> Option<Told> {
    let number = &order.number;
    let plain = |heading: &str, sentences: &[String], sums: bool| {
        Some(Told { heading: heading.to_owned(), sentences: sentences.to_vec(), pieces: Vec::new(), sums })
    };
    let over = matches!(order.status, OrderStatus::Cancelled | OrderStatus::Expired);
    match mail.view.kind {
        MailKind::Placed if order.status == OrderStatus::AwaitingPayment => plain(
            "Your order waits to be paid",
            &[
                format!("Thank you for your order {number}. We have kept its articles for you."),
                "It is not paid yet. You can pay it on its page; when it is not paid in time, it ends by itself."
                    .to_owned(),
            ],
            true,
        ),
        MailKind::Paid if !over && order.status != OrderStatus::AwaitingPayment => {
            let money = match order.payment.waiting() {
                None => format!("Your order {number} is paid. We tell you when it is on its way."),
                Some(waiting) => format!(
                    "Your order {number} is confirmed. Your bank has set {waiting} aside, and is asked for it as the goods \
                     leave. We tell you when they do."
                ),
            };
            plain("Thank you for your order", &[money], true)
        }
        MailKind::Cancelled if order.status == OrderStatus::Cancelled => {
            let money = if order.payment.amounts.captured.amount() > 0 {
                format!("{} is on its way back to you.", order.payment.amounts.captured)
            } else {
                "You were not charged.".to_owned()
            };
            plain("Your order was cancelled", &[format!("Your order {number} was cancelled."), money], false)
        }
        MailKind::Expired if order.status == OrderStatus::Expired => plain(
            "Your order has ended",
            &[
                format!("Your order {number} was not paid in time, so it has ended."),
                "Should money of yours still come, it goes back to you by itself. You are welcome to order again."
                    .to_owned(),
            ],
            false,
        ),
        MailKind::LinesCancelled if !over => Some(Told {
            heading: "Some articles were cancelled".to_owned(),
            sentences: vec![format!(
                "These articles of your order {number} were cancelled. Their money is on its way back to you."
            )],
            pieces: titled(order, &mail.pieces),
            sums: false,
        }),
        MailKind::Shipped | MailKind::Delivered => parcel(mail, order),
        MailKind::ReturnRequested | MailKind::ReturnApproved | MailKind::ReturnRefused | MailKind::ReturnReceived => {
            came_back(mail, order)
        }
        MailKind::Placed | MailKind::Paid | MailKind::Cancelled | MailKind::Expired | MailKind::LinesCancelled => None,
    }
}

fn parcel(mail: &Mail, order: &OrderView) -> Option<Told> {
    let id = ShipmentId::from_u128(mail.about?.as_u128());
    let parcel: &ShipmentView = order.shipments.iter().find(|parcel| parcel.id == id)?;
    let number = &order.number;
    let arrived = mail.view.kind == MailKind::Delivered;
    let mut sentences = vec![if arrived {
        format!("A parcel of your order {number} has arrived. We hope you like it.")
    } else {
        format!("A parcel of your order {number} has left.")
    }];
    if !arrived {
        match (&parcel.carrier, &parcel.tracking) {
            (Some(carrier), Some(tracking)) => {
                sentences.push(format!("{carrier} brings it, under the number {tracking}."))
            }
            (Some(carrier), None) => sentences.push(format!("{carrier} brings it.")),
            (None, Some(tracking)) => sentences.push(format!("Its number is {tracking}.")),
            (None, None) => {}
        }
    }
    let heading = if arrived { "Your parcel has arrived" } else { "Your parcel is on its way" };
    Some(Told { heading: heading.to_owned(), sentences, pieces: titled(order, &parcel.lines), sums: false })
}

fn came_back(mail: &Mail, order: &OrderView) -> Option<Told> {
    let id = ReturnId::from_u128(mail.about?.as_u128());
    let back: &ReturnView = order.return_requests.iter().find(|back| back.id == id)?;
    let number = &order.number;
    let now = match back.state {
        ReturnState::Requested => MailKind::ReturnRequested,
        ReturnState::Approved | ReturnState::Receiving => MailKind::ReturnApproved,
        ReturnState::Refused => MailKind::ReturnRefused,
        ReturnState::Received => MailKind::ReturnReceived,
    };
    if now != mail.view.kind {
        // It has gone on since: the next mail tells of that.
        return None;
    }
    let (heading, sentence) = match mail.view.kind {
        MailKind::ReturnApproved => (
            "You may send it back",
            format!(
                "You may send these articles of your order {number} back. Please put the order's number into the parcel."
            ),
        ),
        MailKind::ReturnRefused => {
            ("Your return was refused", format!("The seller does not take these articles of your order {number} back."))
        }
        MailKind::ReturnReceived => {
            let money = back.refund.filter(|refund| refund.amount() > 0);
            let money = money.map(|refund| format!(" {refund} is on its way to you.")).unwrap_or_default();
            ("Your return is here", format!("These articles of your order {number} have come back.{money}"))
        }
        _ => (
            "We have your return request",
            format!("You want to send these articles of your order {number} back. The seller looks at it and answers."),
        ),
    };
    let pieces = titled(order, &back.lines);
    Some(Told { heading: heading.to_owned(), sentences: vec![sentence], pieces, sums: false })
}

/// Pieces by the titles that people know.
fn titled(order: &OrderView, pieces: &[(String, u32)]) -> Vec<(String, u32)> {
    let title = |sku: &String| order.lines.iter().find(|line| line.sku == *sku).map(|line| line.title.clone());
    pieces.iter().map(|(sku, count)| (title(sku).unwrap_or_else(|| sku.clone()), *count)).collect()
}

fn sums(order: &OrderView) -> [(&'static str, String); 2] {
    [("Shipping", order.totals.shipping.to_string()), ("Total", order.totals.total.to_string())]
}

fn text(told: &Told, order: &OrderView, name: &str, address: &str) -> String {
    let mut text = format!("Hello {name},\n\n");
    for sentence in &told.sentences {
        let _ = writeln!(text, "{sentence}\n");
    }
    for (title, count) in &told.pieces {
        let _ = writeln!(text, "  {count} × {title}");
    }
    if !told.pieces.is_empty() {
        text.push('\n');
    }
    if told.sums {
        for line in &order.lines {
            let _ = writeln!(text, "  {} × {}  {}", line.quantity, line.title, line.total);
        }
        for (what, amount) in sums(order) {
            let _ = writeln!(text, "  {what}  {amount}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "Your order: {address}");
    text
}

fn page(told: &Told, order: &OrderView, name: &str, address: &str) -> String {
    frame(
        &told.heading,
        &html! {
            p dir="auto" { "Hello " (name) "," }
            @for sentence in &told.sentences { p { (sentence) } }
            @if !told.pieces.is_empty() {
                ul { @for (title, count) in &told.pieces { li dir="auto" { (count) " × " (title) } } }
            }
            @if told.sums {
                table style="width:100%;border-collapse:collapse" {
                    @for line in &order.lines {
                        tr {
                            td style="padding:.3rem 0" dir="auto" { (line.quantity) " × " (line.title) }
                            td style="padding:.3rem 0;text-align:right" { (line.total) }
                        }
                    }
                    @for (what, amount) in sums(order) {
                        tr { td style="padding:.3rem 0" { (what) } td style="padding:.3rem 0;text-align:right" { (amount) } }
                    }
                }
            }
            p { a href=(address) style="color:#7a3b00" { "Look at your order" } }
        },
    )
}

/// A mail as a page.
pub(crate) fn frame(heading: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="viewport" content="width=device-width"; title { (heading) } }
            body style="margin:0;background:#f6f3ee;color:#23201c;font:16px/1.5 system-ui,sans-serif" {
                div style="max-width:34rem;margin:0 auto;padding:1.5rem" {
                    h1 style="font-size:1.4rem;line-height:1.25" dir="auto" { (heading) }
                    (body)
                }
            }
        }
    }
    .into_string()
}
