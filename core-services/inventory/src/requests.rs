//! A file a request, or a family of requests that share their decision.

pub(crate) mod adjust;
pub(crate) mod change;
pub(crate) mod count;
pub(crate) mod exceptions;
pub(crate) mod hold;
pub(crate) mod incoming;
pub(crate) mod low_stock;
pub(crate) mod parts;
pub(crate) mod policies;
pub(crate) mod read;

use std::collections::BTreeMap;

use bodega_domain::{
    catalog::{Band, SkuNo},
    message::inventory::{BandsChanged, StockAlerts},
    stock::Standing,
};
use bodega_platform::{Context, Tx, outbox};

use crate::store;

/// Tells the world which SKUs stand otherwise than before, in the transaction that changed them: shoppers hear of bands,
/// merchants of their reorder points. Most changes change neither.
pub(crate) async fn announce_standings(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    before: &BTreeMap<SkuNo, Standing>,
    after: &BTreeMap<SkuNo, Standing>,
) -> Result<(), sqlx::Error> {
    let was = |sku: &SkuNo| before.get(sku);
    let bands: BTreeMap<SkuNo, Band> = after
        .iter()
        .filter(|(sku, now)| was(sku).is_none_or(|was| was.band != now.band))
        .map(|(sku, now)| (*sku, now.band))
        .collect();
    let levels: BTreeMap<SkuNo, Standing> = after
        .iter()
        .filter(|(sku, now)| was(sku).is_none_or(|was| was.level != now.level))
        .map(|(sku, now)| (*sku, *now))
        .collect();
    let mut events = Vec::new();
    if !bands.is_empty() {
        let bands = store::put_bands(tx, &bands).await?;
        if let Some((sku, ..)) = bands.first() {
            events.push(inventory.event(sku.to_string(), &BandsChanged { bands }));
        }
    }
    if !levels.is_empty() {
        let alerts = store::alerts::put(tx, &levels, inventory.clock().now()).await?;
        if let Some(first) = alerts.first() {
            events.push(inventory.event(first.sku_no.to_string(), &StockAlerts { alerts }));
        }
    }
    if events.is_empty() { Ok(()) } else { outbox::append(tx, &events).await }
}
