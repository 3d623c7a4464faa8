//! Sessions as they are opened: an access token that identity alone can sign, and a refresh token of the session's
//! round.

use bodega_domain::{
    Failure, Timestamp,
    id::SessionId,
    limits::{ACCOUNT_TOKEN_MIN, REFRESH_TOKEN_DAYS},
    message::identity::SessionOpened,
    token::{AccountClaims, base64url, from_base64url, mint_account, sha256},
};

use crate::{
    State,
    limits::{REFRESH_OVERLAP_S, REVOCATION_GRACE_MIN},
    store::{AccountRow, RefreshRow},
};

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

/// What a refresh token that came means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// It is of the current round; the next round begins.
    Next(i32),
    /// Another tab was faster by a moment, or the answer was lost: it goes on in the round that has begun.
    Overlapping(i32),
    /// Its round is over, and somebody else went on from it: one of the two is a thief.
    Reused,
}

/// Decides by rounds; the clock only says how long two tabs may differ.
pub(crate) fn presented(row: &RefreshRow, now: Timestamp) -> Presented {
    if row.round >= row.current {
        return Presented::Next(row.current.saturating_add(1));
    }
    let overlaps = now.ms_since(row.round_began.into()) <= REFRESH_OVERLAP_S * 1_000;
    if overlaps && row.round.saturating_add(1) == row.current {
        return Presented::Overlapping(row.current);
    }
    Presented::Reused
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_round_goes_on_overlaps_for_a_moment_and_is_over() {
        let began = Timestamp::from_unix_ms(1_800_000_000_000);
        let at = |round, ms| {
            let row = RefreshRow {
                session: Uuid::nil(),
                account: Uuid::nil(),
                round,
                current: 5,
                round_began: began.into(),
                ended: None,
                refresh_expires: began.plus_days(30).into(),
            };
            presented(&row, began.plus_ms(ms))
        };
        assert_eq!(at(5, 999_999), Presented::Next(6));
        assert_eq!(at(4, REFRESH_OVERLAP_S * 1_000), Presented::Overlapping(5));
        assert_eq!(at(4, REFRESH_OVERLAP_S * 1_000 + 1), Presented::Reused);
        assert_eq!(at(3, 1), Presented::Reused);
    }
}
