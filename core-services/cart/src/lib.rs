//! Carts behind the cells of the edges, so that a cart is found at every edge.
//!
//! **Owns** a replica of every cart, guests' too, and which guests' carts went into an account's.
//!
//! **Promises**
//! * A merge is commutative, associative and idempotent: it may be repeated and come in any order, and nothing that was
//!   merged is lost. Replicas of one cart meet under its row's lock.
//! * A guest's cart is adopted into an account's once, however often that is asked for.
//! * A cart that an account has adopted into is that account's alone.
//! * Redis only spares reads: what it holds is at most four seconds old, less than the five within which an edge must
//!   see what another took.
//!
//! | subject | what |
//! | --- | --- |
//! | `cart.v1.merge` | merges an edge's state in and gives back the result |

mod cache;
pub mod limits;
mod merging;
mod requests;
mod store;
mod sweep;

use std::sync::Arc;

use bodega_domain::Failure;
use bodega_platform::{
    Batcher, Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};

use crate::merging::Command;

/// The migrations of this service.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("cart", &MIGRATIONS, |context| Box::pin(start(context)))
}

/// What the handlers share.
pub(crate) struct State {
    pub(crate) context: Context,
    pub(crate) merges: Batcher<Command, Result<Vec<u8>, Failure>>,
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let writer = context.clone();
    let merges = Batcher::start("cart.merge", limits::MERGE_BATCHES, context.tasks(), move |commands| {
        let context = writer.clone();
        async move { merging::write(&context, &commands).await }
    });
    let state = Arc::new(State { context: context.clone(), merges });
    let sweeping = state.clone();
    Ok(Wiring::new(&context)
        .on(state, requests::merge::merge)
        .background("sweep", move || sweep::run(sweeping.clone())))
}
