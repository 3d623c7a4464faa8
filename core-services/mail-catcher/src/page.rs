//! The pages for people: no scripts, and a mail's HTML in a box where it can do nothing.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bodega_domain::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::letterbox::Letterbox;
use crate::mail::Mail;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#26221c;--paper:#fbf8f2;--line:#ddd3c2;--soft:#766d5f;--accent:#0b6e4f}
@media(prefers-color-scheme:dark){:root{--ink:#efe9de;--paper:#1c1a17;--line:#3c372f;--soft:#a89d8c;--accent:#5cc9a1}}
*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}.soft{color:var(--soft)}a{color:var(--accent)}
ul{list-style:none;margin:1rem 0;padding:0}li{border-top:1px solid var(--line)}
li a{display:flex;flex-wrap:wrap;gap:0 1rem;padding:.6rem .2rem;color:inherit;text-decoration:none}li a:hover b{color:var(--accent)}li b{flex:1 1 100%}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line)}th{font-weight:600;overflow-wrap:normal}
pre{margin:0;padding:1rem;border:1px solid var(--line);border-radius:.4rem;white-space:pre-wrap;font:.9rem/1.5 ui-monospace,monospace}
iframe{width:100%;height:min(75vh,36rem);border:1px solid var(--line);border-radius:.4rem;background:#fff;color-scheme:light}";

/// Our own pages run nothing and are shown in nobody's frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
/// A mail's HTML: no scripts, no forms, nothing from elsewhere, an origin of its own. It holds outside the frame too.
const BODY_POLICY: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";

fn answer(status: StatusCode, policy: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(text)).into_response()
}

fn frame(status: StatusCode, title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · mail catcher" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    answer(status, PAGE_POLICY, page.into_string())
}

pub(crate) async fn list(State(letterbox): State<Arc<Letterbox>>) -> Response {
    let mails = letterbox.newest(None);
    let body = html! {
        h1 { "Mail catcher" }
        p.soft { "Every mail of this shop, newest first. None of them was delivered." }
        @if mails.is_empty() {
            p { "No mail yet. Order something in the shop." }
        } @else {
            ul {
                @for mail in &mails {
                    li { a href=(format!("/mails/{}", mail.id)) {
                        b dir="auto" { (subject(mail)) }
                        span { (mail.to.join(", ")) }
                        span.soft { (moment(mail.received_at)) }
                    } }
                }
            }
        }
    };
    frame(StatusCode::OK, "Mails", &body)
}

pub(crate) async fn mail(State(letterbox): State<Arc<Letterbox>>, Path(id): Path<u64>) -> Response {
    let Some(mail) = letterbox.mail(id) else { return gone() };
    let address = format!("/mails/{id}/html");
    let body = html! {
        p { a href="/" { "All mails" } }
        h1 dir="auto" { (subject(&mail)) }
        p.soft { "To " (mail.to.join(", ")) " · " (moment(mail.received_at)) }
        @if mail.html.is_some() {
            h2 { "HTML" }
            iframe sandbox="" src=(address) title="The mail as HTML" {}
            p { a href=(address) { "Show it by itself" } span.soft { ", where its links can be followed" } }
        }
        @if let Some(text) = &mail.text {
            h2 { "Text" }
            pre dir="auto" { (text) }
        }
        @if !mail.headers.is_empty() {
            h2 { "Headers" }
            table { @for header in &mail.headers { tr { th { (header.name) } td dir="auto" { (header.value) } } } }
        }
    };
    frame(StatusCode::OK, subject(&mail), &body)
}

pub(crate) async fn body(State(letterbox): State<Arc<Letterbox>>, Path(id): Path<u64>) -> Response {
    match letterbox.mail(id).and_then(|mail| mail.html.clone()) {
        Some(html) => answer(StatusCode::OK, BODY_POLICY, html),
        None => gone(),
    }
}

fn gone() -> Response {
    let body = html! {
        h1 { "This mail is not here" }
        p { "It was deleted, or newer ones took its place. " a href="/" { "All mails" } }
    };
    frame(StatusCode::NOT_FOUND, "Not here", &body)
}

fn subject(mail: &Mail) -> &str {
    if mail.subject.is_empty() { "(no subject)" } else { &mail.subject }
}

/// `2026-11-24 00:00:00 UTC`
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} UTC", text.get(..19).unwrap_or(&text).replace('T', " "))
}
