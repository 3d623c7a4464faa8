//! Notes of staff on an order: what the next one at the packing table has to know.

use serde::{Deserialize, Serialize};

use super::requests;
use crate::{
    id::{MerchantId, NoteId, OrderId},
    time::Timestamp,
};

/// Adds a note to an order: for merchants with a part in it, and for admins. A note is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddNote {
    /// To which order.
    pub order: OrderId,
    /// The idempotency key.
    pub key: String,
    /// What it says, at most [`crate::limits::NOTE_BYTES_MAX`] bytes. It is emptied when the buyer is forgotten.
    pub text: String,
}

/// The notes of an order, oldest first: for merchants their own, for admins all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// Of which order.
    pub order: OrderId,
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// `nte_…`.
    pub id: NoteId,
    /// When.
    pub at: Timestamp,
    /// Who: an account's id.
    pub who: String,
    /// Whose staff; absent for the marketplace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<MerchantId>,
    /// What it says; absent once the buyer has been forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

requests! {
    AddNote => "order.v1.add_note", Vec<Note>;
    Notes => "order.v1.notes", Vec<Note>;
}
