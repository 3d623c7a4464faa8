//! Accounts, sessions, revocation.
//!
//! **Owns** accounts with their password hashes and roles, profiles (the personal part), sessions with their refresh
//! tokens, and the deny list. The only service that can sign account sessions.
//!
//! **Promises**
//! * An access token lives ten minutes and is refreshed with a token that works once, give or take two tabs of one
//!   browser. One that comes again later was stolen from one of its two users: the whole session ends.
//! * What ends a session puts it on the deny list, in the same transaction, with an event. Whoever has read the list up
//!   to a position has missed nothing before it.
//! * An unknown e-mail takes as long to be refused as a wrong password, and both read the same.
//! * Who changed whose roles or password is kept, in the same transaction, and never changed.
//! * Personal data is in `profile` only. Deleting an account deletes it, in one transaction with the password, every
//!   session, and the row from which the order service is asked to forget who ordered.
//!
//! | subject | what |
//! | --- | --- |
//! | `identity.v1.{register,sign_in,refresh,sign_out}` | sessions |
//! | `identity.v1.{account,update}` | the asker's own account |
//! | `identity.v1.delete_account` | the asker's own account, for good |
//! | `identity.v1.{put_user,users}` | accounts, for admins and the seed |
//! | `identity.v1.role_changes` | who gave whom which roles, for admins |
//! | `identity.v1.email_digest` | whether an account has an order's e-mail, for the order service |
//! | `identity.v1.staff_of` | whom a merchant's mails are to, for the notification service |
//! | `identity.v1.{revoked,public_keys}` | what other services need to verify sessions |
//! | publishes | `evt.identity.v1.session_revoked` |
//! | asks | `catalog.v1.put_views`: the public keys, for edges; `order.v1.forget`: who a deleted account was |

mod deletions;
mod keys;
pub mod limits;
mod password;
mod requests;
mod session;
mod store;
mod sweep;

use std::sync::Arc;

use bodega_domain::token::{KeyRing, SecretKey};
use bodega_platform::{
    Context, Service, StartError, Wiring,
    sqlx::{self, migrate::Migrator},
};

use crate::password::Passwords;

/// The migrations of this service.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The service, for `bodega serve`.
#[must_use]
pub fn service() -> Service {
    Service::new("identity", &MIGRATIONS, |context| Box::pin(start(context)))
}

/// What the handlers share.
pub(crate) struct State {
    pub(crate) context: Context,
    pub(crate) passwords: Passwords,
    /// Signs account sessions.
    pub(crate) signing: SecretKey,
    /// For keyed digests, never for tokens.
    pub(crate) ring: KeyRing,
}

async fn start(context: Context) -> Result<Wiring, StartError> {
    let keys = &context.config().keys;
    let missing = |which: &str| StartError::Config(format!("keys.{which} holds no usable key; see `bodega keys`"));
    let signing = keys.identity.first().cloned().ok_or_else(|| missing("identity"))?;
    signing.public().ok_or_else(|| missing("identity"))?;
    let ring = keys.guest.clone();
    ring.digest("probe", b"").ok_or_else(|| missing("guest"))?;
    let passwords = Passwords::new(context.entropy()).await.map_err(|error| StartError::Other(error.to_string()))?;
    let state = Arc::new(State { context: context.clone(), passwords, signing, ring });
    let (publishing, sweeping, forgetting) = (state.clone(), state.clone(), state.clone());
    Ok(Wiring::new(&context)
        .on(state.clone(), requests::register::register)
        .on(state.clone(), requests::sign_in::sign_in)
        .on(state.clone(), requests::refresh::refresh)
        .on(state.clone(), requests::sign_out::sign_out)
        .on(state.clone(), requests::account::account)
        .on(state.clone(), requests::update::update)
        .on(state.clone(), requests::delete_account::delete_account)
        .on(state.clone(), requests::email_digest::email_digest)
        .on(state.clone(), requests::revoked::revoked)
        .on(state.clone(), requests::public_keys::public_keys)
        .on(state.clone(), requests::put_user::put_user)
        .on(state.clone(), requests::role_changes::role_changes)
        .on(state.clone(), requests::staff_of::staff_of)
        .on(state, requests::users::users)
        .background("public_keys", move || keys::put_to_edges(publishing.clone()))
        .background("deletions", move || deletions::run(forgetting.clone()))
        .background("sweep", move || sweep::run(sweeping.clone())))
}
