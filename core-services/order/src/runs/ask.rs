//! Asks a run's action of the service that does it, and tells silence from refusal.

use bodega_domain::{
    Code, Failure,
    id::CancellationId,
    message::{
        Request,
        inventory::{Adjust, Adjustment, PartVerdict, Release, Ship, Unship},
        payment::Refund,
    },
    saga::table::{Action, Word},
};
use bodega_platform::{CallError, Context, RequestContext};

use super::{Heard, Subject};
use crate::store::runs::StoredRun;

pub(super) async fn ask(context: &Context, request_context: &RequestContext, run: &StoredRun, action: Action) -> Heard {
    let (order, work) = (run.order, &run.work);
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
        (Action::Refund, subject) => {
            let Some(amount) = work.refund.filter(|amount| amount.amount() > 0) else {
                return Heard::word(Word::Done);
            };
            let reason = if matches!(subject, Subject::Return(_)) { "return" } else { "cancelled" };
            let refund = Refund {
                order,
                amount: Some(amount),
                merchant: Some(work.merchant),
                key: format!("{reason}:{}", CancellationId::from_u128(run.id.as_u128())),
                reason: reason.to_owned(),
            };
            done(send(context, request_context, run, &refund).await)
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
        (Action::TakeStock | Action::PutStockBack | Action::ReleaseUnits | Action::BookIn, _) => {
            refused(Failure::internal())
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
