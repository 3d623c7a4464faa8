//! `pricing.v1.{plugin_upload,plugin_activate,plugins}`: merchants' own code, checked before it is kept.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::{PluginId, PromotionId},
    limits::{LIST_LIMIT_MAX, PLUGIN_BYTES_MAX},
    message::{
        Page,
        pricing::{PluginActivate, PluginUpload, PluginView, Plugins, PromotionView},
    },
    token::from_base64url,
};
use bodega_platform::Call;
use bodega_plugin_host::{
    client::Error,
    limits::CONFIGURATION_BYTES_MAX,
    protocol::Component,
    trial::{self, Objection},
};

use super::{promotion::put, reads_of, who, writes_for};
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
    let report = serde_json::json!({ "description": loaded.description, "trial": trial });
    let (by, at) = (who(&call.principal), pricing.context.clock().now());
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
    v.finish()?;
    let pool = pricing.context.postgres().pool();
    let Some((merchant, hash)) = store::plugin(pool, request.plugin).await? else {
        return Err(Code::PluginNotFound.into());
    };
    if writes_for(&call.principal, merchant).ok() != Some(merchant) {
        return Err(Code::PluginNotFound.into());
    }
    // The configuration is another one than at the upload: a mistake in it is told now, not found in quotes.
    let component = store::component(pool, &hash).await?.ok_or(Code::PluginNotFound)?;
    let config = request.config.to_string();
    let (_, trial) = trial::run(&pricing.pool, &Component::new(component), Some(&config)).await.map_err(rejected)?;
    if let Some(objection) = trial.objection() {
        return Err(objected(&objection));
    }
    let (by, at) = (who(&call.principal), pricing.context.clock().now());
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
    put(&pricing, &change).await
}

pub(crate) async fn plugins(pricing: Pricing, call: Call, request: Plugins) -> Result<Page<PluginView>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let after = request
        .cursor
        .as_deref()
        .map(|cursor| cursor.parse().map_err(|_| Failure::new(Code::BadRequest, "This cursor is not one of ours.")))
        .transpose()?;
    let limit = i64::from(LIST_LIMIT_MAX);
    let items = store::plugins(pricing.context.postgres().pool(), &merchants, None, after, limit).await?;
    let full = i64::try_from(items.len()).unwrap_or(i64::MAX) == limit;
    let next_cursor = items.last().filter(|_| full).map(|last| last.id.to_string());
    Ok(Page { items, next_cursor })
}
