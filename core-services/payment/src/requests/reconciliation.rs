//! `payment.v1.{reconcile,reconciliations}`: the books beside the providers' reports, and what to do about exceptions.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::{
        Page,
        payment::{Reconcile, Reconciliation, Reconciliations, Suggestion},
    },
};
use bodega_platform::{Call, DatabaseError};

use super::position;
use crate::{State, limits::PAGE_MAX, store::reconciliation};

/// A background task takes it within seconds.
pub(crate) async fn reconcile(state: Arc<State>, call: Call, _: Reconcile) -> Result<Reconciliation, Failure> {
    let (pool, now, who) = (state.context.postgres().pool(), state.context.clock().now(), call.principal.who());
    let asked = reconciliation::ask(pool, &who, now, state.context.entropy()).await.map_err(DatabaseError::from)?;
    // None only when a run ended between the two halves of the statement.
    asked.ok_or_else(|| Code::Conflict.into())
}

pub(crate) async fn reconciliations(
    state: Arc<State>,
    _: Call,
    request: Reconciliations,
) -> Result<Page<Reconciliation>, Failure> {
    let before = position(request.cursor.as_deref())?;
    let pool = state.context.postgres().pool();
    let items = reconciliation::list(pool, before, PAGE_MAX).await.map_err(DatabaseError::from)?;
    let full = i64::try_from(items.len()).is_ok_and(|count| count == PAGE_MAX);
    let next_cursor = items.last().filter(|_| full).map(|run| run.id.clone());
    Ok(Page { items, next_cursor })
}

/// What somebody should do about an exception of this kind.
pub(crate) fn suggestion(kind: &str) -> Suggestion {
    let (action, text) = match kind {
        "second_intent" => (
            "give_one_back",
            "The shopper was charged by a payment that we did not make. Look at both at the provider, and give the other one back there.",
        ),
        "amount_mismatch" => (
            "give_back",
            "Another amount or currency came than was asked for. Give it back, then cancel the order or let the shopper pay again.",
        ),
        "authorisation_lost" => (
            "ask_to_pay_again",
            "The bank keeps the money no longer. Do not send the goods: ask the shopper to pay again, or cancel what waits.",
        ),
        "capture_due" => {
            ("send_or_cancel", "The bank lets go of the money soon. Send what waits before that, or call it off.")
        }
        "disputed" => (
            "answer_the_bank",
            "The shopper's bank took the money back. Send the provider what proves the sale, such as the carrier's number, before the \
             deadline; until it is decided the payout waits. Nobody answers: the money is lost.",
        ),
        "refund_failed" => (
            "pay_back_otherwise",
            "The provider could not give the money back, because the card is closed for instance. Pay it back another way, then close this.",
        ),
        "books_differ" => (
            "report_a_fault",
            "The transfers of a payment do not come to what its row says. It is a fault of this software: keep the rows and report it.",
        ),
        "unmatched_settlement" => (
            "look_up_at_provider",
            "The provider settled money that names no payment of ours. Look the lines up there: somebody may have charged by hand, or \
             another shop uses the same account.",
        ),
        "settled_more" => (
            "look_up_at_provider",
            "The provider's report has more than the provider tells of the payment itself. Compare the two there, and give back what is \
             too much.",
        ),
        "settled_less" => (
            "write_to_provider",
            "A day after the money was taken, or given back, the provider's report still lacks some of it. Write to the provider.",
        ),
        "settled_in_another_currency" => (
            "write_to_provider",
            "The provider settled in another currency than was paid in. Turn its conversion off, or book the difference by hand.",
        ),
        _ => ("look_into_it", "Look at the order's transfers and at the payment at its provider."),
    };
    Suggestion { action: action.to_owned(), text: text.to_owned() }
}
