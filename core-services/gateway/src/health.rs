//! Services as they answer on the bus, for the dashboard and for `GET /api/v1/services`.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bodega_domain::{Failure, message::Page};
use bodega_platform::{
    Context,
    operation::{OPERATIONS, Operation},
};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::{exchange::Exchange, problem::Problem};

/// How long services may take to say that they are there.
pub(crate) const ANSWERS_WITHIN: Duration = Duration::from_millis(600);

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
pub(crate) struct Health {
    pub(crate) name: &'static str,
    instances: Vec<Stats>,
}

impl Health {
    pub(crate) fn answers(&self) -> bool {
        !self.instances.is_empty()
    }

    pub(crate) fn state(&self) -> &'static str {
        if self.answers() { "running" } else { "silent" }
    }

    pub(crate) fn version(&self) -> &str {
        self.instances.first().map(|one| one.version.as_str()).unwrap_or_default()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.sum(|endpoint| endpoint.num_requests)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.sum(|endpoint| endpoint.num_errors)
    }

    /// Microseconds that a request took, in the mean.
    pub(crate) fn mean_us(&self) -> u64 {
        (self.sum(|endpoint| endpoint.processing_time) / 1_000).checked_div(self.requests()).unwrap_or(0)
    }

    fn sum(&self, of: fn(&EndpointStats) -> u64) -> u64 {
        self.instances.iter().flat_map(|instance| &instance.endpoints).map(of).sum()
    }
}

/// Asks all services at once; who is silent is told from the operation table, which lists every service.
pub(crate) async fn health(context: &Context) -> Vec<Health> {
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

/// A service in the answer of the API.
#[derive(Serialize)]
struct ServiceState<'a> {
    service: &'static str,
    /// `running` or `silent`.
    state: &'static str,
    /// Processes that answer.
    instances: usize,
    version: &'a str,
    requests: u64,
    errors: u64,
    mean_us: u64,
}

/// `GET /api/v1/services`.
pub(crate) async fn get(State(context): State<Context>, exchange: Exchange) -> Response {
    if let Err(failure) = admit(&context, &exchange) {
        return Problem::new(failure, &exchange).into_response();
    }
    let services = health(&context).await;
    let items = services
        .iter()
        .map(|service| ServiceState {
            service: service.name,
            state: service.state(),
            instances: service.instances.len(),
            version: service.version(),
            requests: service.requests(),
            errors: service.errors(),
            mean_us: service.mean_us(),
        })
        .collect();
    Json(Page { items, next_cursor: None }).into_response()
}

/// No service is asked by name, so there is no row of the operation table: whoever may see the edges may see the services.
fn admit(context: &Context, exchange: &Exchange) -> Result<(), Failure> {
    let principal = context.authenticator().principal(exchange.token.as_deref())?;
    Operation::find("replicator.v1.edges").ok_or_else(Failure::internal)?.admit(&principal)
}
