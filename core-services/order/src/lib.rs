//! Order: accepts orders, and sees each of them through.
//!
//! Owns orders with their parts, lines, contacts and history, the claims that make one order of one quote, and the
//! sagas. Promises: an order is accepted only when it is committed here; one idempotency key has one effect; one quote
//! makes at most one order; whatever must happen is asked for, from the saga's row, until it is answered.
//!
//! | subject | asked by | effect |
//! | --- | --- | --- |
//! | `order.v1.place` | edges | hold → commit → intent, in batches |
//! | `order.v1.outcome` | edges | what became of an idempotency key |
//! | `order.v1.{get,list,history}` | edges, gateway | reads |
//! | `order.v1.mailing` | notification | whom to tell, and what |
//! | `order.v1.{add_note,notes}` | gateway | what staff writes to each other |
//! | `order.v1.{pay,cancel,return}` | edges, gateway | the shopper's commands |
//! | `order.v1.{delivery,ship,track,deliver}` | gateway | where it goes, and that it went |
//! | `order.v1.{returns,decide_return,receive_return}` | gateway | goods that come back |
//! | `order.v1.{sagas,nudge_saga}` | gateway | sagas under way, and those that wait for a person |
//! | `order.v1.{open_link,renew_link,cancel_by_link,adopt}` | edges, gateway | a guest's secret link, and a guest who signs in |
//! | `order.v1.{exceptions,close_exception}` | gateway | what a person has to look at, and that somebody has |
//! | `order.v1.{forget,forget_contact}` | identity, gateway | who ordered is forgotten; the order stays |
//! | `order.v1.reinstate` | gateway | an ended order is made again with its late money |
//! | `order.v1.abandon` | inventory | exists, or a tombstone makes sure it never will |
//! | `order.v1.{unproven,let_go}` | inventory | orders whose first attempt to pay has ended, and that some of them expire |
//! | `order.v1.payment_changed` | payment | facts of intents, in batches |
//!
//! It asks `inventory.v1.{hold,post,void,unpost,ship,unship,release,adjust,locations}`,
//! `payment.v1.{open,state,capture,capture_parcel,call_off,cancel,refund,attempt}` and `identity.v1.email_digest`, and tells
//! `evt.order.v1.{placed,status_changed,shipped,delivered,lines_cancelled,return_changed}`.

mod attempts;
mod complete;
mod content;
mod drive;
mod forget;
mod place;
mod requests;
mod runs;
mod store;
mod waiters;

use std::sync::Arc;

use bodega_domain::{Failure, limits::PLACE_BATCH_MAX};
use bodega_platform::{
    BatchLimits, Batcher, Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};

use crate::{place::PlaceJob, store::read::StoredOrder, waiters::Waiters};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Checkouts that may wait for a writer; one more is refused as `overloaded`.
const PLACE_QUEUE_MAX: usize = 4_096;
/// Two writers fill two cores; a third would only wait for locks.
const PLACE_WRITERS: usize = 2;

/// What drives sagas, and tells those who wait for their orders.
#[derive(Clone)]
pub(crate) struct Sagas {
    pub(crate) context: Context,
    pub(crate) waiters: Arc<Waiters>,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) context: Context,
    pub(crate) placer: Batcher<PlaceJob, Result<StoredOrder, Failure>>,
    pub(crate) sagas: Sagas,
}

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("order", &MIGRATIONS, |context| Box::pin(start(context)))
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let limits = BatchLimits { queue_max: PLACE_QUEUE_MAX, batch_max: PLACE_BATCH_MAX, writers: PLACE_WRITERS };
    let sagas = Sagas { context: context.clone(), waiters: Arc::new(Waiters::default()) };
    let writer = sagas.clone();
    let placer = Batcher::start("order.place", limits, context.tasks(), move |jobs| {
        let sagas = writer.clone();
        async move { place::place_batch(&sagas, jobs).await }
    });
    let (driver, leader) = (sagas.clone(), sagas.clone());
    let completer = context.clone();
    let sweeper = context.clone();
    let forgetter = context.clone();
    let (looker, waiters) = (context.clone(), sagas.waiters.clone());
    let orders = Orders { context: context.clone(), placer, sagas };
    Ok(Wiring::new(&context)
        .on(orders.clone(), requests::place::place)
        .on(orders.clone(), requests::place::outcome)
        .on(orders.clone(), requests::read::get)
        .on(orders.clone(), requests::read::list)
        .on(orders.clone(), requests::read::history)
        .on(orders.clone(), requests::read::mailing)
        .on(orders.clone(), requests::notes::add)
        .on(orders.clone(), requests::notes::list)
        .on(orders.clone(), requests::link::open_link)
        .on(orders.clone(), requests::link::renew_link)
        .on(orders.clone(), requests::link::cancel_by_link)
        .on(orders.clone(), requests::link::adopt)
        .on(orders.clone(), requests::command::pay)
        .on(orders.clone(), requests::command::cancel)
        .on(orders.clone(), requests::ship::delivery)
        .on(orders.clone(), requests::ship::ship)
        .on(orders.clone(), requests::ship::track)
        .on(orders.clone(), requests::ship::deliver)
        .on(orders.clone(), requests::returns::give_back)
        .on(orders.clone(), requests::returns::list)
        .on(orders.clone(), requests::returns::decide)
        .on(orders.clone(), requests::returns::receive)
        .on(orders.clone(), requests::sagas::list)
        .on(orders.clone(), requests::sagas::nudge)
        .on(orders.clone(), requests::forget::forget)
        .on(orders.clone(), requests::forget::forget_contact)
        .on(orders.clone(), requests::reinstate::reinstate)
        .on(orders.clone(), requests::exceptions::exceptions)
        .on(orders.clone(), requests::exceptions::close)
        .on(orders.clone(), requests::told::abandon)
        .on(orders.clone(), requests::told::unproven)
        .on(orders.clone(), requests::told::let_go)
        .on(orders.clone(), requests::told::payment_changed)
        .background("drive", move || drive::run(driver.clone()))
        .background("runs", move || runs::run(leader.clone()))
        .background("complete", move || complete::run(completer.clone()))
        .background("attempts", move || attempts::run(sweeper.clone()))
        .background("forget", move || forget::run(forgetter.clone()))
        .background("look", move || waiters::look(looker.clone(), waiters.clone())))
}
