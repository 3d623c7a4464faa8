//! Registering, signing in and out, and the account itself. The core decides; the edge keeps the cookies.

use bodega_domain::{
    Code, Failure,
    address::{is_email, line},
    failure::Validation,
    message::identity::{Account, AccountView, DeleteAccount, Register, SessionOpened, SignIn, SignOut, Update},
};

use crate::{
    cart,
    core_link::{AskError, ask},
    orders,
    platform::Platform,
    session::{self, Shopper},
    visit::Visit,
};

/// Milliseconds that a sign-in may take: a password hash is slow on purpose.
const SIGN_IN_MS: i64 = 5_000;
const READ_MS: i64 = 3_000;
/// Characters of a password at least, as the core demands them.
const PASSWORD_CHARS_MIN: usize = 10;
/// Bytes of a password at most: more would only be work for the hash.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Opens an account and signs in.
pub(crate) async fn register<P: Platform>(visit: &Visit<'_, P>, wish: Register) -> Result<SessionOpened, Failure> {
    let mut v = Validation::new();
    v.check(is_email(&wish.email), "/email", "email", "This is not an e-mail address.");
    line(&mut v, "/name", &wish.name, true);
    let chars = wish.password.chars().count();
    v.check(chars >= PASSWORD_CHARS_MIN, "/password", "too_short", "At least 10 characters.");
    v.check(wish.password.len() <= PASSWORD_BYTES_MAX, "/password", "too_long", "At most 1024 bytes.");
    v.finish()?;
    let opened = ask(visit, None, &wish, SIGN_IN_MS)
        .await
        .map_err(|error| error.of_command("The account may have been opened or not: try to sign in."))?;
    arrive(visit, &opened).await;
    Ok(opened)
}

/// Signs in.
pub(crate) async fn sign_in<P: Platform>(visit: &Visit<'_, P>, wish: SignIn) -> Result<SessionOpened, Failure> {
    if wish.password.len() > PASSWORD_BYTES_MAX || !is_email(&wish.email) {
        return Err(Code::CredentialsInvalid.into());
    }
    let opened = ask(visit, None, &wish, SIGN_IN_MS).await.map_err(AskError::of_read)?;
    arrive(visit, &opened).await;
    Ok(opened)
}

async fn arrive<P: Platform>(visit: &Visit<'_, P>, opened: &SessionOpened) {
    let guest = session::guest(visit).await;
    session::open(visit, opened);
    cart::sign_in(visit, opened, &opened.token).await;
    if let Some(guest) = guest {
        orders::adopt(visit, &opened.token, guest).await;
    }
}

/// Signs out. The cookies go in any case; whether the core knows is in the result.
pub(crate) async fn sign_out<P: Platform>(visit: &Visit<'_, P>) -> Result<(), Failure> {
    // Not with the access token where there is a refresh token: after ten minutes it is refused, and the session would
    // live on for a month.
    let (token, refresh) = match session::refresh_token(visit) {
        Some(refresh) => (None, Some(refresh.to_owned())),
        None => match session::current(visit).await {
            Ok(Some(shopper)) if shopper.account().is_some() => (Some(shopper.token), None),
            Ok(_) => (None, None),
            Err(failure) if failure.code == Code::SessionExpired => (None, None),
            Err(failure) => return Err(failure),
        },
    };
    session::end(visit);
    if token.is_none() && refresh.is_none() {
        return Ok(());
    }
    ask(visit, token.as_deref(), &SignOut { refresh }, READ_MS).await.map_err(AskError::of_read)?;
    Ok(())
}

/// Deletes the account for good; its cookies go with it.
pub(crate) async fn delete<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    wish: DeleteAccount,
) -> Result<(), Failure> {
    if wish.password.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::new(Code::CredentialsInvalid, "This is not the account's password."));
    }
    ask(visit, Some(&shopper.token), &wish, SIGN_IN_MS)
        .await
        .map_err(|error| error.of_command("The account may have been deleted or not: try to sign in."))?;
    session::end(visit);
    Ok(())
}

/// The signed-in account.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, shopper: &Shopper) -> Result<AccountView, Failure> {
    ask(visit, Some(&shopper.token), &Account {}, READ_MS).await.map_err(AskError::of_read)
}

/// Changes the account.
pub(crate) async fn update<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    wish: Update,
) -> Result<AccountView, Failure> {
    let mut v = Validation::new();
    if let Some(name) = &wish.name {
        line(&mut v, "/name", name, true);
    }
    if let Some(address) = &wish.address {
        address.validate("/address", &mut v);
    }
    v.finish()?;
    ask(visit, Some(&shopper.token), &wish, READ_MS).await.map_err(AskError::of_read)
}
