//! `pricing.v1.{plugin_upload,plugin_activate,plugins}`: merchants' own code, checked before it is kept.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::{MerchantId, PluginId, PromotionId},
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
    protocol::{Batch, Call as PluginCall, Cart, Component, Line, Outcome},
};

use super::{promotion::put, reads_of, who, writes_for};
use crate::{Pricing, store};

/// Bytes of a plugin's or promotion's name.
const NAME_BYTES_MAX: usize = 120;
/// Lines of the largest cart of the trial.
const TRIAL_LINES_MAX: u32 = 200;

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
    let trial = trial(&component, &request.config, merchant);
    let (loaded, verdicts) = pricing.pool.admit(&component, &trial).await.map_err(rejected)?;
    // Refusing a configuration is the plugin's right; breaking is not.
    if let Some(broken) = verdicts.iter().find(|v| !matches!(v.outcome, Outcome::Ok(_) | Outcome::Refused(_))) {
        let detail = format!("The plugin broke in its trial run: {:?}.", broken.outcome);
        return Err(Failure::new(Code::PluginRejected, detail));
    }
    let outcomes: Vec<serde_json::Value> = trial
        .carts
        .iter()
        .zip(&verdicts)
        .map(|(cart, verdict)| {
            serde_json::json!({ "lines": cart.lines.len(), "fuel": verdict.fuel, "outcome": verdict.outcome })
        })
        .collect();
    let report = serde_json::json!({ "description": loaded.description, "runs": outcomes });
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
    let merchants: Vec<MerchantId> = merchant.into_iter().collect();
    let found = store::plugins(pool, &merchants, None, i64::from(LIST_LIMIT_MAX)).await?;
    found.into_iter().find(|view| view.id == id).ok_or_else(Failure::internal)
}

fn check_name(v: &mut Validation, pointer: &str, name: &str) {
    let fits = !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    v.check(fits, pointer, "length", "1 to 120 bytes without control characters.");
}

fn check_config(v: &mut Validation, pointer: &str, config: &serde_json::Value) {
    v.check(config.to_string().len() <= CONFIGURATION_BYTES_MAX, pointer, "too_long", "At most 16 KiB.");
}

/// Carts of one line, a few and very many: what the plugin makes of them is kept for its merchant to see.
fn trial(component: &Component, config: &serde_json::Value, merchant: Option<MerchantId>) -> Batch {
    let merchant = merchant.map_or_else(|| "marketplace".to_owned(), |m| m.to_string());
    let cart = |lines: u32| {
        let lines: Vec<Line> = (0..lines)
            .map(|index| Line {
                index,
                sku: format!("TRIAL-{index}"),
                product: format!("trial-{index}"),
                merchant: merchant.clone(),
                categories: vec![["drinks", "household", "bakery"][usize::try_from(index % 3).unwrap_or(0)].to_owned()],
                tags: Vec::new(),
                attributes: Vec::new(),
                quantity: 1 + index % 12,
                unit_price: 199 + i64::from(index) * 7,
                total: (199 + i64::from(index) * 7) * i64::from(1 + index % 12),
            })
            .collect();
        Cart {
            currency: "EUR".to_owned(),
            minor_digits: 2,
            market: "DE".to_owned(),
            subtotal: lines.iter().map(|line| line.total).sum(),
            lines,
            codes: Vec::new(),
            customer_group: None,
            issued_at: None,
        }
    };
    let carts: Vec<Cart> = [1, 12, TRIAL_LINES_MAX].into_iter().map(cart).collect();
    let calls = (0..carts.len())
        .map(|cart| PluginCall { plugin: component.hash(), cart, configuration: config.to_string(), fuel: None })
        .collect();
    Batch { carts, calls }
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
    let Some((merchant, _)) = store::plugin(pool, request.plugin).await? else {
        return Err(Code::PluginNotFound.into());
    };
    if writes_for(&call.principal, merchant).ok() != Some(merchant) {
        return Err(Code::PluginNotFound.into());
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
    let items = store::plugins(pricing.context.postgres().pool(), &merchants, after, limit).await?;
    let full = i64::try_from(items.len()).unwrap_or(i64::MAX) == limit;
    let next_cursor = items.last().filter(|_| full).map(|last| last.id.to_string());
    Ok(Page { items, next_cursor })
}
