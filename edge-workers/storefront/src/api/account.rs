//! The signed-in account.

use bodega_domain::message::identity::{DeleteAccount, Update};
use http::StatusCode;

use crate::{
    accounts,
    platform::Platform,
    read,
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// `GET /api/v1/account`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let shopper = session::account(visit).await?;
    respond::json_read(&accounts::show(visit, &shopper).await?)
}

/// `PATCH /api/v1/account`.
pub(crate) async fn update<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let wish: Update = read::json(visit)?;
    let shopper = session::account(visit).await?;
    respond::json(StatusCode::OK, &accounts::update(visit, &shopper, wish).await?)
}

/// `POST /api/v1/account/deletion`: with a body, which `DELETE` may lose on its way.
pub(crate) async fn delete<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let wish: DeleteAccount = read::json(visit)?;
    let shopper = session::account(visit).await?;
    accounts::delete(visit, &shopper, wish).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
