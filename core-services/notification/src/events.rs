//! What the order service told: each event of which a buyer wants to know becomes a mail that is due.

use std::sync::Arc;

use bodega_domain::{
    event::EventData,
    id::OrderId,
    message::{
        notification::MailKind,
        order::{Delivered, LinesCancelled, Placed, ReturnChanged, Shipped, StatusChanged},
    },
    order::{OrderStatus, ReturnState},
};
use bodega_platform::{Applied, Context, EventTx, Received};
use uuid::Uuid;

use crate::store::{self, NewMail};

/// Seconds that an order may take to be paid before its buyer is told that it is not: most are in a moment, and one mail is
/// enough then.
const UNPAID_TOLD_AFTER_S: i64 = 120;

/// Of which order, what, about which of its shipments or returns, and about which pieces.
struct Told {
    order: OrderId,
    kind: MailKind,
    about: Option<u128>,
    pieces: Vec<(String, u32)>,
}

impl Told {
    const fn of(order: OrderId, kind: MailKind, about: Option<u128>) -> Self {
        Self { order, kind, about, pieces: Vec::new() }
    }
}

fn apply<'t, D: EventData + Send + Sync + 'static>(
    context: Context,
    mut tx: EventTx<'t>,
    events: Vec<Arc<Received<D>>>,
    mail: fn(&D) -> Option<Told>,
) -> Applied<'t> {
    Box::pin(async move {
        let now = context.clock().now();
        let new = |event: &Arc<Received<D>>| {
            let Told { order, kind, about, pieces } = mail(&event.data)?;
            let wait = if kind == MailKind::Placed { UNPAID_TOLD_AFTER_S } else { 0 };
            let (id, about) = (Uuid::from_u128(event.id.as_u128()), about.map(Uuid::from_u128));
            Some(NewMail { id, order, kind, about, pieces, due: now.plus_s(wait) })
        };
        let mails: Vec<NewMail> = events.iter().filter_map(new).collect();
        store::insert(&mut tx, &mails, now).await?;
        Ok(())
    })
}

pub(crate) fn placed(context: Context, tx: EventTx<'_>, events: Vec<Arc<Received<Placed>>>) -> Applied<'_> {
    apply(context, tx, events, |placed| Some(Told::of(placed.order, MailKind::Placed, None)))
}

pub(crate) fn status_changed(
    context: Context,
    tx: EventTx<'_>,
    events: Vec<Arc<Received<StatusChanged>>>,
) -> Applied<'_> {
    apply(context, tx, events, |changed| {
        let kind = match changed.status {
            OrderStatus::Paid => MailKind::Paid,
            OrderStatus::Cancelled => MailKind::Cancelled,
            OrderStatus::Expired => MailKind::Expired,
            // Parcels tell of themselves.
            OrderStatus::AwaitingPayment
            | OrderStatus::InFulfilment
            | OrderStatus::Delivered
            | OrderStatus::Completed => return None,
        };
        Some(Told::of(changed.order, kind, None))
    })
}

pub(crate) fn shipped(context: Context, tx: EventTx<'_>, events: Vec<Arc<Received<Shipped>>>) -> Applied<'_> {
    apply(context, tx, events, |shipped| {
        Some(Told::of(shipped.order, MailKind::Shipped, Some(shipped.shipment.as_u128())))
    })
}

pub(crate) fn delivered(context: Context, tx: EventTx<'_>, events: Vec<Arc<Received<Delivered>>>) -> Applied<'_> {
    apply(context, tx, events, |arrived| {
        Some(Told::of(arrived.order, MailKind::Delivered, Some(arrived.shipment.as_u128())))
    })
}

pub(crate) fn lines_cancelled(
    context: Context,
    tx: EventTx<'_>,
    events: Vec<Arc<Received<LinesCancelled>>>,
) -> Applied<'_> {
    apply(context, tx, events, |off| {
        Some(Told { pieces: off.lines.clone(), ..Told::of(off.order, MailKind::LinesCancelled, None) })
    })
}

pub(crate) fn return_changed(
    context: Context,
    tx: EventTx<'_>,
    events: Vec<Arc<Received<ReturnChanged>>>,
) -> Applied<'_> {
    apply(context, tx, events, |changed| {
        let kind = match changed.state {
            ReturnState::Requested => MailKind::ReturnRequested,
            ReturnState::Approved => MailKind::ReturnApproved,
            ReturnState::Refused => MailKind::ReturnRefused,
            ReturnState::Received => MailKind::ReturnReceived,
            ReturnState::Receiving => return None,
        };
        Some(Told::of(changed.order, kind, Some(changed.r#return.as_u128())))
    })
}
