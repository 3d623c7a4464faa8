//! Services as they answer on the bus, and how far each edge is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bodega_domain::{
    Code, Failure,
    message::replicator::{EdgeState, Edges},
};
use bodega_platform::{Context, operation::OPERATIONS};
use futures::StreamExt as _;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    home::unread,
    layout::Page,
    table::table,
    visit::Visit,
    words::{badge, time},
};

/// How long services may take to say that they are there.
const ANSWERS_WITHIN: Duration = Duration::from_millis(600);

/// What a NATS micro service says of itself.
#[derive(Deserialize)]
struct Stats {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    endpoints: Vec<EndpointStats>,
}

#[derive(Deserialize)]
struct EndpointStats {
    #[serde(default)]
    num_requests: u64,
    #[serde(default)]
    num_errors: u64,
    /// Nanoseconds.
    #[serde(default)]
    processing_time: u64,
}

/// A service of the operation table and the processes that answer for it.
pub(super) struct Health {
    pub(super) name: &'static str,
    instances: Vec<Stats>,
}

impl Health {
    pub(super) fn answers(&self) -> bool {
        !self.instances.is_empty()
    }

    fn sum(&self, of: fn(&EndpointStats) -> u64) -> u64 {
        self.instances.iter().flat_map(|instance| &instance.endpoints).map(of).sum()
    }
}

/// Asks all services at once; who is silent is told from the operation table, which lists every service.
pub(super) async fn health(context: &Context) -> Vec<Health> {
    let mut services: Vec<Health> = OPERATIONS
        .iter()
        .filter_map(|operation| operation.subject.split('.').next())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|name| Health { name, instances: Vec::new() })
        .collect();
    let client = context.bus().client();
    let inbox = client.new_inbox();
    let asked = async {
        let answers = client.subscribe(inbox.clone()).await.ok()?;
        client.publish_with_reply("$SRV.STATS", inbox, "".into()).await.ok()?;
        client.flush().await.ok()?;
        Some(answers)
    };
    // Everything within one time limit, also a bus that is not there.
    let until = tokio::time::Instant::now() + ANSWERS_WITHIN;
    let Ok(Some(mut answers)) = tokio::time::timeout_at(until, asked).await else { return services };
    while let Ok(Some(answer)) = tokio::time::timeout_at(until, answers.next()).await {
        if let Ok(stats) = serde_json::from_slice::<Stats>(&answer.payload)
            && let Some(service) = services
                .iter_mut()
                .find(|service| stats.name == service.name || stats.name.strip_prefix("bodega-") == Some(service.name))
        {
            service.instances.push(stats);
        }
        if services.iter().all(Health::answers) {
            break;
        }
    }
    services
}

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let (services, edges) = tokio::join!(health(&visit.context), visit.ask(Edges {}));
    let rows = services
        .iter()
        .map(|service| {
            let requests = service.sum(|endpoint| endpoint.num_requests);
            let spent_us = service.sum(|endpoint| endpoint.processing_time) / 1_000;
            let mean_us = spent_us.checked_div(requests).unwrap_or(0);
            vec![
                html! { (service.name) },
                badge(if service.answers() { "running" } else { "silent" }),
                html! { (service.instances.first().map(|one| one.version.as_str()).unwrap_or_default()) },
                html! { span.num { (requests) } },
                html! { span.num { (service.sum(|endpoint| endpoint.num_errors)) } },
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
