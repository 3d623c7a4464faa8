//! The one place where a token becomes a principal. An edge's word is never an account's identity.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bodega_domain::{
    Code, Failure, Timestamp,
    id::SessionId,
    message,
    principal::Principal,
    token::{KeyRing, PublicKey, Session, TokenError, verify_session},
};

use crate::{bus::Arrived, clock::Clock, config::Keys, operation::Operation};

/// Sessions that were ended before their time: a deny list, so that a missing entry signs nobody out.
///
/// An entry is dropped when the last token of its session has expired, which keeps the list as short as ten minutes of
/// sign-outs.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<RwLock<HashMap<SessionId, Timestamp>>>);

impl Revocations {
    /// Notes that a session has ended; `until` is when the entry may be dropped.
    pub fn revoke(&self, session: SessionId, until: Timestamp, now: Timestamp) {
        let mut denied = self.0.write().unwrap_or_else(PoisonError::into_inner);
        denied.retain(|_, until| *until > now);
        denied.insert(session, until);
    }

    /// Whether a session was ended.
    #[must_use]
    pub fn is_revoked(&self, session: SessionId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&session)
    }

    /// Follows what identity tells. `evt.identity.v1.session_revoked` arrives as a plain message, at once; the caller
    /// asks `identity.v1.revoked` now and then for what was missed.
    pub(crate) fn note_page(&self, page: &message::identity::RevokedPage, now: Timestamp) -> Option<i64> {
        for (_, session, until) in &page.entries {
            self.revoke(*session, *until, now);
        }
        page.entries.iter().map(|(position, ..)| *position).max()
    }
}

/// Turns tokens into principals, with the keys of this process and the deny list.
#[derive(Clone, Debug)]
pub struct Authenticator {
    guests: KeyRing,
    accounts: Vec<PublicKey>,
    revocations: Revocations,
    clock: Clock,
}

impl Authenticator {
    /// With these keys.
    #[must_use]
    pub fn new(keys: &Keys, revocations: Revocations, clock: Clock) -> Self {
        Self { guests: keys.guest.clone(), accounts: keys.account_keys(), revocations, clock }
    }

    /// The principal of a token; `None` is nobody in particular.
    ///
    /// # Errors
    /// `session_expired` for what was valid once, `unauthenticated` for everything else that does not hold.
    pub fn principal(&self, token: Option<&str>) -> Result<Principal, Failure> {
        let Some(token) = token else { return Ok(Principal::Anonymous) };
        let session = verify_session(token, &self.guests, &self.accounts, self.clock.now()).map_err(|error| {
            tracing::debug!(%error, "a token does not hold");
            Failure::from(if error == TokenError::Expired { Code::SessionExpired } else { Code::Unauthenticated })
        })?;
        let id = match &session {
            Session::Guest(claims) => claims.session,
            Session::Account(claims) => claims.session,
        };
        if self.revocations.is_revoked(id) {
            return Err(Code::SessionExpired.into());
        }
        Ok(session.into())
    }

    /// The principal of a request that arrived for this operation. That it is a service counts only where no edge may
    /// publish: there, the bus has checked the credential.
    pub(crate) fn caller(&self, operation: &Operation, arrived: &Arrived) -> Result<Principal, Failure> {
        match (&arrived.token, &arrived.service) {
            (Some(token), _) => self.principal(Some(token)),
            (None, Some(_)) if !operation.edge => Ok(Principal::Service),
            (None, _) => Ok(Principal::Anonymous),
        }
    }
}

#[cfg(test)]
mod tests {
    use bodega_domain::{
        id::{AccountId, RequestId},
        token::{AccountClaims, GuestClaims, mint_account, mint_guest},
    };

    use super::*;
    use crate::entropy::Entropy;

    fn arrived(token: Option<String>, service: Option<&str>) -> Arrived {
        Arrived {
            request_id: RequestId::from_u128(1),
            deadline: None,
            traceparent: None,
            token,
            service: service.map(Into::into),
        }
    }

    fn fixture() -> (Keys, Revocations, Authenticator) {
        let keys = Keys::generate(&Entropy);
        let revocations = Revocations::default();
        let authenticator = Authenticator::new(&keys, revocations.clone(), Clock::system());
        (keys, revocations, authenticator)
    }

    #[test]
    fn a_guest_and_an_account_are_told_from_their_tokens() {
        let (keys, _, authenticator) = fixture();
        let now = Clock::system().now();
        let session = SessionId::from_u128(5);
        let guest = mint_guest(&keys.guest, &GuestClaims { session, expires: now.plus_min(1) }).unwrap();
        assert_eq!(authenticator.principal(Some(&guest)), Ok(Principal::Guest { session }));
        let account = AccountId::from_u128(6);
        let claims = AccountClaims { account, session, roles: vec![], issued: now, expires: now.plus_min(10) };
        let token = mint_account(&keys.identity[0], &claims).unwrap();
        assert_eq!(authenticator.principal(Some(&token)), Ok(Principal::Account { account, session, roles: vec![] }));
        let stale = mint_guest(&keys.guest, &GuestClaims { session, expires: now.plus_ms(-1) }).unwrap();
        assert_eq!(authenticator.principal(Some(&stale)).unwrap_err().code, Code::SessionExpired);
        assert_eq!(authenticator.principal(Some("a1.x.y.z")).unwrap_err().code, Code::Unauthenticated);
    }

    #[test]
    fn a_revoked_session_is_refused_until_its_entry_may_go() {
        let (keys, revocations, authenticator) = fixture();
        let now = Clock::system().now();
        let session = SessionId::from_u128(5);
        let token = mint_guest(&keys.guest, &GuestClaims { session, expires: now.plus_min(1) }).unwrap();
        revocations.revoke(session, now.plus_min(10), now);
        assert_eq!(authenticator.principal(Some(&token)).unwrap_err().code, Code::SessionExpired);
        revocations.revoke(SessionId::from_u128(6), now.plus_min(99), now.plus_min(11));
        assert!(authenticator.principal(Some(&token)).is_ok());
    }

    #[test]
    fn nobody_can_claim_to_be_a_service_where_an_edge_may_publish() {
        let (_, _, authenticator) = fixture();
        let at_edge = Operation::find("order.v1.get").unwrap();
        let inside = Operation::find("inventory.v1.hold").unwrap();
        assert_eq!(authenticator.caller(&at_edge, &arrived(None, Some("order"))), Ok(Principal::Anonymous));
        assert_eq!(authenticator.caller(&inside, &arrived(None, Some("order"))), Ok(Principal::Service));
        assert_eq!(authenticator.caller(&inside, &arrived(None, None)), Ok(Principal::Anonymous));
        assert!(authenticator.caller(&inside, &arrived(Some("forged".into()), Some("order"))).is_err());
    }
}
