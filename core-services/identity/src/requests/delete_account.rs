//! `identity.v1.delete_account`: everything personal goes in one transaction, and the order service is asked from a row.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    message::{Done, identity::DeleteAccount},
    token::Role,
};
use bodega_platform::{Call, TransactionError, outbox};

use super::{asker, database, deny_here, events, sign_in};
use crate::{
    State,
    store::{self, Which},
};

pub(crate) async fn delete_account(state: Arc<State>, call: Call, request: DeleteAccount) -> Result<Done, Failure> {
    let (account, _) = asker(&call)?;
    let known = store::by_id(state.context.postgres().pool(), account).await.map_err(database)?;
    // Gone already, which is what was asked for.
    let Some(known) = known else { return Ok(Done {}) };
    has_no_roles(&known.roles.0)?;
    let proven = sign_in::prove(&state, &known.email, request.password).await.map_err(said)?;
    let (own, proven) = (&*state, &proven);
    let denied = state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = own.context.clock().now();
                let locked = store::deletion::lock(&mut tx, account).await?;
                // What was proven may be another's by now: deleted in another tab, and the e-mail registered anew.
                let own_email = proven.account.id == account;
                let locked = locked.filter(|locked| own_email && locked.password == proven.account.password);
                let Some(locked) = locked else {
                    return Err(TransactionError::Refused(said(Code::CredentialsInvalid.into())));
                };
                has_no_roles(&locked.roles.0).map_err(TransactionError::Refused)?;
                store::forget_attempts(&mut tx, &proven.who).await?;
                store::deletion::delete(&mut tx, account, now).await?;
                let denied = store::end_sessions(&mut tx, Which::AllOf(account), now).await?;
                outbox::append(&mut tx, &events(own, &denied)).await?;
                Ok(denied)
            })
        })
        .await?;
    deny_here(&state, denied);
    Ok(Done {})
}

/// Who acts for others is first relieved of it by an admin: a merchant must not lose its last account by a slip.
fn has_no_roles(roles: &[Role]) -> Result<(), Failure> {
    if roles.is_empty() {
        return Ok(());
    }
    let detail = "This account has roles. An admin takes them away first; then it can be deleted.";
    Err(Failure::new(Code::Forbidden, detail))
}

/// The e-mail is known here: only the password can be wrong.
fn said(failure: Failure) -> Failure {
    match failure.code {
        Code::CredentialsInvalid => Failure::new(Code::CredentialsInvalid, "This is not the account's password."),
        _ => failure,
    }
}
