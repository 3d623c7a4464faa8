//! `catalog.v1.retire`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::{Done, catalog::Retire},
    principal::Principal,
};
use bodega_platform::{Call, Context, TransactionError, Tx, outbox};
use uuid::Uuid;

use super::upsert::{events, is_marketplace};
use crate::{
    State,
    store::{self, listing::ALL, product, projection},
};

pub(crate) async fn retire(state: Arc<State>, call: Call, request: Retire) -> Result<Done, Failure> {
    if !crate::validate::is_slug(&request.slug) {
        return Err(Code::ProductNotFound.into());
    }
    let (context, principal, slug) = (&state.context, &call.principal, request.slug.as_str());
    context.postgres().transaction(|tx| Box::pin(write(tx, context, principal, slug))).await?;
    state.changed.notify_one();
    Ok(Done {})
}

async fn write(
    mut tx: Tx<'_, '_>,
    context: &Context,
    principal: &Principal,
    slug: &str,
) -> Result<(), TransactionError<Failure>> {
    store::lock(&mut tx).await?;
    let Some(existing) = product::by_slug(&mut tx, slug).await? else {
        return Err(TransactionError::Refused(Code::ProductNotFound.into()));
    };
    let own = principal.merchants().any(|merchant| Uuid::from_u128(merchant.as_u128()) == existing.merchant);
    if !own && !is_marketplace(principal) {
        return Err(TransactionError::Refused(Code::Forbidden.into()));
    }
    if existing.retired {
        return Ok(());
    }
    product::retire(&mut tx, existing.id, context.clock().now()).await?;
    let changed = projection::project(&mut tx, vec![existing.id], vec![ALL.to_owned(), existing.category]).await?;
    outbox::append(&mut tx, &events(context, &changed, true)).await?;
    Ok(())
}
