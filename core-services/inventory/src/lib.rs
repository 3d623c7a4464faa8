//! Inventory: how much there is, and to whom it is promised.
//!
//! Owns locations, stock rows, holds and movements. Promises: `pending + posted ≤ on hand + short` whatever happens (a
//! CHECK); a hold is whole or not at all; only the order decides that a hold is void, never a clock; on hand is the sum
//! of its movements.
//!
//! | subject | asked by | effect |
//! | --- | --- | --- |
//! | `inventory.v1.hold` | order | stock for a batch of orders, pending |
//! | `inventory.v1.post` | order | pending becomes posted |
//! | `inventory.v1.void` | order | pending is given back; posted stays |
//! | `inventory.v1.unpost` | order | pending or posted is given back, less what left the house |
//! | `inventory.v1.ship` | order | goods of a posted hold leave the house: on hand and posted fall together |
//! | `inventory.v1.unship` | order | a shipment comes back, or never comes |
//! | `inventory.v1.release` | order | units of a posted hold are given back |
//! | `inventory.v1.hold_of` | checks | the state of a hold |
//! | `inventory.v1.{adjust,levels}` | merchants, admins | counts and what they come to |
//! | `inventory.v1.{count,transfer,set_safety}` | merchants, admins | what was counted, what is carried from shelf to shelf, what is kept back |
//! | `inventory.v1.{announce,receive,give_up_incoming,incoming}` | merchants, admins | what is on its way, and what has come of it |
//! | `inventory.v1.{low_stock,set_reorder_point}` | merchants, admins | what has to be ordered anew, and from when |
//! | `inventory.v1.{movements,locations}` | merchants, admins | who changed what is on hand, when and why, and where |
//! | `inventory.v1.exceptions` | admins | what is promised beyond what was counted |
//! | `inventory.v1.put_locations` | admins | locations |
//! | `inventory.v1.{policies,set_policy}` | merchants, admins | how much orders may hold that nobody could pay so far |
//!
//! It asks `order.v1.abandon` about holds whose order never came, `order.v1.{unproven,let_go}` for merchants that allow such
//! orders a share only, and tells `evt.inventory.v1.{bands_changed,stock_alerts}`.

mod abandon;
mod requests;
mod shares;
mod store;

use bodega_platform::{
    Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("inventory", &MIGRATIONS, |context| Box::pin(start(context)))
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let (asker, sharer) = (context.clone(), context.clone());
    Ok(Wiring::new(&context)
        .on(context.clone(), requests::hold::hold)
        .on(context.clone(), requests::change::post)
        .on(context.clone(), requests::change::void)
        .on(context.clone(), requests::change::unpost)
        .on(context.clone(), requests::change::hold_of)
        .on(context.clone(), requests::parts::ship)
        .on(context.clone(), requests::parts::unship)
        .on(context.clone(), requests::parts::release)
        .on(context.clone(), requests::adjust::adjust)
        .on(context.clone(), requests::count::count)
        .on(context.clone(), requests::count::transfer)
        .on(context.clone(), requests::count::set_safety)
        .on(context.clone(), requests::incoming::announce)
        .on(context.clone(), requests::incoming::receive)
        .on(context.clone(), requests::incoming::give_up)
        .on(context.clone(), requests::incoming::incoming)
        .on(context.clone(), requests::low_stock::low_stock)
        .on(context.clone(), requests::low_stock::set_reorder_point)
        .on(context.clone(), requests::adjust::put_locations)
        .on(context.clone(), requests::read::levels)
        .on(context.clone(), requests::read::movements)
        .on(context.clone(), requests::read::locations)
        .on(context.clone(), requests::exceptions::exceptions)
        .on(context.clone(), requests::policies::policies)
        .on(context.clone(), requests::policies::set_policy)
        .background("abandon", move || abandon::run(asker.clone()))
        .background("shares", move || shares::run(sharer.clone())))
}
