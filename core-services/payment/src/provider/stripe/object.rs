//! From the API's objects to observations: pure.

use bodega_domain::{
    Timestamp,
    id::IntentId,
    money::Currency,
    payment::{AttemptView, Observation},
};
use serde_json::Value;

use crate::provider::{Dispute, Seen};

/// Metadata key under which the provider keeps our intent's id.
pub(super) const INTENT_KEY: &str = "intent_id";
/// Metadata key under which the provider keeps our refund's id.
pub(super) const REFUND_KEY: &str = "refund_id";

/// What an object of the API shows, if it is about an intent: a payment intent, a charge or a dispute.
pub(super) fn seen(object: &Value) -> Option<Seen> {
    match object["object"].as_str()? {
        "payment_intent" => payment_intent(object),
        "charge" => charge(object),
        "refund" => charge(&object["charge"]),
        _ => None,
    }
}

/// A dispute names its charge and intent and an amount of its own; what the intent is of has to be known already.
pub(super) fn disputed(object: &Value) -> Option<Dispute> {
    if object["object"] != "dispute" {
        return None;
    }
    let due_s = object["evidence_details"]["due_by"].as_i64();
    Some(Dispute {
        reference: text(&object["payment_intent"])?,
        amount: object["amount"].as_i64()?,
        respond_before: due_s.map(|due_s| Timestamp::from_unix_ms(due_s.saturating_mul(1_000))),
        reason: text(&object["reason"]),
    })
}

fn payment_intent(object: &Value) -> Option<Seen> {
    let status = object["status"].as_str()?;
    // A charge is an id, or spelled out when that was asked for.
    let spelled_out = &object["latest_charge"];
    let charge = text(spelled_out).or_else(|| text(&spelled_out["id"]));
    let card = &spelled_out["payment_method_details"]["card"];
    let declined = text(&object["last_payment_error"]["charge"]);
    let attempt = charge.map(|charge| {
        let view = match status {
            "requires_action" => {
                let url = &object["next_action"]["redirect_to_url"]["url"];
                AttemptView::Challenged(text(url).unwrap_or_default())
            }
            _ if declined.as_deref() == Some(&charge) => AttemptView::Refused,
            _ => AttemptView::Open,
        };
        (charge, view)
    });
    Some(Seen {
        reference: text(&object["id"])?,
        intent: intent(object),
        observation: Observation {
            amount: object["amount"].as_i64()?,
            currency: currency(object),
            capturable: object["amount_capturable"].as_i64().unwrap_or(0),
            captured: object["amount_received"].as_i64().unwrap_or(0),
            refunded: spelled_out["amount_refunded"].as_i64().unwrap_or(0),
            cancelled: status == "canceled",
            disputed: 0,
            attempt,
            in_parts: card["multicapture"]["status"] == "available",
            capture_before: card["capture_before"].as_i64().map(moment),
        },
    })
}

fn charge(object: &Value) -> Option<Seen> {
    Some(Seen {
        reference: text(&object["payment_intent"])?,
        intent: intent(object),
        observation: Observation {
            amount: object["amount"].as_i64()?,
            currency: currency(object),
            capturable: 0,
            captured: object["amount_captured"].as_i64().unwrap_or(0),
            refunded: object["amount_refunded"].as_i64().unwrap_or(0),
            cancelled: false,
            disputed: 0,
            attempt: None,
            in_parts: false,
            capture_before: None,
        },
    })
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds.saturating_mul(1_000))
}

/// Whether a refund of the API is the one that we call `ours`, and money was or is being given back for it.
pub(super) fn is_refund(object: &Value, ours: &str) -> bool {
    object["metadata"][REFUND_KEY] == ours && !matches!(object["status"].as_str(), Some("failed" | "canceled"))
}

/// Text that a table can keep: what the API names is never empty and has no control characters.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && !text.chars().any(char::is_control)).map(str::to_owned)
}

fn intent(object: &Value) -> Option<IntentId> {
    object["metadata"][INTENT_KEY].as_str()?.parse().ok()
}

fn currency(object: &Value) -> Option<Currency> {
    object["currency"].as_str()?.to_ascii_uppercase().parse().ok()
}

#[cfg(test)]
mod tests {
    use bodega_domain::{money::Money, payment::Fact};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn intent_object(status: &str) -> Value {
        json!({
            "object": "payment_intent", "id": "pi_1", "amount": 100, "amount_capturable": 0, "amount_received": 0,
            "currency": "eur", "status": status, "latest_charge": "ch_2", "last_payment_error": null,
            "next_action": null, "metadata": {"intent_id": IntentId::from_u128(7).to_string()},
        })
    }

    fn facts(object: &Value) -> Vec<Fact> {
        seen(object).unwrap().observation.facts(Money::new(100, Currency::EUR).unwrap())
    }

    #[test]
    fn each_status_proves_its_facts() {
        let mut authorised = intent_object("requires_capture");
        authorised["amount_capturable"] = json!(100);
        assert_eq!(facts(&authorised), [Fact::Authorised(100)]);
        assert_eq!(seen(&authorised).unwrap().intent, Some(IntentId::from_u128(7)));
        let mut captured = intent_object("succeeded");
        captured["amount_received"] = json!(100);
        assert_eq!(facts(&captured), [Fact::Authorised(100), Fact::Captured(100)]);
        assert_eq!(facts(&intent_object("canceled")), [Fact::Cancelled]);
        assert_eq!(facts(&intent_object("processing")), []);
        let mut refused = intent_object("requires_payment_method");
        refused["last_payment_error"] = json!({"charge": "ch_2"});
        assert_eq!(facts(&refused), [Fact::Refused("ch_2".into())]);
        let mut challenged = intent_object("requires_action");
        challenged["next_action"] = json!({"redirect_to_url": {"url": "https://bank"}});
        assert_eq!(facts(&challenged), [Fact::Challenged("ch_2".into(), "https://bank".into())]);
    }

    #[test]
    fn an_older_decline_is_not_the_running_attempt_s() {
        let mut retried = intent_object("processing");
        retried["last_payment_error"] = json!({"charge": "ch_1"});
        assert_eq!(facts(&retried), []);
    }

    #[test]
    fn a_charge_and_a_dispute_are_read() {
        let charge = json!({"object": "charge", "payment_intent": "pi_1", "amount": 100, "currency": "eur",
            "amount_captured": 100, "amount_refunded": 40, "metadata": {}});
        assert_eq!(facts(&charge), [Fact::Authorised(100), Fact::Captured(100), Fact::Refunded(40)]);
        let dispute = json!({"object": "dispute", "payment_intent": "pi_1", "amount": 60, "currency": "eur",
            "evidence_details": {"due_by": 1_800_000_000}, "reason": "fraudulent"});
        let read = Dispute {
            reference: "pi_1".into(),
            amount: 60,
            respond_before: Some(Timestamp::from_unix_ms(1_800_000_000_000)),
            reason: Some("fraudulent".into()),
        };
        assert_eq!((seen(&dispute), disputed(&dispute)), (None, Some(read)));
    }

    #[test]
    fn a_refund_that_failed_is_none_and_hostile_text_is_no_name() {
        let refund = |status: &str| json!({"status": status, "metadata": {"refund_id": "rfd_1"}});
        assert!(is_refund(&refund("succeeded"), "rfd_1") && is_refund(&refund("pending"), "rfd_1"));
        assert!(!is_refund(&refund("failed"), "rfd_1") && !is_refund(&refund("succeeded"), "rfd_2"));
        assert_eq!(
            (text(&json!("pi_1")), text(&json!("pi\u{0}")), text(&json!(""))),
            (Some("pi_1".into()), None, None)
        );
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_passed_over(kind in "payment_intent|charge|dispute|refund|x", status in "[a-z_]{0,12}", n: i64) {
            let object = json!({"object": kind, "id": n, "status": status, "amount": n, "latest_charge": {"id": status}});
            let _ = (seen(&object), disputed(&object));
        }
    }
}
