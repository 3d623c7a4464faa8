//! `inventory.v1.{policies,set_policy}`: what merchants allow of their stock.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::MerchantId,
    message::{
        Page,
        inventory::{Policies, Policy, SetPolicy},
    },
};
use bodega_platform::{Call, Context, DatabaseError};

use super::read::reads_of;
use crate::store;

/// Items of a page.
const PAGE_MAX: i64 = 50;
/// Last changes of a merchant's policy that are shown.
const CHANGES_SHOWN_MAX: i64 = 12;

pub(crate) async fn policies(inventory: Context, call: Call, request: Policies) -> Result<Page<Policy>, Failure> {
    let pool = inventory.postgres().pool();
    let wrong = |_| Failure::new(Code::BadRequest, "This cursor is not one of ours.");
    let after = request.cursor.as_deref().map(str::parse::<MerchantId>).transpose().map_err(wrong)?;
    let mut merchants = reads_of(&call.principal, request.merchant)?;
    let mut next_cursor = None;
    if merchants.is_empty() {
        merchants = store::policies::merchants(pool, after, PAGE_MAX).await.map_err(DatabaseError::from)?;
        let full = i64::try_from(merchants.len()).is_ok_and(|count| count == PAGE_MAX);
        next_cursor = merchants.last().filter(|_| full).map(ToString::to_string);
    }
    let items = store::policies::of(pool, &merchants, CHANGES_SHOWN_MAX).await.map_err(DatabaseError::from)?;
    Ok(Page { items, next_cursor })
}

/// The same again changes nothing. It counts for orders that are under way too.
pub(crate) async fn set_policy(inventory: Context, call: Call, request: SetPolicy) -> Result<Policy, Failure> {
    reads_of(&call.principal, Some(request.merchant))?;
    let mut v = Validation::new();
    let fits = request.unproven_share_max.is_none_or(|percent| percent <= 100);
    v.check(fits, "/unproven_share_max", "out_of_range", "0 to 100 percent, or nothing for all of it.");
    v.finish()?;
    let (pool, now, who) = (inventory.postgres().pool(), inventory.clock().now(), call.principal.who());
    let share = request.unproven_share_max;
    store::policies::set(pool, request.merchant, share, &who, now).await.map_err(DatabaseError::from)?;
    let found = store::policies::of(pool, &[request.merchant], CHANGES_SHOWN_MAX).await.map_err(DatabaseError::from)?;
    found.into_iter().next().ok_or_else(Failure::internal)
}
