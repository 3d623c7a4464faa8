//! Who the shopper is: a guest's session minted here, or an account's token that only the core can mint.
//!
//! The token is forwarded unchanged; the core verifies it itself. What this edge concludes from it decides only which
//! page is shown.

use bodega_domain::{
    Code, Failure,
    catalog::keys as kinds,
    id::SessionId,
    limits::GUEST_SESSION_DAYS,
    message::identity::{Refresh, SessionOpened},
    token::{AccountClaims, GuestClaims, KeyRing, PublicKey, Session, TokenError, mint_guest, verify_session},
};

use crate::{
    cart, catalog,
    core_link::{AskError, ask},
    keys,
    platform::{Platform, setting},
    visit::Visit,
};

/// The session's token.
pub(crate) const COOKIE: &str = "bodega_session";
/// What an account's token is renewed with, once.
pub(crate) const REFRESH_COOKIE: &str = "bodega_refresh";
/// The same for clients without a cookie jar.
pub(crate) const HEADER: &str = "bodega-session";
/// The same for clients without a cookie jar.
pub(crate) const REFRESH_HEADER: &str = "bodega-refresh";
/// Milliseconds that renewing a token may take.
const REFRESH_MS: i64 = 2_000;
const DAY_S: i64 = 24 * 60 * 60;

/// A verified session and its token.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    /// Forwarded to the core.
    pub(crate) token: String,
    /// What it says.
    pub(crate) session: Session,
}

impl Shopper {
    /// The account, if one is signed in.
    pub(crate) fn account(&self) -> Option<&AccountClaims> {
        match &self.session {
            Session::Account(claims) => Some(claims),
            Session::Guest(_) => None,
        }
    }
}

/// What the request says about its session.
enum Claim {
    /// Nothing, or nothing that counts: such a cookie is passed over and replaced.
    None,
    /// A session that holds.
    Valid(Shopper),
    /// An account's session that has run out or was ended.
    Ended,
}

/// Whether the client keeps tokens by itself, so that answers carry them in headers too.
pub(crate) fn speaks_headers<P: Platform>(visit: &Visit<'_, P>) -> bool {
    [HEADER, REFRESH_HEADER, cart::HEADER].iter().any(|name| visit.header(name).is_some())
        || (!visit.has_cookies() && visit.header("sec-fetch-site").is_none())
}

async fn claim<P: Platform>(visit: &Visit<'_, P>) -> Result<Claim, Failure> {
    let guests = keys::guests(visit.platform);
    let accounts = keys::public(visit.platform, setting::ACCOUNT_KEYS);
    let tokens: Vec<&str> = visit.header(HEADER).into_iter().chain(visit.cookies(COOKIE)).collect();
    let mut ended = false;
    for token in tokens {
        match verify(visit, token, &guests, &accounts).await? {
            Ok(Session::Account(claims)) if is_revoked(visit, claims.session).await => ended = true,
            Ok(session) => return Ok(Claim::Valid(Shopper { token: token.to_owned(), session })),
            Err(TokenError::Expired) => ended |= token.starts_with("a1."),
            Err(_) => {}
        }
    }
    Ok(if ended { Claim::Ended } else { Claim::None })
}

/// Verifies with the keys of the settings, and with the replicated ones for a key that these do not name.
async fn verify<P: Platform>(
    visit: &Visit<'_, P>,
    token: &str,
    guests: &KeyRing,
    accounts: &[PublicKey],
) -> Result<Result<Session, TokenError>, Failure> {
    match verify_session(token, guests, accounts, visit.now) {
        Err(TokenError::UnknownKey) if token.starts_with("a1.") => {
            let replicated: Option<Vec<PublicKey>> =
                catalog::view(visit, kinds::PUBLIC_KEYS, "identity").await.unwrap_or_default();
            Ok(verify_session(token, guests, &replicated.unwrap_or_default(), visit.now))
        }
        other => Ok(other),
    }
}

/// The deny list. A missing record signs nobody out, a store that does not answer neither: the core decides anyway.
async fn is_revoked<P: Platform>(visit: &Visit<'_, P>, session: SessionId) -> bool {
    matches!(visit.platform.kv_get(&format!("{}/{session}", kinds::REVOKED)).await, Ok(Some(_)))
}

/// The session that the request brings, renewed if it has to be. `None`: a new shopper.
///
/// # Errors
/// `session_expired` when an account's session has ended for good; its cookies are removed with the answer. Or the core
/// is away and the token cannot be renewed.
pub(crate) async fn current<P: Platform>(visit: &Visit<'_, P>) -> Result<Option<Shopper>, Failure> {
    match claim(visit).await? {
        Claim::Valid(shopper) => Ok(Some(prolonged(visit, shopper))),
        Claim::None if refresh_token(visit).is_none() => Ok(None),
        Claim::None | Claim::Ended => match refresh(visit).await {
            Ok(opened) => Ok(shopper_of(visit, &opened)),
            Err(failure) if failure.code == Code::SessionExpired => {
                end(visit);
                Err(failure)
            }
            Err(failure) => Err(failure),
        },
    }
}

/// The session for something that a guest may do too: a new one is minted when there is none, also in place of an
/// account's that has ended, so that the shop goes on.
pub(crate) async fn shopper<P: Platform>(visit: &Visit<'_, P>) -> Result<Shopper, Failure> {
    match current(visit).await {
        Ok(Some(shopper)) => Ok(shopper),
        Ok(None) => mint(visit),
        Err(failure) if failure.code == Code::SessionExpired && visit.face == crate::visit::Face::Page => mint(visit),
        Err(failure) => Err(failure),
    }
}

/// The session for carts: a core that is away does not matter to them.
pub(crate) async fn for_cart<P: Platform>(visit: &Visit<'_, P>) -> Result<Option<Shopper>, Failure> {
    match shopper(visit).await {
        Ok(shopper) => Ok(Some(shopper)),
        Err(failure) if failure.code == Code::SessionExpired => Err(failure),
        Err(_) => Ok(None),
    }
}

/// The token of the guest that this request comes from, for what that guest leaves behind on signing in.
pub(crate) async fn guest<P: Platform>(visit: &Visit<'_, P>) -> Option<String> {
    match claim(visit).await {
        Ok(Claim::Valid(shopper)) if shopper.account().is_none() => Some(shopper.token),
        _ => None,
    }
}

/// The signed-in account.
///
/// # Errors
/// `unauthenticated` for guests.
pub(crate) async fn account<P: Platform>(visit: &Visit<'_, P>) -> Result<Shopper, Failure> {
    match current(visit).await? {
        Some(shopper) if shopper.account().is_some() => Ok(shopper),
        _ => Err(Failure::new(Code::Unauthenticated, "Sign in to do this.")),
    }
}

fn mint<P: Platform>(visit: &Visit<'_, P>) -> Result<Shopper, Failure> {
    let session = SessionId::new(visit.now.unix_ms(), visit.random());
    let claims = GuestClaims { session, expires: visit.now.plus_days(GUEST_SESSION_DAYS) };
    mint_claims(visit, claims)
}

fn mint_claims<P: Platform>(visit: &Visit<'_, P>, claims: GuestClaims) -> Result<Shopper, Failure> {
    let ring = keys::guests(visit.platform);
    let token = mint_guest(&ring, &claims).ok_or_else(|| {
        visit.warn("guest_keys", "no key can sign guest sessions");
        Failure::new(Code::EdgeFault, "This edge cannot open sessions. It is logged under the request id.")
    })?;
    keep(visit, &token, GUEST_SESSION_DAYS.saturating_mul(DAY_S));
    Ok(Shopper { token, session: Session::Guest(claims) })
}

/// A guest who keeps coming stays the same guest: the session is minted anew in its second half.
fn prolonged<P: Platform>(visit: &Visit<'_, P>, shopper: Shopper) -> Shopper {
    let half = visit.now.plus_days(GUEST_SESSION_DAYS / 2);
    match &shopper.session {
        Session::Guest(claims) if claims.expires < half => {
            let claims = GuestClaims { expires: visit.now.plus_days(GUEST_SESSION_DAYS), ..claims.clone() };
            mint_claims(visit, claims).unwrap_or(shopper)
        }
        _ => shopper,
    }
}

fn keep<P: Platform>(visit: &Visit<'_, P>, token: &str, max_age_s: i64) {
    visit.set_cookie(COOKIE, token, max_age_s);
    if speaks_headers(visit) {
        visit.answer_header(HEADER, token.to_owned());
    }
}

/// The refresh token: a credential, so it is looked at only as text of a bounded length.
pub(crate) fn refresh_token<'v, P: Platform>(visit: &'v Visit<'_, P>) -> Option<&'v str> {
    let of_header = visit.header(REFRESH_HEADER).into_iter();
    of_header.chain(visit.cookies(REFRESH_COOKIE)).find(|token| !token.is_empty() && token.len() <= 512)
}

/// Trades the refresh token for a new pair.
///
/// # Errors
/// `session_expired`, or the core is away.
pub(crate) async fn refresh<P: Platform>(visit: &Visit<'_, P>) -> Result<SessionOpened, Failure> {
    let ended = || Failure::new(Code::SessionExpired, "Your session has ended. Sign in again.");
    let refresh = refresh_token(visit).ok_or_else(ended)?.to_owned();
    match ask(visit, None, &Refresh { refresh }, REFRESH_MS).await {
        Ok(opened) => {
            open(visit, &opened);
            Ok(opened)
        }
        Err(AskError::Refused(failure)) if failure.code.http_status() < 500 && failure.code.http_status() != 429 => {
            visit.warn("refresh", failure.code.as_str());
            Err(ended())
        }
        Err(error) => Err(error.of_read()),
    }
}

/// Sets the cookies of a session that the core has opened.
pub(crate) fn open<P: Platform>(visit: &Visit<'_, P>, opened: &SessionOpened) {
    let max_age_s = opened.refresh_expires.ms_since(visit.now) / 1000;
    keep(visit, &opened.token, max_age_s);
    visit.set_cookie(REFRESH_COOKIE, &opened.refresh, max_age_s);
    if speaks_headers(visit) {
        visit.answer_header(REFRESH_HEADER, opened.refresh.clone());
    }
}

/// The shopper of a session that was just opened.
pub(crate) fn shopper_of<P: Platform>(visit: &Visit<'_, P>, opened: &SessionOpened) -> Option<Shopper> {
    // The core has signed it a moment ago: which keys this edge knows does not matter for what it says.
    let session = verify_session(
        &opened.token,
        &keys::guests(visit.platform),
        &keys::public(visit.platform, setting::ACCOUNT_KEYS),
        visit.now,
    )
    .unwrap_or_else(|_| {
        Session::Account(AccountClaims {
            account: opened.account.id,
            session: SessionId::from_u128(0),
            roles: opened.account.roles.clone(),
            issued: visit.now,
            expires: opened.expires,
        })
    });
    Some(Shopper { token: opened.token.clone(), session })
}

/// Removes everything that names the shopper: session, refresh token and cart.
pub(crate) fn end<P: Platform>(visit: &Visit<'_, P>) {
    visit.drop_cookie(COOKIE);
    visit.drop_cookie(REFRESH_COOKIE);
    visit.drop_cookie(cart::COOKIE);
    visit.forget_cart();
}

/// A bucket of the client's address under a key of this deployment, for limits on guests; never the address itself.
pub(crate) fn client_bucket<P: Platform>(visit: &Visit<'_, P>) -> Option<String> {
    let address = visit.header(crate::platform::CLIENT_ADDRESS)?;
    let digest = keys::guests(visit.platform).digest("client-bucket", address.as_bytes())?;
    Some(bodega_domain::token::base64url(digest.get(..9)?))
}
