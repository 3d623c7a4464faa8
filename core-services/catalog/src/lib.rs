//! Products, categories, prices; the views that edges hold.
//!
//! **Owns** merchants, categories, products, variants with their numbers, price lists; what shoppers may know of stock
//! (bands, as inventory reports them); and every view that an edge stores, also those whose content belongs to others
//! (revoked sessions, public keys, promotion rules, flags).
//!
//! **Promises**
//! * A view changes in the transaction that changes what it shows, and only when its content differs.
//! * Committed changes get dense positions from one sequencer, whichever order they were begun in. A page of views
//!   after a position leaves nothing out.
//! * A SKU's number is dense, small and never reused. A retired product keeps its numbers.
//! * Deletions are told for a week; who stopped before that is told so by the log's horizon and begins anew.
//! * Positions mean something within an epoch; a restored database begins another one ([`renew_epoch`]).
//!
//! | subject | what |
//! | --- | --- |
//! | `catalog.v1.{list,search,get,categories}` | shoppers' reads, when an edge cannot answer them itself |
//! | `catalog.v1.price_lines` | what SKUs are and cost now, for pricing |
//! | `catalog.v1.merchant` | a merchant by slug, for those who give out roles |
//! | `catalog.v1.{upsert,retire}` | edits by merchants, admins, the seed |
//! | `catalog.v1.{put_views,set_bands}` | what other services want edges to know |
//! | `catalog.v1.{views,digests}` | the change log, for the replicator |
//! | publishes | `evt.catalog.v1.product_changed`, `edgefeed.v1` |
//! | consumes | `evt.inventory.v1.bands_changed`, `evt.identity.v1.session_revoked` |

mod events;
pub mod limits;
mod requests;
mod sequencer;
mod store;
mod sweep;
mod validate;

use std::sync::Arc;

use bodega_platform::{
    Context, DatabaseError, Service, StartError, Wiring,
    sqlx::{self, PgConnection, migrate::Migrator},
};
use tokio::sync::Notify;

/// The migrations of this service.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("catalog", &MIGRATIONS, |context| Box::pin(start(context)))
}

/// What the handlers share.
pub(crate) struct State {
    pub(crate) context: Context,
    /// Woken after each commit that changed views.
    pub(crate) changed: Notify,
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let state = Arc::new(State { context: context.clone(), changed: Notify::new() });
    let (sequencing, sweeping) = (state.clone(), state.clone());
    Ok(Wiring::new(&context)
        .on(state.clone(), requests::list::list)
        .on(state.clone(), requests::search::search)
        .on(state.clone(), requests::get::get)
        .on(state.clone(), requests::categories::categories)
        .on(state.clone(), requests::merchant::merchant)
        .on(state.clone(), requests::price_lines::price_lines)
        .on(state.clone(), requests::views::views)
        .on(state.clone(), requests::digests::digests)
        .on(state.clone(), requests::upsert::upsert)
        .on(state.clone(), requests::retire::retire)
        .on(state.clone(), requests::put_views::put_views)
        .on(state.clone(), requests::set_bands::set_bands)
        .consume("bands", state.clone(), events::bands_changed)
        .consume("revocations", state, events::session_revoked)
        .background("sequencer", move || sequencer::run(sequencing.clone()))
        .background("sweep", move || sweep::run(sweeping.clone())))
}

/// Begins another epoch, so that every edge gets a snapshot: the last step of restoring the catalogue's database.
/// `epoch` is random text.
///
/// # Errors
/// When the statement fails.
pub async fn renew_epoch(connection: &mut PgConnection, epoch: &str) -> Result<(), DatabaseError> {
    Ok(store::feed::renew_epoch(connection, epoch).await?)
}
