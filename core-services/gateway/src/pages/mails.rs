//! What the buyer of an order was told by e-mail, and one more try.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::{MailId, OrderId},
    message::notification::{MailState, MailView, Mails, Resend},
};
use maud::{Markup, html};

use super::{
    table::table,
    visit::{Done, Visit},
    words::{badge, plain, time},
};

/// The latest mails about an order; an order has no more steps than that.
const MAILS_MAX: u32 = 50;

pub(super) async fn about(visit: &Visit, order: OrderId) -> Result<Vec<MailView>, Failure> {
    let mails = Mails { order: Some(order), state: None, cursor: None, limit: Some(MAILS_MAX) };
    Ok(visit.ask(mails).await?.items)
}

pub(super) fn section(visit: &Visit, order: OrderId, mails: &Result<Vec<MailView>, Failure>) -> Markup {
    html! {
        section aria-labelledby="mails" {
            h2 id="mails" { "E-mails" }
            @match mails {
                Ok(mails) => { (rows(visit, order, mails)) }
                Err(failure) => { p.notice { "The e-mails could not be read: " (failure.detail) } }
            }
        }
    }
}

fn rows(visit: &Visit, order: OrderId, mails: &[MailView]) -> Markup {
    let rows = mails
        .iter()
        .map(|mail| {
            vec![
                html! { (plain(mail.kind.as_str())) },
                badge(mail.state.as_str()),
                html! { @if let Some(at) = mail.sent_at { (time(at)) } @else { "–" } },
                html! { span { @if let Some(reason) = &mail.reason { (plain(reason)) } @else { "–" } } },
                html! {
                    @if mail.state == MailState::Due { "–" } @else {
                        form method="post" action=(visit.at(format_args!("/orders/{order}/mails/{}", mail.id))) {
                            button.button.quiet type="submit" { "Send again" span.vh { ": " (plain(mail.kind.as_str())) } }
                        }
                    }
                },
            ]
        })
        .collect();
    let heads = ["What it tells", "State", "Sent", "Why not", "Change"];
    table("Newest first", &heads, rows, "Nothing was told by e-mail yet.")
}

pub(crate) async fn resend(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, mail): (OrderId, MailId) = (visit.part("order")?, visit.part("mail")?);
    visit.ask(Resend { mail }).await?;
    let said = "The e-mail is sent in a moment, as the order is now.".to_owned();
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}
