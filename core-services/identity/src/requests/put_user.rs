//! `identity.v1.put_user`: an account with roles, for admins and the seed. The same again changes nothing.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    address::{is_email, line},
    failure::Validation,
    id::SessionId,
    message::identity::{AccountView, PutUser},
};
use bodega_platform::{Call, TransactionError, outbox, sqlx::types::Json};

use super::{database, deny_here, events, is_taken, new_account};
use crate::{
    State,
    limits::ROLES_MAX,
    password,
    store::{self, AccountRow, Which},
};

/// Somebody else may make the same account meanwhile, or delete it: then the next look finds it so.
const LOOKS_MAX: usize = 3;

pub(crate) async fn put_user(state: Arc<State>, call: Call, request: PutUser) -> Result<AccountView, Failure> {
    let (email, name) = (request.email.trim().to_owned(), request.name.trim().to_owned());
    let mut v = Validation::new();
    v.check(is_email(&email), "/email", "email", "This is not an e-mail address.");
    line(&mut v, "/name", &name, true);
    v.check(request.roles.len() <= ROLES_MAX, "/roles", "too_many", "At most 50 roles.");
    if let Some(password) = &request.password {
        password::check(&mut v, password);
    }
    v.finish()?;
    let who = call.principal.who();
    for _ in 0..LOOKS_MAX {
        let known = store::by_email(state.context.postgres().pool(), &email).await.map_err(database)?;
        if let Some(known) = known {
            match change(&state, &who, known, name.clone(), request.clone()).await? {
                Some(changed) => return Ok(changed.view()),
                None => continue,
            }
        }
        let hash = match &request.password {
            Some(password) => Some(state.passwords.hash(password.clone()).await?),
            None => None,
        };
        let account = new_account(&state, (email.clone(), name.clone()), hash, request.roles.clone())?;
        if insert(&state, &who, &account).await? {
            return Ok(account.view());
        }
    }
    Err(bodega_domain::Code::EmailTaken.into())
}

/// `false` when the e-mail was taken meanwhile.
async fn insert(state: &State, who: &str, account: &AccountRow) -> Result<bool, Failure> {
    let now = state.context.clock().now();
    let inserted = state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                match store::insert_account(&mut tx, account, now).await {
                    Err(error) if is_taken(&error) => return Err(TransactionError::Refused(())),
                    other => other?,
                }
                store::changes::note(&mut tx, who, None, account, now).await?;
                Ok(())
            })
        })
        .await;
    match inserted {
        Ok(()) => Ok(true),
        Err(TransactionError::Refused(())) => Ok(false),
        Err(TransactionError::Database(error)) => Err(error.into()),
    }
}

/// What was opened with an old password or carries old roles ends. `None` when the account was deleted meanwhile.
async fn change(
    state: &State,
    who: &str,
    known: AccountRow,
    name: String,
    request: PutUser,
) -> Result<Option<AccountRow>, Failure> {
    let mut account = AccountRow { name, roles: Json(request.roles), ..known.clone() };
    if let Some(password) = request.password
        && !state.passwords.verify(password.clone(), known.password.clone()).await?
    {
        account.password = Some(state.passwords.hash(password).await?);
    }
    let ends = account.password != known.password || account.roles.0 != known.roles.0;
    if !ends && account.name == known.name {
        return Ok(Some(account));
    }
    let (row, before) = (&account, &known);
    let changed: Result<Vec<(SessionId, _)>, TransactionError<()>> = state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if !store::update_account(&mut tx, row).await? {
                    return Err(TransactionError::Refused(()));
                }
                if !ends {
                    return Ok(Vec::new());
                }
                let now = state.context.clock().now();
                store::changes::note(&mut tx, who, Some(before), row, now).await?;
                let denied = store::end_sessions(&mut tx, Which::AllOf(row.id), now).await?;
                outbox::append(&mut tx, &events(state, &denied)).await?;
                Ok(denied)
            })
        })
        .await;
    let denied = match changed {
        Ok(denied) => denied,
        Err(TransactionError::Refused(())) => return Ok(None),
        Err(TransactionError::Database(error)) => return Err(error.into()),
    };
    deny_here(state, denied);
    Ok(Some(account))
}
