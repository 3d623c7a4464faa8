//! The control page for people: plain forms, no scripts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use super::{Fault, FaultMode, Switches, act, foreign};
use crate::App;
use crate::book::Event;
use crate::intent::{Card, Intent, Status};
use crate::webhook;

/// Intents and events shown, newest first.
const SHOWN_MAX: usize = 50;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#26221c;--paper:#fbf8f2;--line:#ddd3c2;--soft:#766d5f;--accent:#0b6e4f}
@media(prefers-color-scheme:dark){:root{--ink:#efe9de;--paper:#1c1a17;--line:#3c372f;--soft:#a89d8c;--accent:#5cc9a1}}
body{margin:0 auto;max-width:80rem;padding:1.5rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p.soft,.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.9rem}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.sum{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}td code{font-size:.78em}
td button{font-size:.8rem;padding:.05rem .5rem;margin:.1rem 0}
form.row{display:flex;flex-wrap:wrap;gap:.5rem 1.2rem;align-items:center}td form{display:inline}
button{font:inherit;padding:.3rem .8rem;border:1px solid var(--accent);border-radius:.4rem;background:var(--accent);color:var(--paper);cursor:pointer}
button.quiet{background:none;color:var(--accent)}input,select{font:inherit;padding:.25rem .4rem;border:1px solid var(--line);border-radius:.3rem;background:none;color:inherit}
.wide{overflow-x:auto}";

/// The frame of every page of the simulator.
pub(crate) fn frame(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · payment simulator" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

/// Minor units and currency; the simulator does not guess decimal places.
pub(crate) fn amount(minor: i64, currency: &str) -> String {
    let currency = currency.to_ascii_uppercase();
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    match currency.as_str() {
        "JPY" | "KRW" | "CLP" | "VND" => format!("{sign}{minor} {currency}"),
        _ => format!("{sign}{}.{:02} {currency}", minor / 100, minor % 100),
    }
}

pub(super) async fn show(State(app): State<Arc<App>>) -> Html<String> {
    let switches = app.switches().clone();
    let (intents, events, count) = {
        let book = app.lock();
        let intents: Vec<Intent> = book.intents().rev().take(SHOWN_MAX).cloned().collect();
        let events: Vec<Event> = book.events().rev().take(SHOWN_MAX).cloned().collect();
        (intents, events, book.intents().count())
    };
    let body = html! {
        h1 { "Payment simulator" }
        p.soft { "A provider that misbehaves on request. " (count) " payments so far." }
        (switch_form(&switches))
        (fault_form(&switches))
        (intent_table(&intents))
        (event_table(&events))
    };
    Html(frame("Control", &body).into_string())
}

fn switch_form(switches: &Switches) -> Markup {
    html! {
        h2 { "Webhooks" }
        form.row method="post" action="/form/switches" {
            label { "to " input name="webhook_url" size="48" value=(switches.webhook_url.as_deref().unwrap_or_default()); }
            label { input type="checkbox" name="hold" checked[switches.hold]; " hold back" }
            label { input type="checkbox" name="drop" checked[switches.drop]; " drop" }
            label { input type="checkbox" name="duplicate" checked[switches.duplicate]; " send twice" }
            label { "delay " input name="delay_ms" type="number" min="0" max="600000" value=(switches.delay_ms); " ms" }
            button { "Set" }
        }
    }
}

fn fault_form(switches: &Switches) -> Markup {
    html! {
        h2 { "Fail the next call" }
        form.row method="post" action="/form/fault" {
            select name="operation" {
                @for name in ["any", "create", "confirm", "capture", "cancel", "refund", "retrieve"] { option { (name) } }
            }
            select name="mode" {
                option value="refuse" { "refuse with 500" }
                option value="drop_response" { "do it, lose the answer" }
                option value="hang_after" { "do it, answer after 30 s" }
                option value="hang_before" { "hang 30 s, do nothing" }
                option value="postpone" { "answer, do nothing" }
            }
            button { "Arm" }
            @for fault in &switches.faults {
                span.soft { (fault.count) " × " (fault.operation) ": " (mode_name(fault.mode)) }
            }
        }
    }
}

fn mode_name(mode: FaultMode) -> &'static str {
    match mode {
        FaultMode::Refuse => "refuse",
        FaultMode::HangBefore => "hang, do nothing",
        FaultMode::DropResponse => "lose the answer",
        FaultMode::HangAfter => "answer late",
        FaultMode::Postpone => "answer, do nothing",
    }
}

fn intent_table(intents: &[Intent]) -> Markup {
    html! {
        h2 { "Payments" }
        @if intents.is_empty() { p.soft { "None yet. Pay for something in the shop." } } @else {
            div.wide { table {
                tr { th { "payment" } th { "order" } th { "card" } th { "status" } th { "amount" } th { "captured" } th { "refunded" } th {} }
                @for intent in intents {
                    tr {
                        td { code { (intent.id) } }
                        td { code { (intent.metadata.get("order_id").map_or("–", String::as_str)) } }
                        td { (intent.card.map_or("–", Card::name)) }
                        td { (intent.status.name()) @if intent.disputed { " · disputed" } }
                        td.sum { (amount(intent.amount, &intent.currency)) }
                        td.sum { (amount(intent.received, &intent.currency)) }
                        td.sum { (amount(intent.refunded, &intent.currency)) }
                        td { @for verb in verbs(intent) {
                            form method="post" action=(format!("/form/intents/{}/{verb}", intent.id)) { button.quiet { (verb) } } " "
                        } }
                    }
                }
            } }
        }
    }
}

fn verbs(intent: &Intent) -> Vec<&'static str> {
    match intent.status {
        Status::Processing => vec!["authorise", "refuse"],
        Status::RequiresAction => vec!["approve", "decline"],
        Status::Succeeded if !intent.disputed && intent.refunded < intent.received => vec!["dispute"],
        Status::Canceled => vec!["capture"],
        _ => Vec::new(),
    }
}

fn event_table(events: &[Event]) -> Markup {
    html! {
        h2 { "Webhook events" }
        @if events.is_empty() { p.soft { "None yet." } } @else {
            div.wide { table {
                tr { th { "event" } th { "type" } th { "payment" } th { "delivery" } th {} }
                @for event in events {
                    tr {
                        td { code { (event.id) } }
                        td { (event.kind) }
                        td { code { (event.intent) } }
                        td { (event.delivery.name()) }
                        td { form method="post" action=(format!("/form/events/{}/resend", event.id)) { button.quiet { "send again" } } }
                    }
                }
            } }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct SwitchForm {
    webhook_url: String,
    hold: Option<String>,
    drop: Option<String>,
    duplicate: Option<String>,
    #[serde(default)]
    delay_ms: u64,
}

pub(super) async fn switches(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(form): Form<SwitchForm>,
) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let mut switches = app.switches();
    switches.webhook_url = Some(form.webhook_url).filter(|url| !url.is_empty());
    switches.hold = form.hold.is_some();
    switches.drop = form.drop.is_some();
    switches.duplicate = form.duplicate.is_some();
    switches.delay_ms = form.delay_ms;
    Redirect::to("/").into_response()
}

#[derive(Deserialize)]
pub(super) struct FaultForm {
    operation: String,
    mode: FaultMode,
}

pub(super) async fn fault(State(app): State<Arc<App>>, headers: HeaderMap, Form(form): Form<FaultForm>) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let fault = Fault { operation: form.operation, mode: form.mode, status: 500, hang_ms: 30_000, count: 1 };
    let mut switches = app.switches();
    if switches.faults.len() < super::FAULTS_MAX {
        switches.faults.push(fault);
    }
    Redirect::to("/").into_response()
}

pub(super) async fn resend(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    webhook::send_later(&app, id, Duration::ZERO);
    Redirect::to("/").into_response()
}

pub(super) async fn act_on_intent(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path((id, verb)): Path<(String, String)>,
) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    match act(&app, &id, &verb) {
        Ok(()) => Redirect::to("/").into_response(),
        Err(refusal) => {
            let body = html! { h1 { "Not possible" } p { (refusal.message) } p { a href="/" { "Back" } } };
            (refusal.status, Html(frame("Not possible", &body).into_string())).into_response()
        }
    }
}
