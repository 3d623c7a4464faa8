//! `order.v1.{open_link,renew_link,cancel_by_link,adopt}`: what a guest has in the hand instead of an account.

use bodega_domain::{
    Code, Failure,
    address::{email_digest, normal_email},
    id::OrderId,
    limits::{LINK_WRONG_EMAILS_MAX, LINK_WRONG_EMAILS_MIN, ORDER_LINK_DAYS},
    message::{
        identity::EmailDigest,
        order::{Adopt, Adopted, Cancel, CancelByLink, OpenLink, RenewLink},
    },
    order::OrderView,
    principal::{Owner, Principal},
    token::{Session, base64url, sha256, verify_session},
};
use bodega_platform::{Call, DatabaseError, TransactionError};

use super::{check_key, command, load, owner_of, view};
use crate::{
    Orders,
    store::{self, Entry, read::StoredOrder},
};

/// Bytes of a link's secret: 128 bits.
const LINK_SECRET_BYTES: usize = 16;

/// The secret of a guest's order link, as it is now.
pub(super) fn secret(orders: &Orders, order: &StoredOrder) -> Option<String> {
    let data = format!("{}/{}", order.id, order.link_generation);
    let digest = orders.context.config().keys.order_link.digest("order_link", data.as_bytes())?;
    digest.get(..LINK_SECRET_BYTES).map(base64url)
}

/// Compared as digests: how much of a guess is right shows in no duration.
fn same(one: &str, other: &str) -> bool {
    sha256(one.as_bytes()) == sha256(other.as_bytes())
}

/// Whether two e-mails are the same, in no time that says how much of a guess is right.
fn same_email(one: &str, other: &str) -> bool {
    same(&normal_email(one), &normal_email(other))
}

/// The order that a link opens. A wrong secret reads like no order at all.
async fn linked(orders: &Orders, order: OrderId, told: &str) -> Result<StoredOrder, Failure> {
    let stored = load(orders, order).await?;
    let expected = secret(orders, &stored).ok_or_else(Failure::internal)?;
    let until = stored.placed_at.plus_days(ORDER_LINK_DAYS);
    if !same(&expected, told) || orders.context.clock().now() >= until {
        return Err(Code::OrderNotFound.into());
    }
    Ok(stored)
}

pub(crate) async fn open_link(orders: Orders, _call: Call, request: OpenLink) -> Result<OrderView, Failure> {
    let stored = linked(&orders, request.order, &request.secret).await?;
    Ok(view(&orders, stored, false))
}

pub(crate) async fn renew_link(orders: Orders, call: Call, request: RenewLink) -> Result<OrderView, Failure> {
    let owner = owner_of(&call)?.to_string();
    let stored = load(&orders, request.order).await?;
    let own = stored.owner == owner;
    if !own && !call.principal.is_admin() {
        return Err(Code::OrderNotFound.into());
    }
    let (context, owner) = (&orders.context, &owner);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                store::link::renew(&mut tx, request.order).await?;
                let data = serde_json::json!({});
                let entry = Entry { order: request.order, what: "link_renewed", who: owner.clone(), data };
                store::append_history(&mut tx, &[entry], now).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    Ok(view(&orders, load(&orders, request.order).await?, own))
}

pub(crate) async fn cancel_by_link(orders: Orders, call: Call, request: CancelByLink) -> Result<OrderView, Failure> {
    check_key(&request.key)?;
    let stored = linked(&orders, request.order, &request.secret).await?;
    prove(&orders, request.order, &request.email).await?;
    // The link is whoever has it: the history cannot say more, and a key of one order is none of another.
    let who = format!("link:{}", request.order);
    let cancel = Cancel { order: stored.id, key: request.key, lines: Vec::new(), refund: None, reason: request.reason };
    Ok(view(&orders, command::call_off(&orders, &call, &cancel, &who).await?, false))
}

/// Whether this is the e-mail of the order. Each try is counted before it is looked at, so that many at once gain
/// nothing.
async fn prove(orders: &Orders, order: OrderId, told: &str) -> Result<(), Failure> {
    let (pool, now) = (orders.context.postgres().pool(), orders.context.clock().now());
    let since = now.plus_min(-LINK_WRONG_EMAILS_MIN);
    let tries = store::link::count_try(pool, order, now, since).await.map_err(DatabaseError::from)?;
    if tries > LINK_WRONG_EMAILS_MAX {
        let detail = "Too many e-mails that are not the order's. Try again in an hour, or ask the shop.";
        return Err(Failure::new(Code::TooManyRequests, detail));
    }
    let email = store::link::email(pool, order).await.map_err(DatabaseError::from)?;
    if !email.is_some_and(|email| same_email(&email, told)) {
        let detail = "Tell the e-mail that the order was placed with.";
        return Err(Failure::new(Code::ValidationFailed, detail).field(
            "/email",
            "wrong",
            "This is not the e-mail of the order.",
        ));
    }
    store::link::forget_tries(pool, order).await.map_err(DatabaseError::from)?;
    Ok(())
}

pub(crate) async fn adopt(orders: Orders, call: Call, request: Adopt) -> Result<Adopted, Failure> {
    let Principal::Account { account, .. } = call.principal else { return Err(Code::Unauthenticated.into()) };
    let (context, keys) = (&orders.context, &orders.context.config().keys);
    let Ok(Session::Guest(guest)) = verify_session(&request.guest, &keys.guest, &[], context.clock().now()) else {
        return Err(Failure::new(Code::BadRequest, "This is no guest's session."));
    };
    let guest = Owner::Guest(guest.session).to_string();
    let theirs = store::link::with_email(context.postgres().pool(), &guest).await.map_err(DatabaseError::from)?;
    if theirs.is_empty() {
        return Ok(Adopted { orders: Vec::new() });
    }
    let Some(own) = context.bus().request(&EmailDigest { account }, &call.context).await?.digest else {
        return Err(Code::SessionExpired.into());
    };
    let is_own = |email: &str| email_digest(&keys.guest, email).is_some_and(|digest| digest == own);
    let same: Vec<OrderId> = theirs.into_iter().filter(|(_, email)| is_own(email)).map(|(order, _)| order).collect();
    let (same, guest, owner) = (&same, &guest, &Owner::Account(account).to_string());
    let orders = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                let taken = store::link::take_over(&mut tx, same, guest, owner).await?;
                let entry = |order: &OrderId| {
                    let data = serde_json::json!({ "from": guest });
                    Entry { order: *order, what: "adopted", who: owner.clone(), data }
                };
                store::append_history(&mut tx, &taken.iter().map(entry).collect::<Vec<_>>(), now).await?;
                Ok::<_, TransactionError<Failure>>(taken)
            })
        })
        .await?;
    Ok(Adopted { orders })
}
