//! Accounts and their sessions.

use serde::{Deserialize, Serialize};

use super::{Done, Page, events, requests};
use crate::{
    address::Address,
    id::{AccountId, MerchantId, SessionId},
    time::Timestamp,
    token::{PublicKey, Role},
};

/// Opens an account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// E-mail, unique without regard to case.
    pub email: String,
    /// At least 10 characters.
    pub password: String,
    /// How to address them.
    pub name: String,
}

/// Signs in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// E-mail.
    pub email: String,
    /// Password.
    pub password: String,
}

/// A session as it was opened or refreshed.
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Access token, 10 minutes.
    pub token: String,
    /// Until when it counts.
    pub expires: Timestamp,
    /// Opaque, used once: the next refresh gives another.
    pub refresh: String,
    /// Until when it can be refreshed.
    pub refresh_expires: Timestamp,
    /// Whose.
    pub account: AccountView,
    /// Names the account's cart: its secret, 32 bytes base64url, the same at every edge.
    pub cart_secret: String,
}

/// Trades a refresh token for a new pair.
#[derive(Clone, Serialize, Deserialize)]
pub struct Refresh {
    /// The refresh token.
    pub refresh: String,
}

/// Ends the asker's session, or the one that a refresh token belongs to: an access token may have run out meanwhile.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SignOut {
    /// A refresh token of the session. With it, nobody has to ask with an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
}

/// The asker's account.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Account {}

/// Changes the asker's account; absent fields stay.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// New name.
    #[serde(default)]
    pub name: Option<String>,
    /// New default address.
    #[serde(default)]
    pub address: Option<Address>,
    /// For those who act for merchants: whether they want to hear by e-mail what of the stock is low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock_mails: Option<bool>,
}

/// Deletes the asker's account for good: profile, password and sessions. The orders stay, and forget who ordered: those
/// that have ended at once, the others when they have.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteAccount {
    /// The account's password, so that a browser that was left open is not enough.
    pub password: String,
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// E-mail.
    pub email: String,
    /// Name.
    pub name: String,
    /// Roles beside shopper.
    pub roles: Vec<Role>,
    /// Default address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Of those who act for merchants: whether they want to hear by e-mail what of the stock is low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock_mails: Option<bool>,
}

/// Who acts for a merchant; asked by the service that sends it mails.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct StaffOf {
    /// Which.
    pub merchant: MerchantId,
}

/// Somebody who acts for a merchant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Colleague {
    /// Their account.
    pub account: AccountId,
    /// E-mail.
    pub email: String,
    /// Name.
    pub name: String,
    /// Whether they want to hear what of the stock is low.
    pub stock_mails: bool,
}

/// The e-mail of an account as a digest; asked by the service that compares it with an order's, so that no e-mail travels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct EmailDigest {
    /// Whose.
    pub account: AccountId,
}

/// Answer of [`EmailDigest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DigestOfEmail {
    /// [`email_digest`](crate::address::email_digest). Absent when there is no such account, or no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Whether sessions have been revoked; asked by services for what reaches the core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// Revocations after this position.
    pub after: i64,
}

/// Answer of [`Revoked`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokedPage {
    /// Position, session, and when the entry may be dropped.
    pub entries: Vec<(i64, SessionId, Timestamp)>,
}

/// The keys that verify account sessions.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PublicKeys {}

/// Makes an account with roles; for admins and the seed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutUser {
    /// E-mail.
    pub email: String,
    /// Password; absent keeps the old one.
    #[serde(default)]
    pub password: Option<String>,
    /// Name.
    pub name: String,
    /// Roles beside shopper.
    pub roles: Vec<Role>,
}

/// Accounts, for admins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Users {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Who gave whom which roles, newest first; for admins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoleChanges {
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A change of an account by an admin or a service. Ids only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// When.
    pub at: Timestamp,
    /// Whose account.
    pub account: AccountId,
    /// Who did it: an account's id, or `service`.
    pub who: String,
    /// The roles before; absent when the account was made.
    #[serde(default)]
    pub before: Option<Vec<Role>>,
    /// The roles since.
    pub after: Vec<Role>,
    /// Whether a password was set as well.
    pub password: bool,
}

/// A session was ended before its time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SessionRevoked {
    /// Which.
    pub session: SessionId,
    /// When the entry may be dropped: its last token has expired by then.
    pub until: Timestamp,
}

requests! {
    Register => "identity.v1.register", SessionOpened;
    SignIn => "identity.v1.sign_in", SessionOpened;
    Refresh => "identity.v1.refresh", SessionOpened;
    SignOut => "identity.v1.sign_out", Done;
    Account => "identity.v1.account", AccountView;
    Update => "identity.v1.update", AccountView;
    DeleteAccount => "identity.v1.delete_account", Done;
    EmailDigest => "identity.v1.email_digest", DigestOfEmail;
    Revoked => "identity.v1.revoked", RevokedPage;
    PublicKeys => "identity.v1.public_keys", Vec<PublicKey>;
    PutUser => "identity.v1.put_user", AccountView;
    StaffOf => "identity.v1.staff_of", Vec<Colleague>;
    Users => "identity.v1.users", Page<AccountView>;
    RoleChanges => "identity.v1.role_changes", Page<RoleChange>;
}

events! {
    SessionRevoked => "evt.identity.v1.session_revoked";
}
