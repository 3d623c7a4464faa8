//! A file a request, or a family of requests that share their decision.

pub(crate) mod adjust;
pub(crate) mod change;
pub(crate) mod count;
pub(crate) mod exceptions;
pub(crate) mod hold;
pub(crate) mod parts;
pub(crate) mod policies;
pub(crate) mod read;

use std::collections::BTreeMap;

use bodega_domain::{
    catalog::{Band, SkuNo},
    message::inventory::BandsChanged,
};
use bodega_platform::{Context, Tx, outbox};

use crate::store;

/// Tells the world which SKUs changed their band, in the transaction that changed them. Most changes change none.
pub(crate) async fn announce_bands(
    inventory: &Context,
    tx: &mut Tx<'_, '_>,
    before: &BTreeMap<SkuNo, Band>,
    after: &BTreeMap<SkuNo, Band>,
) -> Result<(), sqlx::Error> {
    let moved: BTreeMap<SkuNo, Band> =
        after.iter().filter(|(sku, band)| before.get(sku) != Some(band)).map(|(sku, band)| (*sku, *band)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let bands = store::put_bands(tx, &moved).await?;
    if bands.is_empty() {
        return Ok(());
    }
    let about = bands.first().map_or_else(String::new, |(sku, ..)| sku.to_string());
    let event = inventory.event(about, &BandsChanged { bands });
    outbox::append(tx, &[event]).await
}
