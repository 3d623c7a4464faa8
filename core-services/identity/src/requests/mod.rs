//! A file a request.

pub(crate) mod account;
pub(crate) mod delete_account;
pub(crate) mod email_digest;
pub(crate) mod public_keys;
pub(crate) mod put_user;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod revoked;
pub(crate) mod role_changes;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod staff_of;
pub(crate) mod update;
pub(crate) mod users;

use bodega_domain::{
    Code, Failure, Timestamp, event::Event, id::SessionId, message::identity::SessionRevoked, principal::Principal,
    token::Role,
};
use bodega_platform::{Call, DatabaseError, sqlx};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{State, store::AccountRow};

fn database(error: sqlx::Error) -> Failure {
    DatabaseError::from(error).into()
}

/// The asker's account and session.
fn asker(call: &Call) -> Result<(Uuid, Uuid), Failure> {
    match &call.principal {
        Principal::Account { account, session, .. } => {
            Ok((Uuid::from_u128(account.as_u128()), Uuid::from_u128(session.as_u128())))
        }
        _ => Err(Code::Unauthenticated.into()),
    }
}

/// A new account, not written yet.
fn new_account(
    state: &State,
    (email, name): (String, String),
    password: Option<String>,
    roles: Vec<Role>,
) -> Result<AccountRow, Failure> {
    let id = state.context.entropy().uuid(state.context.clock().now());
    let cart_secret = state.ring.digest("cart", id.as_bytes()).ok_or_else(Failure::internal)?.to_vec();
    Ok(AccountRow { id, password, roles: Json(roles), cart_secret, email, name, address: None, stock_mails: true })
}

/// Whether a statement failed because the e-mail is taken.
fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.constraint()) == Some("profile_email")
}

/// Denies sessions in this process at once, which need not wait for its own event.
fn deny_here(state: &State, denied: Vec<(SessionId, Timestamp)>) {
    for (session, until) in denied {
        state.context.revocations().revoke(session, until, state.context.clock().now());
    }
}

/// Tells of sessions that were put on the deny list.
fn events(state: &State, denied: &[(SessionId, Timestamp)]) -> Vec<Event> {
    let revoked = |(session, until): &(SessionId, Timestamp)| SessionRevoked { session: *session, until: *until };
    denied.iter().map(|entry| state.context.event(entry.0, &revoked(entry))).collect()
}
