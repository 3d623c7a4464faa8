//! `identity.v1.register`

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    address::{is_email, line},
    failure::Validation,
    message::identity::{Register, SessionOpened},
};
use bodega_platform::{Call, TransactionError};

use super::{is_taken, new_account};
use crate::{State, password, session::Issue, store};

pub(crate) async fn register(state: Arc<State>, _call: Call, request: Register) -> Result<SessionOpened, Failure> {
    let (email, name) = (request.email.trim().to_owned(), request.name.trim().to_owned());
    let mut v = Validation::new();
    v.check(is_email(&email), "/email", "email", "This is not an e-mail address.");
    line(&mut v, "/name", &name, true);
    password::check(&mut v, &request.password);
    v.finish()?;
    let hash = state.passwords.hash(request.password).await?;
    let account = new_account(&state, (email, name), Some(hash), Vec::new())?;
    let issue = Issue::new(&state);
    let (row, opening) = (&account, &issue);
    state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                match store::insert_account(&mut tx, row, opening.now).await {
                    Err(error) if is_taken(&error) => {
                        return Err(TransactionError::Refused(Failure::from(Code::EmailTaken)));
                    }
                    other => other?,
                }
                store::open_session(&mut tx, row.id, opening).await?;
                Ok(())
            })
        })
        .await?;
    issue.opened(&state, account)
}
