//! Shipments, cancellations and returns whose stock and money are being put right, and those that wait for an admin.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::order::{Nudge, NudgeSaga, SagaView, Sagas},
};
use maud::{Markup, html};

use super::{
    form::wrong,
    layout::Page,
    table::{chips, pager, table},
    visit::{Done, Visit},
    words::{badge, plain, time},
};

/// The state of those that nobody but a person brings on; the filter's value too.
const PARKED: &str = "parked";

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    let parked = match visit.query("only") {
        None => false,
        Some(PARKED) => true,
        Some(_) => return Err(Failure::new(Code::BadRequest, "There is no such list.")),
    };
    let page = visit.ask(Sagas { parked, cursor: visit.cursor() }).await?;
    let rows = page.items.iter().map(|saga| row(&visit, saga)).collect();
    let heads = ["Order", "What", "Step", "State", "Since", "Attempts", "Why", "Next"];
    let (address, filter) = (visit.at("/sagas"), if parked { "only=parked" } else { "" });
    let empty = if parked { "None waits for a person." } else { "Nothing is under way." };
    let body = html! {
        p { "These go on by themselves, step by step. Only a parked one waits for you: put its cause right, then try it again." }
        (chips("What is under way, by state", &address, "only", &[PARKED], parked.then_some(PARKED)))
        (table("Oldest first", &heads, rows, empty))
        (pager(&address, filter, visit.cursor().is_some(), page.next_cursor.as_deref()))
    };
    Ok(Page::new("Under way", body))
}

fn row(visit: &Visit, saga: &SagaView) -> Vec<Markup> {
    vec![
        html! { a href=(visit.at(format_args!("/orders/{}", saga.order))) { code { (saga.order) } } },
        html! { (plain(&saga.saga)) },
        html! { (plain(&saga.step)) },
        badge(&saga.way),
        time(saga.since),
        html! { span.num { (saga.attempts) } },
        html! { @if let Some(reason) = &saga.reason { (reason) } @else { "–" } },
        html! { @if saga.way == PARKED { (nudge_form(visit, saga)) } @else { "–" } },
    ]
}

fn nudge_form(visit: &Visit, saga: &SagaView) -> Markup {
    let which = html! { span.vh { ": " (plain(&saga.saga)) " of order " (saga.order) } };
    html! {
        form.choices method="post" action=(visit.at(format_args!("/sagas/{}", saga.id))) {
            button.button type="submit" name="nudge" value="retry" { "Try again" (which) }
            button.button.quiet type="submit" name="nudge" value="compensate" { "Take it back" (which) }
        }
    }
}

pub(crate) async fn nudge(visit: Arc<Visit>) -> Result<Done, Failure> {
    let nudge = match visit.form.text("nudge") {
        "retry" => Nudge::Retry,
        "compensate" => Nudge::Compensate,
        _ => return Err(wrong("nudge", "One of the buttons.")),
    };
    let now = visit.ask(NudgeSaga { saga: visit.part("saga")?, nudge }).await?;
    let said = match now.way.as_str() {
        "done" => "It is done.".to_owned(),
        "undone" => "It is taken back, as if nothing had happened.".to_owned(),
        PARKED => format!("It is parked again: {}", now.reason.as_deref().unwrap_or("nobody said why.")),
        _ => "It goes on.".to_owned(),
    };
    Ok(Done { to: visit.at("/sagas"), said })
}
