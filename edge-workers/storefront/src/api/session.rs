//! Sign-in, sign-out, renewal, registration.

use bodega_domain::{
    Timestamp,
    message::identity::{AccountView, Register, SessionOpened, SignIn},
};
use http::StatusCode;
use serde::Serialize;

use crate::{
    accounts,
    platform::Platform,
    read,
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// A session that was opened. Its tokens are in cookies, and in headers for clients without a cookie jar.
#[derive(Debug, Serialize)]
pub(crate) struct SessionOut {
    /// Whose.
    pub(crate) account: AccountView,
    /// Until when the access token counts.
    pub(crate) expires_at: Timestamp,
    /// Until when it can be renewed.
    pub(crate) refresh_expires_at: Timestamp,
}

fn answer(status: StatusCode, opened: SessionOpened) -> Answer {
    let SessionOpened { account, expires, refresh_expires, .. } = opened;
    respond::json(status, &SessionOut { account, expires_at: expires, refresh_expires_at: refresh_expires })
}

/// `POST /api/v1/session`.
pub(crate) async fn sign_in<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let wish: SignIn = read::json(visit)?;
    answer(StatusCode::OK, accounts::sign_in(visit, wish).await?)
}

/// `DELETE /api/v1/session`.
pub(crate) async fn sign_out<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    read::same_origin_if_told(visit)?;
    accounts::sign_out(visit).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// `POST /api/v1/session/refresh`.
pub(crate) async fn refresh<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    read::same_origin_if_told(visit)?;
    match session::refresh(visit).await {
        Ok(opened) => answer(StatusCode::OK, opened),
        Err(failure) => {
            if failure.code == bodega_domain::Code::SessionExpired {
                session::end(visit);
            }
            Err(failure)
        }
    }
}

/// `POST /api/v1/register`.
pub(crate) async fn register<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let wish: Register = read::json(visit)?;
    answer(StatusCode::CREATED, accounts::register(visit, wish).await?)
}
