//! Sessions as they are opened: an access token that identity alone can sign, and a refresh token that works once.

use bodega_domain::{
    Failure, Timestamp,
    id::SessionId,
    limits::{ACCOUNT_TOKEN_MIN, REFRESH_TOKEN_DAYS},
    message::identity::SessionOpened,
    token::{AccountClaims, base64url, from_base64url, mint_account, sha256},
};

use crate::{State, limits::REVOCATION_GRACE_MIN, store::AccountRow};

/// Bytes of a refresh token.
const REFRESH_BYTES: usize = 32;

/// A session to be opened or carried on: what the store keeps, and the secret that only its owner gets.
pub(crate) struct Issue {
    pub(crate) session: SessionId,
    pub(crate) now: Timestamp,
    pub(crate) token_expires: Timestamp,
    pub(crate) refresh_expires: Timestamp,
    pub(crate) refresh_hash: [u8; 32],
    refresh: String,
}

impl Issue {
    /// A new session.
    pub(crate) fn new(state: &State) -> Self {
        let now = state.context.clock().now();
        Self::of(state, SessionId::new(now.unix_ms(), state.context.entropy().bytes()))
    }

    /// The next tokens of a session.
    pub(crate) fn of(state: &State, session: SessionId) -> Self {
        let now = state.context.clock().now();
        let secret = state.context.entropy().bytes::<REFRESH_BYTES>();
        Self {
            session,
            now,
            token_expires: now.plus_min(ACCOUNT_TOKEN_MIN),
            refresh_expires: now.plus_days(REFRESH_TOKEN_DAYS),
            refresh_hash: sha256(&secret),
            refresh: base64url(&secret),
        }
    }

    /// The answer, with a token for the account as it is now.
    pub(crate) fn opened(self, state: &State, account: AccountRow) -> Result<SessionOpened, Failure> {
        let cart_secret = base64url(&account.cart_secret);
        let account = account.view();
        let claims = AccountClaims {
            account: account.id,
            session: self.session,
            roles: account.roles.clone(),
            issued: self.now,
            expires: self.token_expires,
        };
        let token = mint_account(&state.signing, &claims).ok_or_else(Failure::internal)?;
        Ok(SessionOpened {
            token,
            expires: self.token_expires,
            refresh: self.refresh,
            refresh_expires: self.refresh_expires,
            account,
            cart_secret,
        })
    }
}

/// The hash under which a refresh token is kept; `None` for what cannot be one.
pub(crate) fn refresh_hash(token: &str) -> Option<[u8; 32]> {
    from_base64url(token).filter(|secret| secret.len() == REFRESH_BYTES).map(|secret| sha256(&secret))
}

/// When the entry of a session on the deny list may be dropped.
pub(crate) fn deny_until(token_expires: Timestamp) -> Timestamp {
    token_expires.plus_min(REVOCATION_GRACE_MIN)
}
