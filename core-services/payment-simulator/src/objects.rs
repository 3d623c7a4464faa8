//! How things look in the API.

use serde_json::{Value, json};

use crate::book::{Dispute, Refund, Transaction};
use crate::intent::{Intent, Status};

/// The version of the API that is imitated, as far as it goes.
pub const API_VERSION: &str = "2024-06-20";

/// A payment intent; `base` is the simulator's own address, for the challenge page.
#[must_use]
pub fn intent(intent: &Intent, base: &str) -> Value {
    let next_action = (intent.status == Status::RequiresAction).then(|| {
        json!({"type": "redirect_to_url", "redirect_to_url": {
            "url": format!("{base}/challenge/{}", intent.id), "return_url": intent.return_url}})
    });
    let decline = intent.decline.as_ref().map(|decline| {
        json!({"type": "card_error", "code": decline.code, "decline_code": "generic_decline", "charge": decline.charge,
            "message": "the payment was not approved"})
    });
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.capturable,
        "amount_received": intent.received,
        "canceled_at": intent.canceled_at,
        "capture_method": if intent.manual_capture { "manual" } else { "automatic" },
        "client_secret": format!("{}_secret", intent.id),
        "created": intent.created,
        "currency": intent.currency,
        "last_payment_error": decline,
        "latest_charge": intent.charge,
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action,
        "payment_method": intent.card.map(|card| card.name()),
        "status": intent.status.name(),
    })
}

/// Seconds for which an authorisation holds: a week, as with most cards.
const AUTHORISED_S: i64 = 7 * 24 * 3_600;

/// The charge of an intent's last attempt.
#[must_use]
pub fn charge(intent: &Intent) -> Value {
    let multicapture = if intent.in_parts() { "available" } else { "unavailable" };
    let capture_before = (intent.status == Status::RequiresCapture).then(|| intent.created + AUTHORISED_S);
    json!({
        "id": intent.charge,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.received,
        "amount_refunded": intent.refunded,
        "captured": intent.received > 0,
        "currency": intent.currency,
        "disputed": intent.disputed,
        "livemode": false,
        "metadata": intent.metadata,
        "payment_intent": intent.id,
        "payment_method_details": {"type": "card", "card": {
            "capture_before": capture_before, "multicapture": {"status": multicapture}}},
        "refunded": intent.received > 0 && intent.refunded == intent.received,
        "status": if intent.decline.is_some() { "failed" } else { "succeeded" },
    })
}

/// A refund.
#[must_use]
pub fn refund(refund: &Refund, of: &Intent) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": of.charge,
        "created": refund.created,
        "currency": of.currency,
        "metadata": refund.metadata,
        "payment_intent": refund.intent,
        "status": "succeeded",
    })
}

/// Seconds for which evidence is taken after a dispute.
const DISPUTE_ANSWER_S: i64 = 7 * 24 * 3_600;

/// A dispute.
#[must_use]
pub fn dispute(dispute: &Dispute, of: &Intent) -> Value {
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "charge": of.charge,
        "created": dispute.created,
        "currency": of.currency,
        "evidence_details": {
            "due_by": dispute.created + DISPUTE_ANSWER_S,
            "has_evidence": false,
            "past_due": false,
            "submission_count": 0,
        },
        "livemode": false,
        "metadata": {},
        "payment_intent": dispute.intent,
        "reason": "fraudulent",
        "status": "needs_response",
    })
}

/// A line of the settlement report; `source` is the charge itself when it is to be expanded.
#[must_use]
pub fn transaction(transaction: &Transaction, of: Option<&Intent>) -> Value {
    json!({
        "id": transaction.id,
        "object": "balance_transaction",
        "amount": transaction.amount,
        "created": transaction.created,
        "currency": transaction.currency,
        "fee": transaction.fee,
        "net": transaction.amount - transaction.fee,
        "reporting_category": transaction.kind,
        "source": of.map_or_else(|| json!(transaction.source), charge),
        "status": "available",
        "type": transaction.kind,
    })
}
