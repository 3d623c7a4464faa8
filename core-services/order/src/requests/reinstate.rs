//! `order.v1.reinstate`: an order that ended before its money came is made again with that money.
//!
//! It is a new order with the same content and a fresh hold, placed by the same steps as a checkout. Its payment takes the
//! late money over; is that gone meanwhile, the new order ends unpaid.

use bodega_domain::{
    Code, Failure, Money,
    id::OrderId,
    limits::PLACE_DEADLINE_MS,
    message::{order::Reinstate, payment::OpenAsk},
    order::{OrderStatus, OrderView, PaymentAmounts, PaymentStatus, PaymentView},
    principal::Principal,
    quote::QuoteContent,
    token::sha256,
};
use bodega_platform::{Call, DatabaseError};

use super::{command::until, load, sees_all, visible};
use crate::{
    Orders, content, place,
    store::{
        self,
        place::{Again, NewOrder},
        read::StoredOrder,
        reinstate::Delivery,
    },
};

pub(crate) async fn reinstate(orders: Orders, call: Call, request: Reinstate) -> Result<OrderView, Failure> {
    let stored = load(&orders, request.order).await?;
    let whole = may(&orders, &call.principal, &stored)?;
    let id = match stored.reinstated_as {
        Some(id) => id,
        None => make_again(&orders, &call, whole).await?,
    };
    let decided = |order: &StoredOrder| order.status != OrderStatus::AwaitingPayment;
    let again = until(&orders, id, decided).await?;
    visible(&orders, &call.principal, again).ok_or_else(|| Code::OrderNotFound.into())
}

/// Admins may, and merchants to whom all of it belongs. Who sees nothing of it hears that there is none.
fn may<'s>(orders: &Orders, principal: &Principal, stored: &'s StoredOrder) -> Result<&'s StoredOrder, Failure> {
    if stored.content.lines.iter().all(|line| principal.acts_for(line.merchant)) {
        return Ok(stored);
    }
    let sees = sees_all(principal, stored) || visible(orders, principal, stored.clone()).is_some();
    Err(if sees { Code::Forbidden } else { Code::OrderNotFound }.into())
}

async fn make_again(orders: &Orders, call: &Call, stored: &StoredOrder) -> Result<OrderId, Failure> {
    let (context, order) = (&orders.context, stored.id);
    let (pool, now) = (context.postgres().pool(), context.clock().now());
    let conflict = |detail: &str| Failure::new(Code::OrderStateConflict, detail).about(order.to_string());
    let ended = matches!(stored.status, OrderStatus::Expired | OrderStatus::Cancelled);
    if !ended || stored.payment.held_until.is_none_or(|until| now >= until) {
        return Err(conflict("No money of this order waits for it to be made again."));
    }
    let delivery = store::reinstate::delivery(pool, order).await.map_err(DatabaseError::from)?;
    let Some(delivery) = delivery else {
        return Err(conflict(
            "Who ordered has been forgotten, so that nothing can be sent. The money goes back by itself.",
        ));
    };
    let before = store::saga::open_asks(pool, &[order]).await.map_err(DatabaseError::from)?.pop();
    let before = before.ok_or_else(Failure::internal)?;
    let who = call.principal.who();
    let fresh = OrderId::from_u128(context.entropy().uuid(now).as_u128());
    let id = store::reinstate::plan(pool, order, fresh, &who, now).await.map_err(DatabaseError::from)?;
    let again = again(stored, before, delivery, id, who)?;
    place::place_again(&orders.sagas, &call.context, again, now.plus_ms(PLACE_DEADLINE_MS)).await
}

/// The same content under another id. Nobody's limits count: it is not the buyer who asks, and the money is there.
fn again(
    stored: &StoredOrder,
    before: OpenAsk,
    delivery: Delivery,
    id: OrderId,
    who: String,
) -> Result<NewOrder, Failure> {
    let owner = stored.owner.parse().map_err(|_| Failure::internal())?;
    let content = QuoteContent { order_id: id, owner, ..stored.content.clone() };
    let key = format!("reinstate:{}", stored.id);
    let open =
        OpenAsk { order: id, owner, attempt_key: key.clone(), return_url: None, takes_over: Some(stored.id), ..before };
    let zero = Money::zero(content.currency);
    // What was given back when the order ended is used after all, also where somebody else has used it up meanwhile.
    let unlimited = |quota: content::Quota| content::Quota { limit: i64::MAX, ..quota };
    Ok(NewOrder {
        fingerprint: sha256(key.as_bytes()).to_vec(),
        key,
        open,
        payment: PaymentView {
            status: PaymentStatus::Pending,
            amounts: PaymentAmounts { authorised: zero, captured: zero, refunded: zero },
            next_action: None,
            held_until: None,
            at_shipment: Vec::new(),
            capture_before: None,
        },
        unpaid: Vec::new(),
        attempts: Vec::new(),
        budget: content::budget_quotas(&content).into_iter().map(unlimited).collect(),
        contact: delivery.contact,
        shipping: delivery.shipping,
        billing: delivery.billing,
        again: Some(Again { of: stored.id, who }),
        content,
    })
}
