//! `payment.v1.{policies,set_policy}`: what merchants want done with money.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::MerchantId,
    message::{
        Page,
        payment::{Policies, Policy, SetPolicy},
    },
    principal::Principal,
};
use bodega_platform::{Call, DatabaseError};

use super::position;
use crate::{
    State,
    limits::{PAGE_MAX, POLICY_CHANGES_SHOWN_MAX},
    store,
};

fn own_or_all(principal: &Principal, merchant: MerchantId) -> Result<(), Failure> {
    if principal.acts_for(merchant) { Ok(()) } else { Err(Code::Forbidden.into()) }
}

pub(crate) async fn policies(state: Arc<State>, call: Call, request: Policies) -> Result<Page<Policy>, Failure> {
    let pool = state.context.postgres().pool();
    let after = position(request.cursor.as_deref())?;
    let (merchants, next_cursor) = match request.merchant {
        Some(merchant) => {
            own_or_all(&call.principal, merchant)?;
            (vec![merchant], None)
        }
        None if call.principal.acts_for_all() => {
            let found = store::policies::merchants(pool, after, PAGE_MAX).await.map_err(DatabaseError::from)?;
            let full = i64::try_from(found.len()).is_ok_and(|count| count == PAGE_MAX);
            let next = found.last().filter(|_| full).map(ToString::to_string);
            (found, next)
        }
        // As many as a token has room for.
        None => (call.principal.merchants().collect(), None),
    };
    let items = store::policies::of(pool, &merchants, POLICY_CHANGES_SHOWN_MAX).await.map_err(DatabaseError::from)?;
    Ok(Page { items, next_cursor })
}

/// The same again changes nothing. What waits or went back already stays as it is.
pub(crate) async fn set_policy(state: Arc<State>, call: Call, request: SetPolicy) -> Result<Policy, Failure> {
    own_or_all(&call.principal, request.merchant)?;
    let (pool, now, who) = (state.context.postgres().pool(), state.context.clock().now(), call.principal.who());
    let mut v = Validation::new();
    let said = request.late_money.is_some() || request.capture.is_some();
    v.check(said, "/late_money", "required", "Say what becomes of late money, or when money is taken.");
    v.finish()?;
    store::policies::set(pool, request.merchant, request.late_money, request.capture, &who, now)
        .await
        .map_err(DatabaseError::from)?;
    let mut found =
        store::policies::of(pool, &[request.merchant], POLICY_CHANGES_SHOWN_MAX).await.map_err(DatabaseError::from)?;
    found.pop().ok_or_else(Failure::internal)
}
