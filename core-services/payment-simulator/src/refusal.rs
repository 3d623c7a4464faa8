//! A refused call, in the API's error shape.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// `card_error`, `invalid_request_error`, `idempotency_error`, `api_error`.
    pub kind: &'static str,
    /// The stable code, when there is one.
    pub code: Option<&'static str>,
    /// The parameter at fault.
    pub param: Option<Box<str>>,
    /// For developers.
    pub message: Box<str>,
    /// The intent as it is now, for card errors.
    pub intent: Option<Box<Value>>,
}

impl Refusal {
    fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        param: Option<&str>,
        message: &str,
    ) -> Self {
        Refusal { status, kind, code, param: param.map(Box::from), message: Box::from(message), intent: None }
    }

    /// A parameter or the state does not allow it.
    #[must_use]
    pub fn invalid(code: &'static str, param: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", Some(code), Some(param), message)
    }

    /// No such object.
    #[must_use]
    pub fn missing(param: &str, id: &str) -> Self {
        let message = format!("no such object: '{id}'");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("resource_missing"), Some(param), &message)
    }

    /// The bank says no.
    #[must_use]
    pub fn card(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", Some(code), None, message)
    }

    /// The bearer key is missing or wrong.
    #[must_use]
    pub fn unauthorized() -> Self {
        let message = "send the secret key as bearer token";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", None, None, message)
    }

    /// The idempotency key was used for another request.
    #[must_use]
    pub fn reused_key() -> Self {
        let message = "this idempotency key was used with other parameters";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", None, None, message)
    }

    /// Something broke, on request.
    #[must_use]
    pub fn broken(status: StatusCode) -> Self {
        let (kind, code) = match status {
            StatusCode::TOO_MANY_REQUESTS => ("invalid_request_error", Some("rate_limit")),
            _ => ("api_error", None),
        };
        Self::new(status, kind, code, None, "this failure was ordered at the control page")
    }

    /// With the intent that the error is about.
    #[must_use]
    pub fn about(mut self, intent: Value) -> Self {
        self.intent = Some(Box::new(intent));
        self
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut error = json!({"type": self.kind, "message": self.message});
        if let Some(code) = &self.code {
            error["code"] = json!(code);
            if *code == "card_declined" {
                error["decline_code"] = json!("generic_decline");
            }
        }
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        if let Some(intent) = &self.intent {
            error["payment_intent"] = Value::clone(intent);
            error["charge"] = intent["latest_charge"].clone();
        }
        json!({ "error": error })
    }
}
