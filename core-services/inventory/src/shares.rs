//! Merchants may allow only a share of their stock to orders whose first attempt to pay has ended without authorisation.
//! Who is beyond it is asked to let go; the orders alone decide, and give the stock back as they always do.

use std::{collections::BTreeSet, time::Duration};

use bodega_domain::{
    catalog::SkuNo,
    id::MerchantId,
    message::order::{LetGo, Unproven},
    stock::beyond_the_share,
};
use bodega_platform::Context;

use crate::store;

/// Milliseconds between two looks. Without a merchant that wants it a look is one small read.
const LOOK_EVERY_MS: u64 = 1_000;

/// Looks until the process stops.
pub(crate) async fn run(inventory: Context) {
    while !inventory.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
        if let Err(error) = look(&inventory).await {
            tracing::warn!(error, "what unproven orders hold could not be looked at; it is looked at again");
        }
    }
}

async fn look(inventory: &Context) -> Result<(), String> {
    let pool = inventory.postgres().pool();
    let shares = store::policies::shares(pool).await.map_err(|e| e.to_string())?;
    if shares.is_empty() {
        return Ok(());
    }
    let merchants: Vec<MerchantId> = shares.keys().copied().collect();
    let context = inventory.request_context();
    let asked = Unproven { merchants: merchants.clone() };
    let orders = inventory.bus().request(&asked, &context).await.map_err(|e| e.to_string())?;
    if orders.is_empty() {
        return Ok(());
    }
    let holds = store::policies::held_of(pool, &orders, &merchants).await.map_err(|e| e.to_string())?;
    let skus: BTreeSet<SkuNo> = holds.iter().map(|hold| hold.sku_no).collect();
    let skus: Vec<SkuNo> = skus.into_iter().collect();
    let on_hand = store::policies::on_hand(pool, &skus).await.map_err(|e| e.to_string())?;
    let orders = beyond_the_share(&on_hand, &shares, &holds);
    if orders.is_empty() {
        return Ok(());
    }
    tracing::info!(
        orders = orders.len(),
        "unproven orders hold more than their merchants allow and are asked to let go"
    );
    inventory.bus().request(&LetGo { orders }, &context).await.map(drop).map_err(|e| e.to_string())
}
