//! `pricing.v1.{plugin_upload,plugin_activate,plugins}`: merchants' own code, checked before it is kept.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::{PluginId, PromotionId},
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, PLUGIN_BYTES_MAX},
    message::{
        Page,
        pricing::{PluginActivate, PluginUpload, PluginView, Plugins, PromotionView},
    },
    quote::PluginOutcome,
    token::{from_base64url, sha256_hex},
};
use bodega_platform::{
    Call, DatabaseError, TransactionError,
    sqlx::{self, PgConnection},
};
use bodega_plugin_host::{
    client::Error,
    limits::CONFIGURATION_BYTES_MAX,
    protocol::{Component, Outcome, Refusal},
    trial::{self, Case, Objection, Report},
};

use super::{
    PAGE_ITEMS_MAX, page,
    promotion::{put, used},
    reads_of, writes_for,
};
use crate::{Pricing, store};

/// Bytes of a plugin's or promotion's name.
const NAME_BYTES_MAX: usize = 120;

pub(crate) async fn upload(pricing: Pricing, call: Call, request: PluginUpload) -> Result<PluginView, Failure> {
    let merchant = writes_for(&call.principal, request.merchant)?;
    let mut v = Validation::new();
    check_name(&mut v, "/name", &request.name);
    check_config(&mut v, "/config", &request.config);
    let bytes = from_base64url(&request.component);
    v.check(bytes.is_some(), "/component", "malformed", "Base64url without padding.");
    v.finish()?;
    let bytes = bytes.unwrap_or_default();
    if bytes.len() > PLUGIN_BYTES_MAX {
        return Err(Failure::new(Code::PayloadTooLarge, "A plugin has at most 700 KiB."));
    }
    let component = Component::new(bytes);
    // Without a configuration it is tried with the one that it offers itself.
    let config = (!request.config.is_null()).then(|| request.config.to_string());
    let (loaded, trial) = trial::run(&pricing.pool, &component, config.as_deref()).await.map_err(rejected)?;
    if let Some(objection) = trial.objection() {
        return Err(objected(&objection));
    }
    let report = serde_json::json!({ "description": loaded.description, "trial": listed(&trial) });
    let (by, at) = (call.principal.who(), pricing.context.clock().now());
    let hash = component.hash().to_string();
    let new = store::NewPlugin {
        id: PluginId::new(at.unix_ms(), pricing.context.entropy().bytes()),
        merchant,
        name: &request.name,
        hash: &hash,
        component: component.bytes(),
        trial: &report,
        by: &by,
        at,
    };
    let pool = pricing.context.postgres().pool();
    let id = store::insert_plugin(pool, &new).await?;
    tracing::info!(plugin = %id, hash, size = component.bytes().len(), "plugin uploaded");
    store::plugins(pool, &[], Some(id), None, 1).await?.pop().ok_or_else(Failure::internal)
}

/// A trial as it is kept and listed: how each cart ended, not every effect, which may be thousands.
fn listed(trial: &Report) -> serde_json::Value {
    let case = |Case { cart, verdict }: &Case| {
        let effects = if let Outcome::Ok(effects) = &verdict.outcome { effects.len() } else { 0 };
        let outcome = PluginOutcome::from(&verdict.outcome);
        let mut case =
            serde_json::json!({ "cart": cart, "outcome": outcome, "effects": effects, "fuel": verdict.fuel });
        if let Outcome::Refused(Refusal::Other(reason) | Refusal::Configuration(reason)) = &verdict.outcome {
            case["reason"] = reason.as_str().into();
        }
        case
    };
    serde_json::json!({ "cases": trial.cases.iter().map(case).collect::<Vec<_>>(), "fuel_max": trial.fuel_max })
}

fn check_name(v: &mut Validation, pointer: &str, name: &str) {
    let fits = !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    v.check(fits, pointer, "length", "1 to 120 bytes without control characters.");
}

fn check_config(v: &mut Validation, pointer: &str, config: &serde_json::Value) {
    v.check(config.to_string().len() <= CONFIGURATION_BYTES_MAX, pointer, "too_long", "At most 16 KiB.");
}

/// A plugin that breaks in its trial is not kept, and one that does not take its configuration not activated with it.
fn objected(objection: &Objection) -> Failure {
    let failure = Failure::new(Code::PluginRejected, format!("{objection}."));
    match objection {
        Objection::Configuration(reason) => failure.field("/config", "refused", reason),
        Objection::Broke { .. } => failure.field("/component", "broke", "It broke in its trial run."),
    }
}

fn rejected(error: Error) -> Failure {
    match error {
        Error::Rejected(rejection) => Failure::new(Code::PluginRejected, format!("{rejection}.")),
        Error::Busy => Failure::from(Code::Overloaded).retry_after_s(5),
        error @ Error::Spawn { .. } => {
            tracing::error!(%error, "no plugin can be tried");
            Failure::new(Code::CoreUnavailable, "Plugins cannot be tried at the moment.").retry_after_s(30)
        }
        error => {
            tracing::warn!(%error, "a plugin could not be tried");
            Failure::new(Code::PluginRejected, "The plugin host was lost while it tried this plugin.")
        }
    }
}

pub(crate) async fn activate(pricing: Pricing, call: Call, request: PluginActivate) -> Result<PromotionView, Failure> {
    let mut v = Validation::new();
    check_name(&mut v, "/label", &request.label);
    check_config(&mut v, "/config", &request.config);
    let key_fits = request.key.as_deref().is_none_or(|key| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()));
    v.check(key_fits, "/key", "length", "1 to 128 bytes.");
    v.finish()?;
    let pool = pricing.context.postgres().pool();
    let Some((merchant, hash)) = store::plugin(pool, request.plugin).await? else {
        return Err(Code::PluginNotFound.into());
    };
    if writes_for(&call.principal, merchant).ok() != Some(merchant) {
        return Err(Code::PluginNotFound.into());
    }
    let asked = Asked::of(&request);
    let mut connection = pool.acquire().await.map_err(DatabaseError::from)?;
    let made = asked.made(&mut connection).await?;
    drop(connection);
    if let Some(id) = made {
        return used(&pricing, id).await;
    }
    // The configuration is another one than at the upload: a mistake in it is told now, not found in quotes.
    let component = store::component(pool, &hash).await?.ok_or(Code::PluginNotFound)?;
    let config = request.config.to_string();
    let (_, trial) = trial::run(&pricing.pool, &Component::new(component), Some(&config)).await.map_err(rejected)?;
    if let Some(objection) = trial.objection() {
        return Err(objected(&objection));
    }
    let (by, at) = (call.principal.who(), pricing.context.clock().now());
    let change = store::Change {
        id: PromotionId::new(at.unix_ms(), pricing.context.entropy().bytes()),
        merchant,
        label: &request.label,
        rule: None,
        plugin: Some(request.plugin),
        config: &request.config,
        active: true,
        by: &by,
        at,
    };
    let (asked, change) = (&asked, &change);
    let id = pricing
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                store::lock(&mut tx).await?;
                // The same request may have come through while this one was being tried.
                if let Some(id) = asked.made(&mut tx).await? {
                    return Ok(id);
                }
                put(&mut tx, change).await?;
                asked.keep(&mut tx, change).await?;
                Ok(change.id)
            })
        })
        .await?;
    used(&pricing, id).await
}

/// What makes two activations the same one.
struct Asked<'a> {
    request: &'a PluginActivate,
    key: Option<String>,
    fingerprint: String,
}

impl<'a> Asked<'a> {
    fn of(request: &'a PluginActivate) -> Self {
        let content = serde_json::json!([request.label, request.config]).to_string();
        let key = request.key.as_deref().map(|key| sha256_hex(key.as_bytes()));
        Self { request, key, fingerprint: sha256_hex(content.as_bytes()) }
    }

    /// The promotion that came of it before. Without a key that is one which is still active: who stopped one and starts
    /// the same again means another.
    async fn made(&self, tx: &mut PgConnection) -> Result<Option<PromotionId>, TransactionError<Failure>> {
        let PluginActivate { plugin, label, config, .. } = self.request;
        let Some(key) = &self.key else { return Ok(store::active_like(tx, *plugin, label, config).await?) };
        match store::activation(tx, *plugin, key).await? {
            Some((fingerprint, _)) if fingerprint != self.fingerprint => {
                Err(TransactionError::Refused(Code::IdempotencyKeyReused.into()))
            }
            made => Ok(made.map(|(_, id)| id)),
        }
    }

    async fn keep(&self, tx: &mut PgConnection, change: &store::Change<'_>) -> Result<(), sqlx::Error> {
        let Some(key) = &self.key else { return Ok(()) };
        store::keep_activation(tx, (self.request.plugin, key, &self.fingerprint), change.id, change.at).await
    }
}

pub(crate) async fn plugins(pricing: Pricing, call: Call, request: Plugins) -> Result<Page<PluginView>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let after = request
        .cursor
        .as_deref()
        .map(|cursor| cursor.parse().map_err(|_| Failure::new(Code::BadRequest, "This cursor is not one of ours.")))
        .transpose()?;
    let pool = pricing.context.postgres().pool();
    let found = store::plugins(pool, &merchants, None, after, PAGE_ITEMS_MAX + 1).await?;
    Ok(page(found, PAGE_ITEMS_MAX, |plugin| plugin.id.to_string()))
}
