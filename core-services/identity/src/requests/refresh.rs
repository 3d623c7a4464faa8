//! `identity.v1.refresh`: tokens go in rounds, and one whose round is over ends its session.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure, Timestamp,
    id::SessionId,
    message::identity::{Refresh, SessionOpened},
};
use bodega_platform::{Call, TransactionError, Tx, outbox};

use super::events;
use crate::{
    State,
    session::{Issue, Presented, presented, refresh_hash},
    store::{self, AccountRow, Which},
};

pub(crate) async fn refresh(state: Arc<State>, _call: Call, request: Refresh) -> Result<SessionOpened, Failure> {
    let Some(hash) = refresh_hash(&request.refresh) else { return Err(Code::SessionExpired.into()) };
    let (own, hash) = (&*state, &hash);
    let traded = state.context.postgres().transaction(|tx| Box::pin(trade(tx, own, hash))).await?;
    match traded {
        Some((issue, account)) => issue.opened(&state, account),
        None => Err(Code::SessionExpired.into()),
    }
}

/// `None` when the token does not count. One that comes again ends its session, and that is committed.
async fn trade(
    mut tx: Tx<'_, '_>,
    state: &State,
    hash: &[u8; 32],
) -> Result<Option<(Issue, AccountRow)>, TransactionError<Failure>> {
    let Some(row) = store::lock_refresh(&mut tx, hash).await? else { return Ok(None) };
    let issue = Issue::of(state, SessionId::from_u128(row.session.as_u128()));
    if row.ended.is_some() || Timestamp::from(row.refresh_expires) <= issue.now {
        return Ok(None);
    }
    let round = match presented(&row, issue.now) {
        Presented::Next(round) | Presented::Overlapping(round) => round,
        Presented::Reused => {
            tracing::warn!(session = %issue.session, "a refresh token came again; its session ends");
            let denied = store::end_sessions(&mut tx, Which::One(row.session), issue.now).await?;
            outbox::append(&mut tx, &events(state, &denied)).await?;
            return Ok(None);
        }
    };
    let Some(account) = store::by_id(&mut *tx, row.account).await? else { return Ok(None) };
    store::carry_on(&mut tx, &issue, round).await?;
    Ok(Some((issue, account)))
}
