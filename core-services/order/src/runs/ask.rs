//! Asks a run's action of the service that does it, and tells silence from refusal.

use std::time::Duration;

use bodega_domain::{
    Code, Failure,
    id::{CancellationId, ShipmentId},
    message::{
        Request,
        inventory::{Adjust, Adjustment, PartVerdict, Release, Ship, Unship},
        payment::{CallOff, CalledOff, CaptureParcel, ParcelMoney, Refund},
    },
    saga::table::{Action, Word},
};
use bodega_platform::{CallError, Context, RequestContext};

use super::{Heard, Subject};
use crate::{
    Sagas,
    store::{self, runs::StoredRun},
};

/// Milliseconds for which a shipment waits for the word about its money; afterwards it is asked for again.
const MONEY_WAIT_MS: u64 = 2_500;

pub(super) async fn ask(sagas: &Sagas, request_context: &RequestContext, run: &StoredRun, action: Action) -> Heard {
    let (context, order, work) = (&sagas.context, run.order, &run.work);
    match (action, work.subject) {
        (Action::TakeStock, Subject::Shipment(shipment)) => {
            let (merchant, units, location) = (work.merchant, work.skus.clone(), work.location);
            part(send(context, request_context, run, &Ship { shipment, order, merchant, units, location }).await)
        }
        (Action::PutStockBack, Subject::Shipment(shipment)) => {
            done(send(context, request_context, run, &Unship { shipment, order }).await)
        }
        (Action::ReleaseUnits, Subject::Cancellation(cancellation)) => {
            let (merchant, units) = (work.merchant, work.skus.clone());
            part(send(context, request_context, run, &Release { cancellation, order, merchant, units }).await)
        }
        (Action::Capture, Subject::Shipment(_)) => take_money(sagas, request_context, run).await,
        (Action::Refund, subject) => {
            let Some(amount) = work.refund.filter(|amount| amount.amount() > 0) else {
                return Heard::word(Word::Done);
            };
            let id = CancellationId::from_u128(run.id.as_u128());
            if let Subject::Return(_) = subject {
                let (key, reason) = (format!("return:{id}"), "return".to_owned());
                let refund = Refund { order, amount: Some(amount), merchant: Some(work.merchant), key, reason };
                return done(send(context, request_context, run, &refund).await);
            }
            let (key, reason) = (format!("cancelled:{id}"), "cancelled".to_owned());
            let part = Some(CalledOff { merchant: work.merchant, amount, last: work.last });
            done(send(context, request_context, run, &CallOff { order, part, key, reason }).await)
        }
        (Action::BookIn, Subject::Return(id)) => {
            let adjustment = |taken: &bodega_domain::message::inventory::Taken| Adjustment {
                sku_no: taken.sku_no,
                location: taken.location,
                merchant: work.merchant,
                delta: i64::from(taken.quantity),
                reason: "return".to_owned(),
                reference: format!("return:{id}:{}", taken.sku_no),
            };
            let adjustments: Vec<Adjustment> = work.shelf.iter().map(adjustment).collect();
            if adjustments.is_empty() {
                return Heard::word(Word::Done);
            }
            done(send(context, request_context, run, &Adjust { adjustments }).await)
        }
        // A table that asks what its subject has not: nobody can do that.
        (Action::TakeStock | Action::PutStockBack | Action::ReleaseUnits | Action::BookIn | Action::Capture, _) => {
            refused(Failure::internal())
        }
    }
}

/// Takes a shipment's money, and waits a moment for the provider's word: payment tells the order of it.
async fn take_money(sagas: &Sagas, request_context: &RequestContext, run: &StoredRun) -> Heard {
    let (context, work) = (&sagas.context, &run.work);
    let Some(amount) = work.take else { return Heard::word(Word::Done) };
    let key = format!("shipment:{}", ShipmentId::from_u128(run.id.as_u128()));
    let ask = CaptureParcel { order: run.order, merchant: work.merchant, amount, last: work.last, key };
    let until = tokio::time::Instant::now() + Duration::from_millis(MONEY_WAIT_MS);
    let Ok(Some(stored)) = store::read::order_alone(context.postgres().pool(), run.order).await else {
        return Heard::word(Word::Silence);
    };
    let bell = sagas.waiters.listen((&stored).into());
    loop {
        // Listening before asking: what rings meanwhile is not missed.
        let rung = bell.notified();
        match send(context, request_context, run, &ask).await {
            Some(Ok(ParcelMoney::Taken)) => return Heard::word(Word::Done),
            Some(Ok(ParcelMoney::Pending)) if tokio::time::timeout_at(until, rung).await.is_ok() => {}
            Some(Ok(ParcelMoney::Pending)) | None => return Heard::word(Word::Silence),
            Some(Ok(ParcelMoney::Refused)) => {
                let detail = "The buyer's bank does not hand over the money for these goods any more: they stay here.";
                return refused(Failure::new(Code::PaymentStateConflict, detail).about(run.order.to_string()));
            }
            Some(Err(failure)) => return refused(failure),
        }
    }
}

/// What was answered; nothing when nobody knows, or when asking again may help.
async fn send<R: Request + Sync>(
    context: &Context,
    request_context: &RequestContext,
    run: &StoredRun,
    request: &R,
) -> Option<Result<R::Answer, Failure>> {
    match context.bus().request(request, request_context).await {
        Ok(answer) => Some(Ok(answer)),
        Err(CallError::Refused(failure)) if !may_pass(failure.code) => Some(Err(failure)),
        Err(error) => {
            tracing::warn!(%error, subject = R::SUBJECT, order = %run.order, run = %run.id, "asked again later");
            None
        }
    }
}

/// Whether the same may be answered otherwise in a while.
const fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Internal
            | Code::Overloaded
            | Code::DeadlineExceeded
            | Code::CoreUnavailable
            | Code::OutcomeUnknown
            | Code::TooManyRequests
    )
}

fn refused(failure: Failure) -> Heard {
    Heard { reason: Some(failure), ..Heard::word(Word::Refused) }
}

fn done<T>(answer: Option<Result<T, Failure>>) -> Heard {
    match answer {
        None => Heard::word(Word::Silence),
        Some(Ok(_)) => Heard::word(Word::Done),
        Some(Err(failure)) => refused(failure),
    }
}

fn part(answer: Option<Result<PartVerdict, Failure>>) -> Heard {
    match answer {
        None => Heard::word(Word::Silence),
        Some(Ok(PartVerdict::Moved(taken))) => Heard { taken, ..Heard::word(Word::Done) },
        Some(Ok(PartVerdict::Undone)) => {
            refused(Failure::new(Code::Conflict, "It was taken back before. Begin it anew."))
        }
        Some(Ok(PartVerdict::Short(shortages))) => {
            let mut failure =
                Failure::new(Code::OutOfStock, "There is not so much on the shelf. Count it, then try again.");
            for short in shortages {
                let detail = format!("{} are wanted, {} are there.", short.wanted, short.available);
                failure = failure.field(format!("/stock/{}", short.sku_no), "out_of_stock", detail);
            }
            refused(failure)
        }
        Some(Err(failure)) => refused(failure),
    }
}
