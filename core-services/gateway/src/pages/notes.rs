//! Notes of staff on an order's page: what the next one at the packing table has to know.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::OrderId,
    limits::NOTE_BYTES_MAX,
    message::note::{AddNote, Note, Notes},
};
use maud::{Markup, html};

use super::{
    visit::{Done, Visit},
    words::time,
};

/// The notes that the visitor may read.
pub(super) async fn about(visit: &Visit, order: OrderId) -> Result<Vec<Note>, Failure> {
    visit.ask(Notes { order }).await
}

/// What was written, as far as it can be read now: the rest of the page does not wait for it.
pub(super) fn section(visit: &Visit, order: OrderId, notes: Result<&[Note], &Failure>) -> Markup {
    html! {
        section aria-labelledby="notes" {
            h2 id="notes" { "Notes" }
            @match notes {
                Err(failure) => { p.notice { "The notes could not be read: " (failure.detail) } }
                Ok([]) => { p.empty { "Nobody has written anything about this order." } }
                Ok(notes) => { ol.timeline { @for note in notes { (written(note)) } } }
            }
            form.sheet method="post" action=(visit.at(format_args!("/orders/{order}/notes"))) {
                input type="hidden" name="key" value=(visit.key());
                div.field {
                    label for="note" { "A note for your colleagues" }
                    textarea id="note" name="text" rows="3" required maxlength=(NOTE_BYTES_MAX) {}
                    p.fine { "The buyer never sees it. It cannot be changed, and is emptied when the buyer is forgotten." }
                }
                button.button type="submit" { "Add the note" }
            }
        }
    }
}

fn written(note: &Note) -> Markup {
    html! {
        li {
            @match &note.text {
                Some(text) => { @for line in text.lines() { p dir="auto" { (line) } } }
                None => { p.fine { "Emptied, because the buyer has been forgotten." } }
            }
            p.fine { (time(note.at)) " by " (note.who) @if note.merchant.is_none() { ", marketplace" } }
        }
    }
}

pub(crate) async fn add(visit: Arc<Visit>) -> Result<Done, Failure> {
    let order: OrderId = visit.part("order")?;
    let (key, text) = (visit.form.key()?, visit.form.text("text").to_owned());
    visit.ask(AddNote { order, key, text }).await?;
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said: "The note is there.".to_owned() })
}
