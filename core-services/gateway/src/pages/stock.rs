//! Stock levels, and a form to correct what was counted.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    catalog::SkuNo,
    id::{LocationId, MerchantId},
    message::inventory::{
        Adjust, Adjustment, Level, Levels, Location, Locations, MovementView, Movements, SetSafety, Transfer,
    },
};
use maud::{Markup, html};

use super::{
    articles::Names,
    counts,
    form::{Form, wrong},
    incoming,
    layout::Page,
    table::{pager, table},
    visit::{Done, Visit},
    words::{badge, plain, time},
};

const LEVELS_PER_PAGE: u32 = 40;

/// Last changes below the list.
const MOVEMENTS_SHOWN: u32 = 12;

/// Why a count changes; the inventory's own words.
const REASONS: [&str; 3] = ["count", "delivery", "damage"];

/// Units that one form may add or take; more is a slip of the finger.
pub(super) const DELTA_MAX: i64 = 100_000;

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    let page = visit.ask(Levels { cursor: visit.cursor(), limit: Some(LEVELS_PER_PAGE), ..Levels::default() }).await?;
    let moved = visit.ask(Movements { limit: Some(MOVEMENTS_SHOWN), ..Movements::default() }).await?.items;
    let numbers = page.items.iter().map(|level| level.sku_no).chain(moved.iter().map(|movement| movement.sku_no));
    let names = Names::of(&visit, numbers).await;
    let places = visit.ask(Locations {}).await?;
    let rows = page.items.iter().map(|level| row(&visit, level, &places, &names)).collect();
    let heads = ["Article", "Place", "On hand", "Held", "Promised", "Free", "Change"];
    let body = html! {
        (incoming::pages(&visit, "/stock"))
        (table("Units by article and place", &heads, rows, "Nothing has been counted yet."))
        p.fine { "Held: in orders that are not paid yet. Promised: sold. Free: what can still be ordered." }
        (pager(&visit.at("/stock"), "", visit.cursor().is_some(), page.next_cursor.as_deref()))
        (counts::section(&visit))
        section aria-labelledby="moved" { h2 id="moved" { "Last changes" } (movements(&moved, &names)) }
    };
    Ok(Page::new("Stock", body))
}

/// Who changed what, when and why.
fn movements(moved: &[MovementView], names: &Names) -> Markup {
    let rows = moved
        .iter()
        .map(|movement| {
            vec![
                names.cell(movement.sku_no),
                html! { (movement.location_name) },
                html! { span.num { @if movement.delta > 0 { "+" } (movement.delta) } },
                html! { (plain(&movement.reason)) },
                time(movement.at),
                html! { @if let Some(who) = &movement.who { code { (who) } } @else { "not known" } },
            ]
        })
        .collect();
    table("Newest first", &["Article", "Place", "Units", "Why", "When", "Who"], rows, "Nothing has been counted yet.")
}

fn row(visit: &Visit, level: &Level, places: &[Location], names: &Names) -> Vec<Markup> {
    let (title, at) = (names.title(level.sku_no), format!("/stock/{}", level.location));
    vec![
        names.cell(level.sku_no),
        html! { (level.location_name) },
        html! { span.num { (level.on_hand) } },
        html! { span.num { (level.pending) } },
        html! { span.num { (level.posted) } },
        html! {
            span.num { (level.available) }
            @if level.short > 0 { " " (badge("short")) " " (level.short) }
            @if level.safety > 0 { br; span.fine { (level.safety) " kept back" } }
            @if level.incoming > 0 { br; span.fine { (level.incoming) " on their way" } }
        },
        html! {
            (adjust_form(visit, level, title))
            (transfer_form(visit, level, places, title))
            (safety_form(visit, level, title))
            (incoming::announce_form(visit, level, title))
            (incoming::reorder_form(visit, (level.sku_no, &level.merchant.to_string(), level.reorder_point), &at, title))
        },
    ]
}

fn adjust_form(visit: &Visit, level: &Level, name: &str) -> Markup {
    let id = |field: &str| format!("{field}-{}-{}", level.sku_no, level.location);
    html! {
        details.adjust {
            summary { "Adjust" span.vh { " " (name) " at " (level.location_name) } }
            form method="post" action=(visit.at("/stock")) {
                (which(level))
                input type="hidden" name="reference" value=(visit.key());
                div.field {
                    label for=(id("delta")) { "Add or take" }
                    input id=(id("delta")) name="delta" type="number" step="1" required min=(-DELTA_MAX) max=(DELTA_MAX);
                }
                div.field {
                    label for=(id("reason")) { "Why" }
                    select id=(id("reason")) name="reason" { @for reason in REASONS { option value=(reason) { (plain(reason)) } } }
                }
                button.button type="submit" { "Change" }
            }
        }
    }
}

/// The article and its merchant, as every form of a row names them.
pub(super) fn which(level: &Level) -> Markup {
    html! {
        input type="hidden" name="sku_no" value=(level.sku_no);
        input type="hidden" name="location" value=(level.location);
        input type="hidden" name="merchant" value=(level.merchant);
    }
}

/// Reads what [`which`] wrote.
pub(super) fn named(form: &Form) -> Result<(SkuNo, LocationId, MerchantId), Failure> {
    Ok((
        form.parsed("sku_no", "The number of an article.")?,
        form.parsed("location", "The id of a place.")?,
        form.parsed("merchant", "The id of a merchant.")?,
    ))
}

fn transfer_form(visit: &Visit, level: &Level, places: &[Location], name: &str) -> Markup {
    let id = |field: &str| format!("move-{field}-{}-{}", level.sku_no, level.location);
    let free = (level.on_hand - level.pending - level.posted).max(0);
    html! {
        @if free > 0 && places.len() > 1 {
            details.adjust {
                summary { "Move" span.vh { " " (name) " from " (level.location_name) } }
                form method="post" action=(visit.at("/stock/transfers")) {
                    (which(level))
                    input type="hidden" name="key" value=(visit.key());
                    div.field {
                        label for=(id("units")) { "Units, of " (free) }
                        input id=(id("units")) name="units" type="number" step="1" required min="1" max=(free);
                    }
                    div.field {
                        label for=(id("to")) { "To" }
                        select id=(id("to")) name="to" {
                            @for place in places.iter().filter(|place| place.id != level.location) {
                                option value=(place.id) { (place.name) }
                            }
                        }
                    }
                    button.button type="submit" { "Move" }
                }
            }
        }
    }
}

fn safety_form(visit: &Visit, level: &Level, name: &str) -> Markup {
    let id = format!("safety-{}-{}", level.sku_no, level.location);
    html! {
        details.adjust {
            summary { "Keep back" span.vh { " " (name) " at " (level.location_name) } }
            form method="post" action=(visit.at("/stock/safety")) {
                (which(level))
                div.field {
                    label for=(id) { "Units that are not sold" }
                    input id=(id) name="safety" type="number" step="1" required min="0" max=(DELTA_MAX) value=(level.safety);
                }
                button.button type="submit" { "Keep back" }
            }
        }
    }
}

pub(crate) async fn transfer(visit: Arc<Visit>) -> Result<Done, Failure> {
    let form = &visit.form;
    let quantity: u32 = form.parsed("units", "A whole number of units.")?;
    let (sku_no, from, merchant) = named(form)?;
    let message = Transfer {
        sku_no,
        merchant,
        from,
        to: form.parsed("to", "The id of a place.")?,
        quantity,
        reference: form.key()?,
    };
    visit.ask(message).await?;
    Ok(Done { to: visit.at("/stock"), said: format!("{quantity} units are booked at the other place.") })
}

pub(crate) async fn keep_back(visit: Arc<Visit>) -> Result<Done, Failure> {
    let form = &visit.form;
    let safety: i64 = form.parsed("safety", "A whole number of units.")?;
    let (sku_no, location, merchant) = named(form)?;
    let message = SetSafety { sku_no, location, merchant, safety };
    visit.ask(message).await?;
    let said = match safety {
        0 => "Nothing is kept back any more.".to_owned(),
        units => format!("{units} units are kept back: no new order gets them."),
    };
    Ok(Done { to: visit.at("/stock"), said })
}

pub(crate) async fn adjust(visit: Arc<Visit>) -> Result<Done, Failure> {
    let form = &visit.form;
    let delta: i64 = form.parsed("delta", "A whole number, negative to take away.")?;
    if delta == 0 || delta.abs() > DELTA_MAX {
        return Err(wrong("delta", "A whole number other than 0, up to 100 000."));
    }
    let reason = form.text("reason").to_owned();
    if !REASONS.contains(&reason.as_str()) {
        return Err(wrong("reason", "One of the reasons of the list."));
    }
    let reference = form.text("reference").to_owned();
    if !(1..=100).contains(&reference.len()) {
        return Err(wrong("reference", "The form has no usable key. Open the page again."));
    }
    let (sku_no, location, merchant) = named(form)?;
    let adjustment = Adjustment { sku_no, location, merchant, delta, reason, reference };
    visit.ask(Adjust { adjustments: vec![adjustment] }).await?;
    let said = if delta > 0 { format!("{delta} units added.") } else { format!("{} units taken away.", -delta) };
    Ok(Done { to: visit.at("/stock"), said })
}
