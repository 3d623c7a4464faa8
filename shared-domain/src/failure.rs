//! What went wrong, as a stable code that programs can act on. HTTP is one rendering of it; `docs/ERRORS.md` lists them.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// A stable code of a failure. The text never changes its meaning; new ones may come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl Code {
            /// Every code there is, in the order of `docs/ERRORS.md`.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as clients see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Code::$name => $text,)* } }

            /// The HTTP status that carries it.
            #[must_use]
            pub const fn http_status(self) -> u16 { match self { $(Code::$name => $status,)* } }

            /// A short human title, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Code::$name => $title,)* } }
        }
    };
}

codes! {
    /// The body is not what its content type says.
    MalformedBody = "malformed_body", 400, "The request body could not be read";
    /// One or more fields are wrong; each is named.
    ValidationFailed = "validation_failed", 422, "Some fields are not valid";
    /// A path or query parameter is wrong.
    BadRequest = "bad_request", 400, "The request could not be understood";
    /// No such page or endpoint.
    NotFound = "not_found", 404, "There is nothing here";
    /// The endpoint exists, not with this method.
    MethodNotAllowed = "method_not_allowed", 405, "This method is not allowed here";
    /// The body is larger than allowed.
    PayloadTooLarge = "payload_too_large", 413, "The request is too large";
    /// The body has a content type that is not read here.
    UnsupportedMediaType = "unsupported_media_type", 415, "This content type is not supported";
    /// No credential, or one that does not hold.
    Unauthenticated = "unauthenticated", 401, "Sign in first";
    /// E-mail and password do not belong together.
    CredentialsInvalid = "credentials_invalid", 401, "E-mail or password is wrong";
    /// The session has run out or was ended.
    SessionExpired = "session_expired", 401, "The session has ended";
    /// Known, and not allowed.
    Forbidden = "forbidden", 403, "This is not allowed";
    /// A form came from another site.
    OriginForbidden = "origin_forbidden", 403, "The form did not come from this shop";
    /// An account with this e-mail exists.
    EmailTaken = "email_taken", 409, "An account with this e-mail exists";
    /// Product unknown.
    ProductNotFound = "product_not_found", 404, "There is no such product";
    /// Category unknown.
    CategoryNotFound = "category_not_found", 404, "There is no such category";
    /// SKU unknown.
    SkuNotFound = "sku_not_found", 404, "There is no such article";
    /// The cart has no room for another line.
    CartFull = "cart_full", 422, "The cart is full";
    /// There is nothing to order.
    CartEmpty = "cart_empty", 422, "The cart is empty";
    /// A code that no promotion knows, or not now.
    CodeNotApplicable = "code_not_applicable", 422, "This code does not apply";
    /// No price in this currency.
    CurrencyUnsupported = "currency_unsupported", 422, "This currency is not offered";
    /// No delivery there.
    DestinationUnsupported = "destination_unsupported", 422, "We do not deliver there";
    /// The header that makes a retry safe is missing.
    IdempotencyKeyMissing = "idempotency_key_missing", 400, "An Idempotency-Key is required";
    /// The key was used for something else.
    IdempotencyKeyReused = "idempotency_key_reused", 409, "This Idempotency-Key was used for another request";
    /// Some lines cannot be delivered; each is named.
    OutOfStock = "out_of_stock", 409, "Some articles are sold out";
    /// The order differs from its quote; the fields are named.
    QuoteMismatch = "quote_mismatch", 409, "The order differs from its quote";
    /// The quote has become an order already.
    QuoteUsed = "quote_used", 409, "This quote has been ordered already";
    /// The quote is too old.
    QuoteExpired = "quote_expired", 410, "This quote has expired";
    /// The quote is not ours, not yours, or was changed.
    QuoteInvalid = "quote_invalid", 422, "This quote is not valid";
    /// Pay or cancel the open orders first.
    TooManyUnpaid = "too_many_unpaid", 429, "Too many unpaid orders";
    /// Slow down.
    TooManyRequests = "too_many_requests", 429, "Too many requests";
    /// Sent, and no answer: the key tells what became of it.
    OutcomeUnknown = "outcome_unknown", 202, "The outcome is not known yet";
    /// Surely nothing was done; try again.
    CoreUnavailable = "core_unavailable", 503, "The shop's core cannot be reached";
    /// Surely nothing was done: too much work is waiting.
    Overloaded = "overloaded", 503, "Too busy";
    /// The request's own deadline had passed before anything was done.
    DeadlineExceeded = "deadline_exceeded", 503, "The request came too late";
    /// This edge has not received the catalogue yet.
    EdgeNotReady = "edge_not_ready", 503, "This edge is not ready yet";
    /// The edge failed on this request; others are not affected.
    EdgeFault = "edge_fault", 500, "The edge failed on this request";
    /// No order has come from this key.
    CheckoutNotFound = "checkout_not_found", 404, "No order came from this checkout";
    /// No such order, or not yours.
    OrderNotFound = "order_not_found", 404, "There is no such order";
    /// The order's state does not allow it.
    OrderStateConflict = "order_state_conflict", 409, "The order's state does not allow this";
    /// The payment's state does not allow it.
    PaymentStateConflict = "payment_state_conflict", 409, "The payment's state does not allow this";
    /// More than was authorised, captured or left.
    AmountExceeded = "amount_exceeded", 409, "The amount is more than what is left";
    /// No such payment provider or method.
    PaymentMethodUnknown = "payment_method_unknown", 422, "This payment method is not offered";
    /// A webhook without a valid signature.
    WebhookSignatureInvalid = "webhook_signature_invalid", 401, "The webhook's signature is not valid";
    /// A replication batch without a valid signature.
    IngestSignatureInvalid = "ingest_signature_invalid", 401, "The batch's signature is not valid";
    /// A replication batch that is not the next one.
    IngestOutOfOrder = "ingest_out_of_order", 409, "This is not the next batch";
    /// Somebody else changed it in between.
    PreconditionFailed = "precondition_failed", 412, "It has been changed in between";
    /// The upload is not a plugin that may run here.
    PluginRejected = "plugin_rejected", 422, "The plugin was rejected";
    /// No such plugin.
    PluginNotFound = "plugin_not_found", 404, "There is no such plugin";
    /// The resource exists already.
    Conflict = "conflict", 409, "It conflicts with what exists";
    /// A fault of ours; the log has the rest under the request id.
    Internal = "internal", 500, "Something went wrong on our side";
}

impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFailure {
    /// JSON pointer into the request (RFC 6901), or `/lines/{sku}` for a line.
    pub pointer: String,
    /// A stable snake_case code, for instance `required` or `too_long`.
    pub code: String,
    /// What to do about it, for people.
    pub detail: String,
}

/// A typed refusal as it crosses the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Failure {
    /// What programs act on.
    pub code: Code,
    /// What people read; never internal text.
    pub detail: String,
    /// The fields or lines it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFailure>,
    /// After how many seconds trying again makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// The resource it is about, for instance the order that a used quote became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// For `checkout_not_found`: it can no longer succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#final: Option<bool>,
}

impl Failure {
    /// A failure with its code and a sentence for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), retry_after_s: None, about: None, r#final: None }
    }

    /// A failure of ours. The cause belongs in the log, not in here.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "The request failed on our side. It is logged under its request id.")
    }

    /// Names one more wrong field.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        self.fields.push(FieldFailure { pointer: pointer.into(), code: code.into(), detail: detail.into() });
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Names the resource it is about.
    #[must_use]
    pub fn about(mut self, resource: impl Into<String>) -> Self {
        self.about = Some(resource.into());
        self
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code, code.title())
    }
}

/// Collects wrong fields, so that a caller learns of all of them at once.
#[derive(Debug, Default)]
pub struct Validation(Vec<FieldFailure>);

impl Validation {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a wrong field.
    pub fn wrong(&mut self, pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldFailure { pointer: pointer.into(), code: code.into(), detail: detail.into() });
    }

    /// Notes a field as wrong unless `ok`.
    pub fn check(&mut self, ok: bool, pointer: &str, code: &str, detail: &str) {
        if !ok {
            self.wrong(pointer, code, detail);
        }
    }

    /// # Errors
    /// `validation_failed` naming every wrong field.
    pub fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::from(Code::ValidationFailed);
        failure.fields = self.0;
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_round_trip() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} is listed twice");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{text}");
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Code>(&format!("\"{text}\"")).unwrap(), *code);
        }
    }

    #[test]
    fn validation_names_every_wrong_field() {
        let mut v = Validation::new();
        v.check(false, "/contact/email", "required", "An e-mail address is needed.");
        v.check(true, "/contact/name", "required", "unused");
        v.wrong("/shipping_address/city", "too_long", "At most 200 bytes.");
        let failure = v.finish().unwrap_err();
        assert_eq!(
            failure.fields.iter().map(|f| f.pointer.as_str()).collect::<Vec<_>>(),
            ["/contact/email", "/shipping_address/city"]
        );
    }
}
