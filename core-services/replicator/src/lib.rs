//! Feeds the catalogue and revocations to every edge.
//!
//! **Owns** how far each edge is. Nothing else: what edges get is read from the catalogue each time.
//!
//! **Promises**
//! * An edge gets a whole snapshot first, then every change after it, in order, in signed batches of which each names the
//!   one before. What an edge did not confirm is repeated byte for byte, also after a restart of this service.
//! * Each edge has a task of its own: a slow or dead one delays nobody.
//! * One process feeds an edge at a time; when it ends, another goes on.
//! * After a restore of the catalogue (another epoch) and after an edge lost its store, a snapshot begins again.
//! * Once a minute an edge's digest is compared with the catalogue's at the same position; one that differs gets a
//!   snapshot.
//!
//! Changes are told by `edgefeed.v1` and looked for every second, so that a lost message costs a second.
//!
//! | subject | what |
//! | --- | --- |
//! | `replicator.v1.edges` | how far each edge is |
//! | hears | `edgefeed.v1` |
//! | asks | `catalog.v1.views`, `catalog.v1.digests`, and `{edge}/_edge/v1/ingest` over HTTP |

mod edge;
mod feed;
pub mod limits;
mod plan;
mod requests;
mod store;
mod worker;

use std::{sync::Arc, time::Duration};

use bodega_domain::token::SecretKey;
use bodega_platform::{
    Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};
use tokio::sync::watch;

use crate::feed::Told;

/// The migrations of this service.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("replicator", &MIGRATIONS, |context| Box::pin(start(context)))
}

/// What handlers and workers share.
pub(crate) struct State {
    pub(crate) context: Context,
    pub(crate) http: reqwest::Client,
    /// Signs batches; there is one when there are edges.
    pub(crate) signing: Option<SecretKey>,
    /// The last position that was told, and when.
    pub(crate) told: watch::Sender<Told>,
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let edges = context.config().replicator.edges.clone();
    let signing = context.config().keys.replication.first().cloned().filter(|key| key.public().is_some());
    if !edges.is_empty() && signing.is_none() {
        return Err(StartError::Config("keys.replication holds no usable key; see `bodega keys`".to_owned()));
    }
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(limits::CONNECT_TIMEOUT_MS))
        .timeout(Duration::from_millis(limits::EDGE_TIMEOUT_MS))
        .redirect(reqwest::redirect::Policy::none())
        // Edges are reached directly; what the environment says of proxies is for other programs.
        .no_proxy()
        .build()
        .map_err(|error| StartError::Other(error.to_string()))?;
    let (told, _) = watch::channel(Told { head: 0, at: context.clock().now() });
    let state = Arc::new(State { context: context.clone(), http, signing, told });
    let listening = state.clone();
    let mut wiring = Wiring::new(&context)
        .on(state.clone(), requests::edges::edges)
        .background("feed", move || feed::listen(listening.clone()));
    for edge in edges {
        let state = state.clone();
        wiring = wiring.background("edge", move || worker::run(state.clone(), edge.clone()));
    }
    Ok(wiring)
}
