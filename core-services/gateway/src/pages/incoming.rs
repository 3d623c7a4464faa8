//! Goods that are on their way, and articles that have to be ordered anew.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::inventory::{
        Announce, Announced, GiveUpIncoming, Incoming, IncomingView, Level, LowStock, LowStockView, Receive,
        SetReorderPoint,
    },
};
use maud::{Markup, html};

use super::{
    articles::Names,
    form::wrong,
    layout::Page,
    stock::{DELTA_MAX, named, which},
    table::{pager, table},
    visit::{Done, Visit},
    words::{badge, time},
};

const ROWS_PER_PAGE: u32 = 40;

/// Links between the three pages of the stock.
pub(super) fn pages(visit: &Visit, here: &str) -> Markup {
    let pages = [("/stock", "What is there"), ("/stock/low", "To order anew"), ("/stock/incoming", "On its way")];
    html! {
        nav.chips aria-label="Pages of the stock" {
            ul { @for (path, name) in pages {
                li { a href=(visit.at(path)) aria-current=[(path == here).then_some("page")] { (name) } }
            } }
        }
    }
}

/// The form by which goods are announced for a shelf.
pub(super) fn announce_form(visit: &Visit, level: &Level, name: &str) -> Markup {
    let id = |field: &str| format!("coming-{field}-{}-{}", level.sku_no, level.location);
    html! {
        details.adjust {
            summary { "Announce" span.vh { " " (name) " for " (level.location_name) } }
            form method="post" action=(visit.at("/stock/incoming")) {
                (which(level))
                div.field {
                    label for=(id("units")) { "Units on their way" }
                    input id=(id("units")) name="units" type="number" step="1" required min="1" max=(DELTA_MAX);
                }
                div.field {
                    label for=(id("day")) { "Expected on, if known" }
                    input id=(id("day")) name="day" type="date" min="2000-01-01" max="2199-12-31";
                }
                div.field {
                    label for=(id("reference")) { "Order at the supplier" }
                    input id=(id("reference")) name="reference" required maxlength="100" spellcheck="false" autocomplete="off";
                }
                button.button type="submit" { "Announce" }
            }
        }
    }
}

/// The form for the units at which somebody wants to order an article anew.
pub(super) fn reorder_form(visit: &Visit, low: (u32, &str, i64), back: &str, name: &str) -> Markup {
    let (sku_no, merchant, point) = low;
    let id = format!("reorder-{back}-{sku_no}").replace('/', "");
    html! {
        details.adjust {
            summary { "Order anew at" span.vh { ": " (name) } }
            form method="post" action=(visit.at("/stock/reorder-point")) {
                input type="hidden" name="sku_no" value=(sku_no);
                input type="hidden" name="merchant" value=(merchant);
                input type="hidden" name="back" value=(back);
                div.field {
                    label for=(id) { "Free units, all places together" }
                    input id=(id) name="units" type="number" step="1" required min="0" max=(DELTA_MAX) value=(point);
                }
                button.button type="submit" { "Save" }
            }
        }
    }
}

pub(crate) async fn low(visit: Arc<Visit>) -> Result<Page, Failure> {
    let page =
        visit.ask(LowStock { cursor: visit.cursor(), limit: Some(ROWS_PER_PAGE), ..LowStock::default() }).await?;
    let names = Names::of(&visit, page.items.iter().map(|low| low.sku_no)).await;
    let rows = page.items.iter().map(|low| low_row(&visit, low, &names)).collect();
    let heads = ["Article", "Stands", "Free", "Order anew at", "On its way", "Since", "Change"];
    let body = html! {
        (pages(&visit, "/stock/low"))
        (table("Low or out, the last ones first", &heads, rows, "Nothing. Of every article more is free than its merchant wants to order anew at."))
        p.fine { "Free: what can still be ordered, all places together. Merchants are told by e-mail as well, unless they do not want that." }
        (pager(&visit.at("/stock/low"), "", visit.cursor().is_some(), page.next_cursor.as_deref()))
    };
    Ok(Page::new("To order anew", body))
}

fn low_row(visit: &Visit, low: &LowStockView, names: &Names) -> Vec<Markup> {
    let title = names.title(low.sku_no);
    vec![
        names.cell(low.sku_no),
        badge(low.level.as_str()),
        html! { span.num { (low.available) } },
        html! { span.num { (low.reorder_point) } },
        html! {
            span.num { (low.incoming) }
            @if let Some(day) = &low.expected_on { br; span.fine { "first on " time datetime=(day) { (day) } } }
        },
        time(low.since),
        reorder_form(visit, (low.sku_no, &low.merchant.to_string(), low.reorder_point), "/stock/low", title),
    ]
}

pub(crate) async fn set_reorder_point(visit: Arc<Visit>) -> Result<Done, Failure> {
    let form = &visit.form;
    let units: i64 = form.parsed("units", "A whole number of units.")?;
    let sku_no = form.parsed("sku_no", "The number of an article.")?;
    let merchant = form.parsed("merchant", "The id of a merchant.")?;
    visit.ask(SetReorderPoint { sku_no, merchant, units }).await?;
    let said = match units {
        0 => "You are told when none is left.".to_owned(),
        units => format!("You are told when no more than {units} are free."),
    };
    let back = if form.text("back") == "/stock/low" { "/stock/low" } else { "/stock" };
    Ok(Done { to: visit.at(back), said })
}

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    let all = visit.query("show") == Some("all_of_them");
    let ask = Incoming { all, cursor: visit.cursor(), limit: Some(ROWS_PER_PAGE), ..Incoming::default() };
    let page = visit.ask(ask).await?;
    let names = Names::of(&visit, page.items.iter().map(|incoming| incoming.sku_no)).await;
    let rows = page.items.iter().map(|incoming| row(&visit, incoming, &names)).collect();
    let heads = ["Article", "Place", "Announced", "Came", "Expected", "Order at the supplier", "Change"];
    let at = visit.at("/stock/incoming");
    let empty = "Nothing is on its way. Goods are announced under “What is there”.";
    let body = html! {
        (pages(&visit, "/stock/incoming"))
        nav.chips aria-label="Which of them" {
            ul {
                li { a href=(at) aria-current=[(!all).then_some("true")] { "Still expected" } }
                li { a href={ (at) "?show=all_of_them" } aria-current=[all.then_some("true")] { "All of them" } }
            }
        }
        (table("Goods on their way, newest first", &heads, rows, empty))
        (pager(&at, if all { "show=all_of_them" } else { "" }, visit.cursor().is_some(), page.next_cursor.as_deref()))
    };
    Ok(Page::new("On its way", body))
}

fn row(visit: &Visit, incoming: &IncomingView, names: &Names) -> Vec<Markup> {
    let title = names.title(incoming.sku_no);
    vec![
        names.cell(incoming.sku_no),
        html! { (incoming.location_name) },
        html! { span.num { (incoming.quantity) } },
        html! { span.num { (incoming.received) } },
        html! {
            @if let Some(at) = incoming.closed_at { "nothing more, since " (time(at)) }
            @else if let Some(day) = &incoming.expected_on { time datetime=(day) { (day) } }
            @else { "not known" }
        },
        html! { (incoming.reference) br; span.fine { "announced " (time(incoming.announced_at)) " by " code { (incoming.who) } } },
        html! {
            (receive_form(visit, incoming, title))
            @if incoming.closed_at.is_none() {
                form method="post" action=(visit.at(format_args!("/stock/incoming/{}/give-up", incoming.id))) {
                    button.button.quiet type="submit" { "No more comes" span.vh { " of " (title) } }
                }
            }
        },
    ]
}

fn receive_form(visit: &Visit, incoming: &IncomingView, title: &str) -> Markup {
    let (units, last) = (format!("came-{}", incoming.id), format!("last-{}", incoming.id));
    let left = incoming.quantity - incoming.received;
    html! {
        details.adjust {
            summary { "Book in" span.vh { " " (title) } }
            form method="post" action=(visit.at(format_args!("/stock/incoming/{}/receive", incoming.id))) {
                input type="hidden" name="key" value=(visit.key());
                div.field {
                    label for=(units) { "Units that came" }
                    input id=(units) name="units" type="number" step="1" required min="1" max=(DELTA_MAX)
                        value=[(left > 0).then_some(left)];
                }
                @if incoming.closed_at.is_none() {
                    div.field {
                        label for=(last) { "After that" }
                        select id=(last) name="last" {
                            option value="no" { "more comes" }
                            option value="yes" { "no more comes" }
                        }
                    }
                }
                button.button type="submit" { "Book in" }
            }
        }
    }
}

pub(crate) async fn announce(visit: Arc<Visit>) -> Result<Done, Failure> {
    let form = &visit.form;
    let quantity: u32 = form.parsed("units", "A whole number of units.")?;
    let (sku_no, location, merchant) = named(form)?;
    let reference = form.given("reference").ok_or_else(|| wrong("reference", "What the supplier calls the order."))?;
    let goods = Announced { sku_no, location, merchant, quantity, expected_on: form.given("day"), reference };
    visit.ask(Announce { goods: vec![goods] }).await?;
    Ok(Done { to: visit.at("/stock/incoming"), said: format!("{quantity} units are announced.") })
}

pub(crate) async fn receive(visit: Arc<Visit>) -> Result<Done, Failure> {
    let form = &visit.form;
    let quantity: u32 = form.parsed("units", "A whole number of units.")?;
    let ask =
        Receive { incoming: visit.part("incoming")?, quantity, last: form.text("last") == "yes", key: form.key()? };
    let now = visit.ask(ask).await?;
    let said = match now.closed_at {
        Some(_) => format!("{quantity} units are booked in. No more are expected."),
        None => format!("{quantity} units are booked in. {} are still expected.", now.quantity - now.received),
    };
    Ok(Done { to: visit.at("/stock/incoming"), said })
}

pub(crate) async fn give_up(visit: Arc<Visit>) -> Result<Done, Failure> {
    visit.ask(GiveUpIncoming { incoming: visit.part("incoming")? }).await?;
    Ok(Done { to: visit.at("/stock/incoming"), said: "Nothing more of it is expected.".to_owned() })
}
