//! Pieces of an order's articles: how many can be chosen, the fields to choose them with, and what was chosen.

use bodega_domain::{
    Code, Failure,
    order::{OrderLine, OrderView},
};
use maud::{Markup, html};

use crate::read::Form;

/// Articles of which something can be chosen, and how much. One may stand in several lines, and is named once.
pub(super) fn choice(order: &OrderView, room: impl Fn(&OrderLine) -> u32) -> Vec<(&OrderLine, u32)> {
    let mut choice: Vec<(&OrderLine, u32)> = Vec::new();
    for line in &order.lines {
        match choice.iter_mut().find(|(known, _)| known.sku == line.sku) {
            Some((_, most)) => *most = most.saturating_add(room(line)),
            None => choice.push((line, room(line))),
        }
    }
    choice.retain(|(_, most)| *most > 0);
    choice
}

/// A number field for each article, named by the prefix and the SKU.
pub(super) fn fields(prefix: &str, choice: &[(&OrderLine, u32)]) -> Markup {
    html! {
        @for (line, most) in choice {
            label.back {
                span dir="auto" { (line.title) }
                input type="number" name={ (prefix) (line.sku) } value="0" min="0" max=(most) inputmode="numeric";
                " of " (most)
            }
        }
    }
}

/// What was chosen. That an article is named once and has so many pieces, the order service looks at.
pub(super) fn chosen(form: &Form, prefix: &str) -> Result<Vec<(String, u32)>, Failure> {
    let mut lines = Vec::new();
    for (name, value) in form.fields() {
        let (Some(sku), value) = (name.strip_prefix(prefix), value.trim()) else { continue };
        let pieces = if value.is_empty() { 0 } else { value.parse().map_err(|_| not_a_number())? };
        if pieces > 0 {
            lines.push((sku.to_owned(), pieces));
        }
    }
    Ok(lines)
}

fn not_a_number() -> Failure {
    let detail = "Say how many with a whole number, and not more than there are.";
    Failure::from(Code::ValidationFailed).field("/lines", "number", detail)
}

/// Why, by a word of a list. `id` tells apart the fields of a page.
pub(super) fn why(id: &str, reasons: &[(&str, &str)]) -> Markup {
    html! {
        label for=(id) { "Why, if you want to say" }
        select id=(id) name="reason" {
            option value="" { "I would rather not say" }
            @for (word, text) in reasons { option value=(word) { (text) } }
        }
    }
}
