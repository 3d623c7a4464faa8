//! `identity.v1.sign_out`: ends a session for whoever has an access token that counts, or any of its refresh tokens.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::{Done, identity::SignOut},
};
use bodega_platform::{Call, TransactionError, outbox};

use super::{asker, database, deny_here, events};
use crate::{
    State,
    session::refresh_hash,
    store::{self, Which},
};

pub(crate) async fn sign_out(state: Arc<State>, call: Call, request: SignOut) -> Result<Done, Failure> {
    let session = match request.refresh {
        None => asker(&call)?.1,
        Some(token) => {
            // Of whichever round: whoever has it may have it from the owner only, and an ended session harms nobody.
            let Some(hash) = refresh_hash(&token) else { return Ok(Done {}) };
            let known = store::session_of_refresh(state.context.postgres().pool(), &hash).await.map_err(database)?;
            // One that is not known is over already, which is what was asked for.
            let Some(session) = known else { return Ok(Done {}) };
            session
        }
    };
    let own = &*state;
    let denied = state
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = own.context.clock().now();
                let denied = store::end_sessions(&mut tx, Which::One(session), now).await?;
                outbox::append(&mut tx, &events(own, &denied)).await?;
                Ok::<_, TransactionError<Failure>>(denied)
            })
        })
        .await?;
    deny_here(&state, denied);
    Ok(Done {})
}
