//! `identity.v1.sign_in`: a wrong password and an unknown e-mail are one answer, after the same work.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    address::normal_email,
    limits::EMAIL_BYTES_MAX,
    message::identity::{SessionOpened, SignIn},
};
use bodega_platform::{Call, TransactionError};

use super::database;
use crate::{
    State,
    limits::{SIGN_IN_ATTEMPTS_MAX, SIGN_IN_WINDOW_MIN},
    session::Issue,
    store::{self, AccountRow},
};

pub(crate) async fn sign_in(state: Arc<State>, _call: Call, request: SignIn) -> Result<SessionOpened, Failure> {
    let Proven { who, account } = prove(&state, &request.email, request.password).await?;
    let issue = Issue::new(&state);
    let (known, opening, who) = (&account, &issue, &who);
    state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                // Meanwhile it may have been deleted, or have got another password: that ends what was opened before, and
                // must not miss this one.
                if !store::keep_account(&mut tx, known).await? {
                    return Err(TransactionError::Refused(Failure::from(Code::CredentialsInvalid)));
                }
                store::forget_attempts(&mut tx, who).await?;
                store::open_session(&mut tx, known.id, opening).await?;
                Ok(())
            })
        })
        .await?;
    issue.opened(&state, account)
}

/// A password that belongs to its account.
pub(super) struct Proven {
    /// By which attempts are counted.
    pub(super) who: Vec<u8>,
    pub(super) account: AccountRow,
}

/// The account of an e-mail and its password. Each attempt is counted; whoever goes on forgets the attempts.
pub(super) async fn prove(state: &State, email: &str, password: String) -> Result<Proven, Failure> {
    let email = normal_email(email);
    if email.len() > EMAIL_BYTES_MAX {
        return Err(Code::CredentialsInvalid.into());
    }
    let who = state.ring.digest("sign-in", email.as_bytes()).ok_or_else(Failure::internal)?;
    count_attempt(state, &who).await?;
    let account = store::by_email(state.context.postgres().pool(), &email).await.map_err(database)?;
    let hash = account.as_ref().and_then(|account| account.password.clone());
    let holds = state.passwords.verify(password, hash).await?;
    let account = account.filter(|_| holds).ok_or(Code::CredentialsInvalid)?;
    Ok(Proven { who: who.to_vec(), account })
}

/// Counted before the password is looked at, so that attempts at once cannot outrun the limit.
async fn count_attempt(state: &State, who: &[u8]) -> Result<(), Failure> {
    let now = state.context.clock().now();
    let window_began = now.plus_min(-SIGN_IN_WINDOW_MIN);
    let pool = state.context.postgres().pool();
    let (attempts, since) = store::count_attempt(pool, who, now, window_began).await.map_err(database)?;
    if attempts <= SIGN_IN_ATTEMPTS_MAX {
        return Ok(());
    }
    let wait_s = since.ms_since(window_began) / 1_000 + 1;
    Err(Failure::from(Code::TooManyRequests).retry_after_s(u32::try_from(wait_s).unwrap_or(1)))
}
