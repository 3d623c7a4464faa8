//! `identity.v1.sign_in`: a wrong password and an unknown e-mail are one answer, after the same work.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    limits::EMAIL_BYTES_MAX,
    message::identity::{SessionOpened, SignIn},
};
use bodega_platform::{Call, TransactionError};

use super::database;
use crate::{
    State,
    limits::{SIGN_IN_ATTEMPTS_MAX, SIGN_IN_WINDOW_MIN},
    session::Issue,
    store,
};

pub(crate) async fn sign_in(state: Arc<State>, _call: Call, request: SignIn) -> Result<SessionOpened, Failure> {
    let email = request.email.trim().to_lowercase();
    // Also keeps what cannot be bound as text away from the database.
    if email.len() > EMAIL_BYTES_MAX || email.contains('\0') {
        return Err(Code::CredentialsInvalid.into());
    }
    let who = state.ring.digest("sign-in", email.as_bytes()).ok_or_else(Failure::internal)?;
    count_attempt(&state, &who).await?;
    let account = store::by_email(state.context.postgres().pool(), &email).await.map_err(database)?;
    let hash = account.as_ref().and_then(|account| account.password.clone());
    let holds = state.passwords.verify(request.password, hash).await?;
    let Some(account) = account.filter(|_| holds) else { return Err(Code::CredentialsInvalid.into()) };
    let issue = Issue::new(&state);
    let (id, opening, who) = (account.id, &issue, &who);
    state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                store::forget_attempts(&mut tx, who).await?;
                store::open_session(&mut tx, id, opening).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    issue.opened(&state, account)
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
