//! `catalog.v1.set_bands`: how much there is, as shoppers may know it.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    catalog::{Band, SkuNo},
    message::{Done, catalog::SetBands},
};
use bodega_platform::{Call, TransactionError, Tx};

use crate::{
    State,
    limits::SET_BANDS_MAX,
    store::{self, band, projection},
};

pub(crate) async fn set_bands(state: Arc<State>, _call: Call, request: SetBands) -> Result<Done, Failure> {
    if request.bands.len() > SET_BANDS_MAX {
        return Err(Failure::from(Code::ValidationFailed).field("/bands", "too_many", "At most 10,000 at once."));
    }
    let bands = &request.bands;
    state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move { apply(&mut tx, bands).await.map_err(TransactionError::<Failure>::from) })
        })
        .await?;
    state.changed.notify_one();
    Ok(Done {})
}

/// Keeps newer bands and writes the views that show them.
pub(crate) async fn apply(
    tx: &mut Tx<'_, '_>,
    bands: &[(SkuNo, Band, i64)],
) -> Result<(), bodega_platform::sqlx::Error> {
    store::lock(tx).await?;
    let products = band::write(tx, bands).await?;
    if !products.is_empty() {
        projection::project(tx, products, Vec::new()).await?;
    }
    Ok(())
}
