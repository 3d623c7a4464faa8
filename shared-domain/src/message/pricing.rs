//! Pricing: quotes, promotion rules, plugins.

use serde::{Deserialize, Serialize};

use super::{Done, Page, requests};
use crate::{
    address::Destination,
    catalog::SkuNo,
    id::{MerchantId, PluginId, PromotionId},
    money::Currency,
    quote::{Adjustment, PluginRun, QuoteLine, Shipping, TaxLine, Totals},
    time::Timestamp,
};

/// Asks what a cart costs. With a destination the answer is a quote that can be ordered, without an estimate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// SKU and quantity, in display order.
    pub lines: Vec<(SkuNo, u32)>,
    /// Largest tick of the cart.
    pub cart_tick: u64,
    /// The price list.
    pub currency: Currency,
    /// Promotion codes on the cart.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Where it goes; absent for an estimate.
    #[serde(default)]
    pub destination: Option<Destination>,
    /// For instance `standard`.
    #[serde(default)]
    pub shipping_method: Option<String>,
}

/// Answer of [`Quote`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteAnswer {
    /// What checkout takes; absent for an estimate.
    pub token: Option<String>,
    /// Until when it can be ordered.
    pub expires_at: Timestamp,
    /// Currency of all amounts.
    pub currency: Currency,
    /// The lines, priced.
    pub lines: Vec<QuoteLine>,
    /// Every discount.
    pub discounts: Vec<Adjustment>,
    /// Every plugin that took part.
    #[serde(default)]
    pub plugins: Vec<PluginRun>,
    /// Tax by rate.
    pub taxes: Vec<TaxLine>,
    /// Shipping as chosen.
    pub shipping: Shipping,
    /// What is paid.
    pub totals: Totals,
    /// Codes that did not count, with the reason.
    #[serde(default)]
    pub codes_refused: Vec<(String, String)>,
}

/// A plugin as merchants see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginView {
    /// Its id.
    pub id: PluginId,
    /// Whose; `None` is the marketplace's.
    pub merchant: Option<MerchantId>,
    /// Its name.
    pub name: String,
    /// SHA-256 of the component, hexadecimal.
    pub hash: String,
    /// Bytes of the component.
    pub size: u64,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// The active promotions that use it.
    pub promotions: Vec<PromotionView>,
    /// Result of the trial run at upload: of each cart how it ended, the number of effects and the fuel.
    pub trial: serde_json::Value,
}

/// A promotion: a rule or a plugin with its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionView {
    /// Its id.
    pub id: PromotionId,
    /// Whose; `None` is the marketplace's.
    pub merchant: Option<MerchantId>,
    /// What shoppers read.
    pub label: String,
    /// `rule` or `plugin`.
    pub kind: String,
    /// The rule, or the plugin's configuration.
    pub config: serde_json::Value,
    /// The plugin's hash.
    #[serde(default)]
    pub plugin_hash: Option<String>,
    /// Whether it takes part in quotes.
    pub active: bool,
}

/// Uploads a component: size, imports, world and a trial run are checked before it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginUpload {
    /// Its name.
    pub name: String,
    /// Whose; absent for the asker's own or, for an admin, the marketplace's.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// The component, base64url.
    pub component: String,
    /// Configuration for the trial run.
    #[serde(default)]
    pub config: serde_json::Value,
}

/// Uses a plugin in quotes from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginActivate {
    /// Which.
    pub plugin: PluginId,
    /// The asker's idempotency key; its scope is the plugin. Without one, a promotion that is active with the same
    /// label and configuration is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What shoppers read.
    pub label: String,
    /// Its configuration.
    #[serde(default)]
    pub config: serde_json::Value,
}

/// Stops using a promotion.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PromotionDeactivate {
    /// Which.
    pub promotion: PromotionId,
}

/// Plugins that the asker may see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plugins {
    /// Only of this merchant.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Makes or replaces a declarative promotion; for merchants, admins and the seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutRule {
    /// Its id, the asker's choice; the same id replaces.
    pub id: PromotionId,
    /// Whose; `None` is the marketplace's.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// What shoppers read.
    pub label: String,
    /// The rule as JSON, see `promotion::Rule`.
    pub rule: serde_json::Value,
    /// Whether it takes part in quotes.
    pub active: bool,
}

/// All promotions that the asker may see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Promotions {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Who changed which promotion, newest first: admins see all, merchants what was done to their own promotions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PromotionAudit {
    /// Only of this merchant.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A change of a promotion. Ids only, beside what was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionChange {
    /// When.
    pub at: Timestamp,
    /// Which promotion.
    pub promotion: PromotionId,
    /// Whose; `None` is the marketplace's.
    pub merchant: Option<MerchantId>,
    /// What shoppers read, as it is now.
    pub label: String,
    /// `stored`, `activated` or `deactivated`.
    pub what: String,
    /// Who did it: an account's id, or `service`.
    pub who: String,
    /// The rule, or the plugin and its configuration, as they were stored then.
    pub data: serde_json::Value,
}

requests! {
    Quote => "pricing.v1.quote", QuoteAnswer;
    PluginUpload => "pricing.v1.plugin_upload", PluginView;
    PluginActivate => "pricing.v1.plugin_activate", PromotionView;
    PromotionDeactivate => "pricing.v1.promotion_deactivate", Done;
    Plugins => "pricing.v1.plugins", Page<PluginView>;
    PutRule => "pricing.v1.put_rule", PromotionView;
    Promotions => "pricing.v1.promotions", Page<PromotionView>;
    PromotionAudit => "pricing.v1.promotion_audit", Page<PromotionChange>;
}
