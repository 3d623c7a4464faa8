//! Payment: intents, attempts, captures, refunds, webhooks.

use serde::{Deserialize, Serialize};

pub use super::reconciliation::{Reconcile, Reconciliation, Reconciliations, Suggestion};
pub use super::statement::{Standing, Statement, StatementAccounts, StatementLine, StatementOf};

use super::{Done, Page, events, requests};
use crate::{
    id::{IntentId, JournalId, MerchantId, OrderId, RefundId},
    money::Money,
    order::{AtShipment, NextAction, PaymentAmounts, PaymentStatus},
    principal::Owner,
    time::Timestamp,
};

/// A merchant's share of what is to be paid, for the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whose.
    pub merchant: MerchantId,
    /// Goods and its shipping, without tax.
    pub net: Money,
    /// Tax on them.
    pub tax: Money,
}

/// Opens an intent and its first attempt. One order has one intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAsk {
    /// The order to be paid.
    pub order: OrderId,
    /// Who pays, for limits.
    pub owner: Owner,
    /// How much; the shares add up to it.
    pub amount: Money,
    /// Whose it is.
    pub shares: Vec<Share>,
    /// For instance `simulator`.
    pub provider: String,
    /// What the provider calls the method.
    pub method: String,
    /// Carried to the provider: the same key twice is one attempt.
    pub attempt_key: String,
    /// Where the provider sends the shopper back to after a challenge.
    #[serde(default)]
    pub return_url: Option<String>,
    /// The order whose late money, held until now, pays this one: no attempt is begun, and without that money the intent
    /// is closed from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_over: Option<OrderId>,
}

/// Opens intents for a batch of orders. Idempotent by order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Independent of each other.
    pub asks: Vec<OpenAsk>,
}

/// One more attempt to pay an order's intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Which order.
    pub order: OrderId,
    /// Who pays.
    pub owner: Owner,
    /// For instance `simulator`.
    pub provider: String,
    /// What the provider calls the method.
    pub method: String,
    /// The same key twice is one attempt.
    pub attempt_key: String,
    /// Where the provider sends the shopper back to after a challenge.
    #[serde(default)]
    pub return_url: Option<String>,
}

/// Captures what was authorised: all of it but what merchants want taken only when their goods leave. Idempotent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// Goods of one merchant are leaving: takes their money, where it waits for that. The same key twice is one capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureParcel {
    /// Of which order.
    pub order: OrderId,
    /// Whose goods.
    pub merchant: MerchantId,
    /// What they cost, ≥ 0. No more is taken than still waits.
    pub amount: Money,
    /// Nothing of this merchant is left to leave: all that still waits is taken, so that nothing is lost to rounding.
    pub last: bool,
    /// The same key twice is one capture.
    pub key: String,
}

/// What came of a [`CaptureParcel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParcelMoney {
    /// The provider is being asked.
    Pending,
    /// It is taken, or nothing of it waited any more.
    Taken,
    /// It cannot be taken: nothing may leave for it.
    Refused,
}

/// Goods that had not left are called off: what of their money was not taken yet is given up, the rest goes back. The
/// same key twice is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOff {
    /// Which order.
    pub order: OrderId,
    /// Of one merchant's goods so much; absent for all of the order, which ends with it.
    pub part: Option<CalledOff>,
    /// The same key twice is one.
    pub key: String,
    /// Why, for instance `cancelled`.
    pub reason: String,
}

/// A merchant's goods that are called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledOff {
    /// Whose.
    pub merchant: MerchantId,
    /// What they cost, > 0.
    pub amount: Money,
    /// Nothing of this merchant is left to leave: whatever of its money still waits is given up.
    pub last: bool,
}

/// Stops new attempts and cancels at the provider. Idempotent; the state tells when it is confirmed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelIntents {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// Gives money back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refund {
    /// Which order.
    pub order: OrderId,
    /// How much; absent for all that is left.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Out of whose sale; absent for all merchants in proportion to what they got.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// The same key twice is one refund.
    pub key: String,
    /// Why, for instance `cancelled`, `return`, `late_payment`.
    pub reason: String,
}

/// Answer of [`Refund`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RefundAnswer {
    /// The refund.
    pub refund: RefundId,
    /// How much it is.
    pub amount: Money,
}

/// Intents as they are now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The orders.
    pub orders: Vec<OrderId>,
}

/// An intent as it is now. `revision` grows with each change, so that an older word is told from a newer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentState {
    /// The order.
    pub order: OrderId,
    /// The intent.
    pub intent: IntentId,
    /// Grows with each change.
    pub revision: i64,
    /// Derived from the facts.
    pub status: PaymentStatus,
    /// What is to be paid.
    pub amount: Money,
    /// Cumulative amounts seen.
    pub amounts: PaymentAmounts,
    /// What the shopper has to do.
    #[serde(default)]
    pub next_action: Option<NextAction>,
    /// Attempts so far.
    pub attempts: u32,
    /// When the last attempt began.
    pub attempted_at: Option<Timestamp>,
    /// No new attempt is begun any more.
    pub closing: bool,
    /// The provider confirmed that it can no longer be authorised.
    pub cancelled: bool,
    /// The order has asked for all of the money that is taken before its goods leave, and it was not too late for that.
    /// Told with other news: by itself it is none.
    #[serde(default)]
    pub claimed: bool,
    /// The last capture was refused for good: by the provider, or because the money was on its way back already.
    pub capture_failed: bool,
    /// The provider's amount or currency is not ours: it is never paid.
    #[serde(default)]
    pub mismatch: bool,
    /// Money that came too late waits until then for somebody to make the order again; afterwards it goes back.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
    /// Merchants whose money is taken only when their goods leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_shipment: Vec<AtShipment>,
    /// Until when the provider lets it be taken, as far as it says so and some of it still waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<Timestamp>,
}

impl IntentState {
    /// What has to be taken before the goods leave, minor units.
    #[must_use]
    pub fn due(&self) -> i64 {
        self.amount.amount() - self.at_shipment.iter().map(|part| part.waiting.amount()).sum::<i64>()
    }
}

/// A provider's webhook as it came: raw body and headers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Which provider.
    pub provider: String,
    /// Lower-case names and values.
    pub headers: Vec<(String, String)>,
    /// The raw body, base64url.
    pub body: String,
}

/// Accounts of the ledger with their balances, recomputed from transfers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Balances {
    /// Only of this merchant.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
}

/// One account of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// For instance `provider_clearing`, `merchant_payable`.
    pub account: String,
    /// Whose, where accounts are kept by merchant.
    pub merchant: Option<MerchantId>,
    /// Debits minus credits.
    pub balance: Money,
}

/// The transfers of an order, for its timeline and for checks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TransfersOf {
    /// Which order.
    pub order: OrderId,
}

/// One transfer of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferView {
    /// Its journal.
    pub journal: JournalId,
    /// When.
    pub at: Timestamp,
    /// Account that is debited.
    pub debit: String,
    /// Account that is credited.
    pub credit: String,
    /// How much, > 0.
    pub amount: Money,
    /// Whose.
    pub merchant: Option<MerchantId>,
    /// Why, for instance `capture`, `refund`, `late_payment`.
    pub reason: String,
}

/// An exception that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// By which it is closed; opaque.
    #[serde(default)]
    pub id: String,
    /// Which order.
    pub order: Option<OrderId>,
    /// For instance `amount_mismatch`, `unsettled`, `refund_failed`.
    pub kind: String,
    /// What is known, ids and amounts only.
    pub detail: serde_json::Value,
    /// Since when.
    pub opened_at: Timestamp,
    /// What to do about it; empty from a service that is older than whoever asks.
    #[serde(default)]
    pub suggestion: Suggestion,
}

/// Open exceptions, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exceptions {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Somebody has looked at an exception. Who and when is kept; the same again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseException {
    /// Its id.
    pub exception: String,
}

/// A choice among a few words, each written as it is stored and sent; the first one holds until somebody chooses.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident {
        $(#[$first_doc:meta])* $first:ident = $first_word:literal,
        $($(#[$choice_doc:meta])* $choice:ident = $word:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $(#[$first_doc])*
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $($(#[$choice_doc])* #[serde(rename = $word)] $choice,)*
        }

        impl $name {
            /// Every choice, as it is written.
            pub const ALL: &[($name, &'static str)] = &[($name::$first, $first_word), $(($name::$choice, $word),)*];

            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $name::$first => $first_word,
                    $($name::$choice => $word,)*
                }
            }
        }

        impl core::str::FromStr for $name {
            type Err = UnknownChoice;
            fn from_str(text: &str) -> Result<Self, UnknownChoice> {
                let known = Self::ALL.iter().find(|(_, word)| *word == text);
                known.map(|(choice, _)| *choice).ok_or(UnknownChoice)
            }
        }
    )*};
}

/// A word that is none of the choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the choices")]
pub struct UnknownChoice;

choices! {
    /// What becomes of money that comes when its order has expired or was cancelled.
    LateMoney {
        /// It goes back at once, in full.
        Refund = "refund",
        /// It waits for 24 hours and goes back then, unless the order is made again with it.
        Hold24h = "hold_24h",
    }

    /// When money is taken.
    CaptureAt {
        /// As soon as the stock is posted.
        Posting = "posting",
        /// Parcel by parcel, as the goods leave: until then it is only authorised, for as long as the provider keeps that.
        Shipment = "shipment",
    }
}

/// What merchants want done with money; those that never said so have the default. Merchants see their own, admins all
/// that were ever set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// Only of this merchant, also when it never said anything.
    #[serde(default)]
    pub merchant: Option<MerchantId>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// Says what a merchant wants done with money; what is absent stays as it is. An order of several merchants follows
/// `hold_24h` when each of them does. When money is taken, each merchant says for the own share, from the next payment on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPolicy {
    /// Whose.
    pub merchant: MerchantId,
    /// What becomes of late money.
    #[serde(default)]
    pub late_money: Option<LateMoney>,
    /// When money is taken.
    #[serde(default)]
    pub capture: Option<CaptureAt>,
}

/// What a merchant wants done with money, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whose.
    pub merchant: MerchantId,
    /// What becomes of late money.
    pub late_money: LateMoney,
    /// When money is taken.
    pub capture: CaptureAt,
    /// Its last changes, newest first; none for the default that nobody ever changed.
    pub changes: Vec<PolicyChange>,
}

/// Somebody said what a merchant wants done with money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// What becomes of late money since then.
    pub late_money: LateMoney,
    /// When money is taken since then.
    pub capture: CaptureAt,
    /// When.
    pub at: Timestamp,
    /// Who: an account's id.
    pub who: String,
}

/// An intent changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntentChanged {
    /// The order.
    pub order: OrderId,
    /// Its status.
    pub status: PaymentStatus,
    /// Grows with each change.
    pub revision: i64,
}

requests! {
    Open => "payment.v1.open", Vec<IntentState>;
    Attempt => "payment.v1.attempt", IntentState;
    Capture => "payment.v1.capture", Vec<IntentState>;
    CaptureParcel => "payment.v1.capture_parcel", ParcelMoney;
    CallOff => "payment.v1.call_off", RefundAnswer;
    CancelIntents => "payment.v1.cancel", Vec<IntentState>;
    Refund => "payment.v1.refund", RefundAnswer;
    State => "payment.v1.state", Vec<IntentState>;
    Webhook => "payment.v1.webhook", Done;
    Balances => "payment.v1.balances", Vec<Balance>;
    TransfersOf => "payment.v1.transfers_of", Vec<TransferView>;
    StatementOf => "payment.v1.statement", Statement;
    Exceptions => "payment.v1.exceptions", Page<Exception>;
    CloseException => "payment.v1.close_exception", Done;
    Reconcile => "payment.v1.reconcile", Reconciliation;
    Reconciliations => "payment.v1.reconciliations", Page<Reconciliation>;
    Policies => "payment.v1.policies", Page<Policy>;
    SetPolicy => "payment.v1.set_policy", Policy;
}

events! {
    IntentChanged => "evt.payment.v1.intent_changed";
}
