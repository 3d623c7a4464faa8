//! `order.v1.{forget,forget_contact}`: who has ordered is forgotten, the order stays.

use bodega_domain::{
    Failure,
    limits::FORGET_LATEST_DAYS,
    message::{
        Done,
        order::{ContactForgotten, Forget, ForgetContact},
    },
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError};

use super::load;
use crate::{
    Orders,
    forget::empty,
    store::{self, Entry, forget::Which},
};

/// What an account has ordered. Answered when all of it is remembered: from then on it is surely done.
pub(crate) async fn forget(orders: Orders, _call: Call, request: Forget) -> Result<Done, Failure> {
    let owner = request.owner.to_string();
    remember(&orders.context, Which::Of(&owner), &owner).await?;
    empty(&orders.context, Which::Of(&owner)).await?;
    Ok(Done {})
}

/// What a guest has ordered, who has no account to delete.
pub(crate) async fn forget_contact(
    orders: Orders,
    call: Call,
    request: ForgetContact,
) -> Result<ContactForgotten, Failure> {
    let order = load(&orders, request.order).await?.id;
    let who = call.principal.who();
    remember(&orders.context, Which::One(order), &who).await?;
    empty(&orders.context, Which::One(order)).await?;
    let waits = store::forget::waits(orders.context.postgres().pool(), order).await.map_err(DatabaseError::from)?;
    Ok(ContactForgotten { emptied: !waits })
}

/// Remembered before anything is emptied, so that what is not done here is done by whoever looks next.
async fn remember(context: &Context, which: Which<'_>, who: &str) -> Result<(), Failure> {
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                let latest = now.plus_days(FORGET_LATEST_DAYS);
                let news = store::forget::remember(&mut tx, which, who, now, latest).await?;
                let entry = |order| {
                    let data = serde_json::json!({});
                    Entry { order, what: "forget_asked", who: who.to_owned(), data }
                };
                let entries: Vec<Entry> = news.into_iter().map(entry).collect();
                store::append_history(&mut tx, &entries, now).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    Ok(())
}
