//! Pricing: what a cart costs, signed.
//!
//! Owns promotions, uploaded plugins and the quote. Promises: the quote is the order's content, signed here; it names
//! every discount and the hash of every plugin that took part; a plugin's failure costs the shopper that discount and
//! nothing else.
//!
//! | subject | asked by | effect |
//! | --- | --- | --- |
//! | `pricing.v1.quote` | edges | an estimate, or a quote that can be ordered |
//! | `pricing.v1.{put_rule,promotions,promotion_deactivate}` | merchants, admins | declarative promotions |
//! | `pricing.v1.promotion_audit` | merchants, admins | who changed which promotion |
//! | `pricing.v1.{plugin_upload,plugin_activate,plugins}` | merchants, admins | plugins |
//!
//! It asks `catalog.v1.price_lines` for each quote, and `catalog.v1.put_views` so that edges know the declarative rules.

mod active;
mod plugins;
mod requests;
mod store;

use std::sync::Arc;

use bodega_platform::{
    Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};
use bodega_plugin_host::client::Pool;

use crate::active::Active;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Pricing {
    pub(crate) context: Context,
    pub(crate) active: Arc<Active>,
    pub(crate) pool: Pool,
}

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("pricing", &MIGRATIONS, |context| Box::pin(start(context)))
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let pool = plugins::pool(&context);
    let pricing = Pricing { context: context.clone(), active: Arc::new(Active::default()), pool };
    let (reloading, telling) = (pricing.clone(), pricing.clone());
    Ok(Wiring::new(&context)
        .on(pricing.clone(), requests::quote::quote)
        .on(pricing.clone(), requests::promotion::put_rule)
        .on(pricing.clone(), requests::promotion::promotions)
        .on(pricing.clone(), requests::promotion::audit)
        .on(pricing.clone(), requests::promotion::deactivate)
        .on(pricing.clone(), requests::plugin::upload)
        .on(pricing.clone(), requests::plugin::activate)
        .on(pricing, requests::plugin::plugins)
        .background("reload", move || active::reload(reloading.clone()))
        .background("tell_edges", move || active::tell_edges(telling.clone())))
}
