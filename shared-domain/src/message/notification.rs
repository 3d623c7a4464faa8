//! Notification: mails about orders. Rows carry ids only; who gets a mail is asked for when it is sent.

use serde::{Deserialize, Serialize};

use super::{Page, requests};
use crate::{
    id::{MailId, OrderId},
    time::Timestamp,
};

/// What a mail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// The order is there and not paid yet.
    Placed,
    /// It is paid.
    Paid,
    /// A parcel left.
    Shipped,
    /// A parcel arrived.
    Delivered,
    /// Some pieces were called off.
    LinesCancelled,
    /// It was called off.
    Cancelled,
    /// It was not paid in time.
    Expired,
    /// Goods are asked to be sent back.
    ReturnRequested,
    /// They may be.
    ReturnApproved,
    /// They may not.
    ReturnRefused,
    /// They are here, and their money goes back.
    ReturnReceived,
}

impl MailKind {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MailKind::Placed => "placed",
            MailKind::Paid => "paid",
            MailKind::Shipped => "shipped",
            MailKind::Delivered => "delivered",
            MailKind::LinesCancelled => "lines_cancelled",
            MailKind::Cancelled => "cancelled",
            MailKind::Expired => "expired",
            MailKind::ReturnRequested => "return_requested",
            MailKind::ReturnApproved => "return_approved",
            MailKind::ReturnRefused => "return_refused",
            MailKind::ReturnReceived => "return_received",
        }
    }
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// It has to be sent.
    Due,
    /// A mail server has taken it.
    Sent,
    /// What it would tell is not true any more, nobody is there to tell, or no mail is sent here.
    Skipped,
    /// No mail server has taken it in days, or one never will.
    GivenUp,
}

impl MailState {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MailState::Due => "due",
            MailState::Sent => "sent",
            MailState::Skipped => "skipped",
            MailState::GivenUp => "given_up",
        }
    }
}

/// Mails, newest first; for admins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Mails {
    /// Only about this order.
    #[serde(default)]
    pub order: Option<OrderId>,
    /// Only in this state.
    #[serde(default)]
    pub state: Option<MailState>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A mail, without whom it is to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailView {
    /// `eml_…`.
    pub id: MailId,
    /// About which order.
    pub order: OrderId,
    /// What it tells.
    pub kind: MailKind,
    /// What became of it.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When a mail server took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Why it was not sent, or not yet: a word of ours or a status of the mail server, never its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Sends a mail that was given up or skipped, or sends it once more. For admins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resend {
    /// Which.
    pub mail: MailId,
}

requests! {
    Mails => "notification.v1.mails", Page<MailView>;
    Resend => "notification.v1.resend", MailView;
}
