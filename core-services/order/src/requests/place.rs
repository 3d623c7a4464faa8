//! `order.v1.{place,outcome}`: a checkout, and what became of it.

use bodega_domain::{
    Code, Failure,
    limits::PLACE_DEADLINE_MS,
    message::order::{Outcome, Place},
    order::OrderView,
};
use bodega_platform::{Call, DatabaseError};

use super::{after_first_word, check_key, load, owner_of, view};
use crate::{
    Orders,
    place::{PlaceJob, SURELY_ENDED_AFTER_S},
    store,
};

pub(crate) async fn place(orders: Orders, call: Call, mut request: Place) -> Result<OrderView, Failure> {
    let owner = owner_of(&call)?;
    check_key(&request.key)?;
    // An edge may be hasty but not patient: the deadline decides when inventory asks about a hold without an order.
    request.deadline = request.deadline.min(orders.context.clock().now().plus_ms(PLACE_DEADLINE_MS));
    let wait_ms = request.wait_ms;
    let job = PlaceJob { owner, request, context: call.context.clone() };
    let stored = orders.placer.submit(job).await??;
    let stored = after_first_word(&orders, stored, 0, wait_ms).await?;
    Ok(view(&orders, stored, true))
}

pub(crate) async fn outcome(orders: Orders, call: Call, request: Outcome) -> Result<OrderView, Failure> {
    let owner = owner_of(&call)?.to_string();
    check_key(&request.key)?;
    let pair = (owner, request.key);
    let pool = orders.context.postgres().pool();
    let mut known = store::place::known_keys(pool, std::slice::from_ref(&pair)).await.map_err(DatabaseError::from)?;
    match known.remove(&pair) {
        Some(known) => Ok(view(&orders, load(&orders, known.order).await?, true)),
        None => {
            let now = orders.context.clock().now();
            let over = request.deadline.is_some_and(|deadline| now > deadline.plus_s(SURELY_ENDED_AFTER_S));
            let mut failure = Failure::from(Code::CheckoutNotFound);
            failure.r#final = Some(over);
            if !over {
                failure = failure.retry_after_s(1);
            }
            Err(failure)
        }
    }
}
