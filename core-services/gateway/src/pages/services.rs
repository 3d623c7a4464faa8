//! Services as they answer on the bus, and how far each edge is.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::replicator::{EdgeState, Edges},
};
use maud::{Markup, html};

use super::{
    home::unread,
    layout::Page,
    table::table,
    visit::Visit,
    words::{badge, time},
};
use crate::health::{ANSWERS_WITHIN, health};

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let (services, edges) = tokio::join!(health(&visit.context), visit.ask(Edges {}));
    let rows = services
        .iter()
        .map(|service| {
            let mean_us = service.mean_us();
            vec![
                html! { (service.name) },
                badge(service.state()),
                html! { (service.version()) },
                html! { span.num { (service.requests()) } },
                html! { span.num { (service.errors()) } },
                html! { span.num { (mean_us / 1_000) "." (format!("{:03}", mean_us % 1_000)) " ms" } },
            ]
        })
        .collect();
    let heads = ["Service", "State", "Version", "Requests", "Errors", "Mean time"];
    let body = html! {
        section aria-labelledby="services" {
            h2 id="services" { "Services" }
            (table("Counted since each service began", &heads, rows, "No services."))
            p.fine { "Asked over the bus just now; “silent” means no answer within " (ANSWERS_WITHIN.as_millis()) " ms." }
        }
        section aria-labelledby="edges" {
            h2 id="edges" { "Edges" }
            @match &edges { Err(failure) => { (unread(failure)) } Ok(edges) => { (edges_table(edges)) } }
        }
    };
    Ok(Page::new("Services", body))
}

pub(super) fn edges_table(edges: &[EdgeState]) -> Markup {
    let rows = edges
        .iter()
        .map(|edge| {
            vec![
                html! { (edge.edge) br; span.fine { (edge.url) } },
                badge(&edge.state),
                html! {
                    span.num { (edge.position) " of " (edge.head) }
                    @if edge.head > edge.position { " " span.fine { "(" (edge.head - edge.position) " behind)" } }
                },
                html! { @if let Some(lag) = edge.lag_ms { span.num { (lag) " ms" } } @else { "–" } },
                html! { @if let Some(at) = edge.confirmed_at { (time(at)) } @else { "never" } },
                html! { @if let Some(error) = &edge.error { code { (error) } } @else { "none" } },
            ]
        })
        .collect();
    let heads = ["Edge", "State", "Position", "Lag", "Confirmed", "Error"];
    table("How far each edge is", &heads, rows, "No edge is registered.")
}

/// Whatever is no page of the desk.
pub(crate) async fn nothing_here(_: Arc<Visit>) -> Result<Page, Failure> {
    Err(Code::NotFound.into())
}
