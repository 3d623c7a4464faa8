//! Notification: tells buyers by e-mail what happens to their orders, and merchants what of their stock has to be ordered anew.
//!
//! Owns the mails that are due and what became of each, by ids alone: names and addresses are asked of the order and identity
//! services when a mail is sent, and kept nowhere. Promises: one event, one mail; a mail that no server takes is tried for three days; what
//! is not true any more when its turn comes is not sent. A crash between the server's word and its commit may send a mail
//! twice, under the same `Message-ID`; one about stock under another.
//!
//! | subject | asked by | effect |
//! | --- | --- | --- |
//! | `notification.v1.mails` | gateway | mails and what became of them |
//! | `notification.v1.resend` | gateway | one more try |
//!
//! It hears `evt.order.v1.{placed,status_changed,shipped,delivered,lines_cancelled,return_changed}` and
//! `evt.inventory.v1.stock_alerts`, and asks `order.v1.mailing`, `identity.v1.staff_of` and `catalog.v1.price_lines`.

mod compose;
mod events;
mod requests;
mod send;
mod stock;
mod store;

use bodega_platform::{
    Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};

pub use send::reach;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("notification", &MIGRATIONS, |context| Box::pin(start(context)))
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let sender = context.clone();
    Ok(Wiring::new(&context)
        .on(context.clone(), requests::mails)
        .on(context.clone(), requests::resend)
        .consume("placed", context.clone(), events::placed)
        .consume("status", context.clone(), events::status_changed)
        .consume("shipped", context.clone(), events::shipped)
        .consume("delivered", context.clone(), events::delivered)
        .consume("lines", context.clone(), events::lines_cancelled)
        .consume("returns", context.clone(), events::return_changed)
        .consume("stock", context.clone(), stock::heard)
        .background("send", move || send::run(sender.clone())))
}
