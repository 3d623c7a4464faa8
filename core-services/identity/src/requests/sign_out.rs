//! `identity.v1.sign_out`

use std::sync::Arc;

use bodega_domain::{
    Failure,
    message::{Done, identity::SignOut},
};
use bodega_platform::{Call, TransactionError, outbox};

use super::{asker, events};
use crate::{
    State,
    store::{self, Which},
};

pub(crate) async fn sign_out(state: Arc<State>, call: Call, _: SignOut) -> Result<Done, Failure> {
    let (_, session) = asker(&call)?;
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
    // This process need not wait for its own event.
    for (session, until) in denied {
        state.context.revocations().revoke(session, until, state.context.clock().now());
    }
    Ok(Done {})
}
