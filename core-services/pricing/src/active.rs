//! The promotions that take part in quotes, kept in memory and read anew when their version grows.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bodega_domain::{Failure, catalog::keys, id::MerchantId, message::catalog::PutViews, promotion::Rule};
use bodega_platform::DatabaseError;
use bodega_plugin_host::protocol::{Component, Hash};

use crate::{Pricing, store};

/// Milliseconds between two looks for a version that another process has written.
const RELOAD_EVERY_MS: u64 = 500;
/// Milliseconds between two looks for rules that edges have not heard of.
const TELL_EVERY_MS: u64 = 300;

/// A plugin that takes part in quotes.
#[derive(Clone, Debug)]
pub(crate) struct ActivePlugin {
    pub(crate) promotion: String,
    /// Whose lines it sees and who funds it; `None` is the marketplace and all lines.
    pub(crate) merchant: Option<MerchantId>,
    /// What shoppers read.
    pub(crate) label: String,
    pub(crate) hash: Hash,
    pub(crate) configuration: String,
}

/// One version of everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) version: i64,
    pub(crate) rules: Vec<Rule>,
    pub(crate) plugins: Vec<ActivePlugin>,
}

/// The version in use. Empty until the first look at the database.
#[derive(Default)]
pub(crate) struct Active(RwLock<Option<Arc<Snapshot>>>);

impl Active {
    fn get(&self) -> Option<Arc<Snapshot>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a version in use, unless a newer one came first: two refreshes may overtake each other.
    fn set(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(newer) if newer.version > snapshot.version => newer.clone(),
            _ => current.insert(Arc::new(snapshot)).clone(),
        }
    }
}

/// The promotions in use; read from the database before the first quote.
pub(crate) async fn current(pricing: &Pricing) -> Result<Arc<Snapshot>, Failure> {
    match pricing.active.get() {
        Some(snapshot) => Ok(snapshot),
        None => Ok(refresh(pricing).await?),
    }
}

/// Reads them anew when their version has grown.
pub(crate) async fn refresh(pricing: &Pricing) -> Result<Arc<Snapshot>, DatabaseError> {
    let pool = pricing.context.postgres().pool();
    let version = store::version(pool).await?;
    if let Some(snapshot) = pricing.active.get().filter(|snapshot| snapshot.version == version) {
        return Ok(snapshot);
    }
    let mut snapshot = Snapshot { version, ..Snapshot::default() };
    for row in store::active(pool).await? {
        if let Some(rule) = row.rule {
            snapshot.rules.push(rule);
        } else if let Some(hash) = row.plugin_hash.as_deref().and_then(|hash| hash.parse::<Hash>().ok()) {
            if !pricing.pool.knows(&hash) {
                let Some(bytes) = store::component(pool, &hash.to_string()).await? else { continue };
                pricing.pool.register(Component::new(bytes));
            }
            snapshot.plugins.push(ActivePlugin {
                promotion: row.id.to_string(),
                merchant: row.merchant,
                label: row.label,
                hash,
                configuration: row.config.to_string(),
            });
        }
    }
    tracing::info!(version, rules = snapshot.rules.len(), plugins = snapshot.plugins.len(), "promotions in use");
    Ok(pricing.active.set(snapshot))
}

/// Looks for versions of other processes until this one stops.
pub(crate) async fn reload(pricing: Pricing) {
    loop {
        if let Err(error) = refresh(&pricing).await {
            tracing::warn!(%error, "promotions could not be read; quotes go on with the last ones");
        }
        if pricing.context.tasks().pause(Duration::from_millis(RELOAD_EVERY_MS)).await {
            return;
        }
    }
}

/// Gives the declarative rules to the catalogue, which feeds the edges, until it has taken the newest version.
pub(crate) async fn tell_edges(pricing: Pricing) {
    let mut told = None;
    while !pricing.context.tasks().pause(Duration::from_millis(TELL_EVERY_MS)).await {
        let failed = tell_once(&pricing).await.err();
        // Once for each reason: it is tried several times a second until it works.
        if let Some(reason) = failed.as_ref().filter(|_| failed != told) {
            tracing::warn!(reason, "edges estimate with older rules until they can be told the new ones");
        }
        told = failed;
    }
}

async fn tell_once(pricing: &Pricing) -> Result<(), String> {
    let pool = pricing.context.postgres().pool();
    let Some(version) = store::untold(pool).await.map_err(|e| e.to_string())? else { return Ok(()) };
    let rules: Vec<Rule> =
        store::active(pool).await.map_err(|e| e.to_string())?.into_iter().filter_map(|r| r.rule).collect();
    let body = serde_json::to_value(&rules).map_err(|e| e.to_string())?;
    let views = PutViews { entries: vec![(keys::PROMOTIONS.to_owned(), "active".to_owned(), Some(body))] };
    let context = pricing.context.request_context();
    pricing.context.bus().request(&views, &context).await.map_err(|e| e.to_string())?;
    store::told(pool, version).await.map_err(|e| e.to_string())
}
