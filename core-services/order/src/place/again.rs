//! One order that no shopper is waiting for: an ended one that is made again.

use bodega_domain::{
    Code, Failure, Timestamp,
    id::OrderId,
    limits::HOLD_ASK_AFTER_S,
    message::inventory::{Hold, HoldAsk},
};
use bodega_platform::RequestContext;

use super::{answer_known, commit, hold_lines, is_held, open};
use crate::{
    Sagas,
    store::place::{ClaimOutcome, NewOrder},
};

/// Places one order for which no quote is needed any more, by the steps of a checkout: hold → commit → payment. The same
/// key again is the same order.
pub(crate) async fn place_again(
    sagas: &Sagas,
    request_context: &RequestContext,
    order: NewOrder,
    deadline: Timestamp,
) -> Result<OrderId, Failure> {
    let (context, id) = (&sagas.context, order.id());
    let ask = HoldAsk { order: id, lines: hold_lines(&order.content), ask_at: deadline.plus_s(HOLD_ASK_AFTER_S) };
    let verdict = match context.bus().request(&Hold { asks: vec![ask] }, request_context).await {
        Ok(mut verdicts) => verdicts.pop(),
        Err(error) => {
            tracing::warn!(%error, order = %id, "stock could not be held; no order was made");
            None
        }
    };
    is_held(verdict, &order.content)?;
    let committed = commit::commit(context, std::slice::from_ref(&order), &[deadline]).await.pop();
    match committed.ok_or_else(Failure::internal)? {
        commit::Committed::Placed => {
            tracing::info!(request_id = %request_context.request_id, order = %id, "order made again");
            let (sagas, request_context) = (sagas.clone(), request_context.clone());
            drop(context.tasks().request(async move { open(&sagas, &request_context, vec![order.open]).await }));
            Ok(id)
        }
        commit::Committed::Known(known) => answer_known(&known, &order.fingerprint),
        commit::Committed::Claimed(ClaimOutcome::Placed) => Ok(id),
        // A try before this one was too slow; the next one takes another id.
        commit::Committed::Claimed(ClaimOutcome::Abandoned) => {
            Err(Failure::from(Code::CoreUnavailable).retry_after_s(1))
        }
        commit::Committed::Refused(failure) | commit::Committed::Unknown(failure) => Err(failure),
    }
}
