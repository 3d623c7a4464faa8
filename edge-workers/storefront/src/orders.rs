//! The shopper's own orders, and the one that a guest's secret link opens elsewhere.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::OrderId,
    limits::{CART_LINES_MAX, ORDER_LINK_DAYS, PLACE_WAIT_MS},
    message::{
        Page,
        order::{
            Adopt, Cancel, CancelByLink, Get, List, OpenLink, Pay, PaymentChoice, RenewLink, Return, ReturnAnswer,
        },
    },
    order::OrderView,
};

use crate::{
    checkout::validate_payment,
    core_link::{AskError, ask},
    platform::Platform,
    session::{self, Shopper},
    visit::Visit,
};

/// Milliseconds that reading orders may take.
const READ_MS: i64 = 3_000;
/// Milliseconds that a command on an order may take.
const COMMAND_MS: i64 = 8_000;
/// The order that a secret link has opened in this browser: `id.secret`.
const LINK_COOKIE: &str = "bodega_order";
const AGAIN: &str =
    "It was sent and nobody answered in time. Send it again with the same Idempotency-Key: it is done once.";

/// An order's id out of an address.
pub(crate) fn id(text: &str) -> Result<OrderId, Failure> {
    text.parse().map_err(|_| not_found())
}

fn not_found() -> Failure {
    Failure::new(Code::OrderNotFound, "There is no such order, or it is not yours.")
}

/// The session's orders, newest first.
pub(crate) async fn list<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    cursor: Option<String>,
    limit: Option<u32>,
) -> Result<Page<OrderView>, Failure> {
    let request = List { cursor, limit, ..List::default() };
    ask(visit, Some(&shopper.token), &request, READ_MS).await.map_err(AskError::of_read)
}

/// An order, and what let the shopper see it.
pub(crate) struct Shown {
    /// The order.
    pub(crate) order: OrderView,
    /// A secret link alone: enough to look, and with the order's e-mail to call it off.
    pub(crate) by_link: bool,
}

/// One of the session's orders, or the one that a link has opened here.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, order: OrderId) -> Result<Shown, Failure> {
    let linked = link(visit, order);
    let shopper = match session::current(visit).await {
        Ok(shopper) => shopper,
        Err(_) if linked.is_some() => None,
        Err(failure) => return Err(failure),
    };
    let own = match &shopper {
        Some(shopper) => ask(visit, Some(&shopper.token), &Get { order }, READ_MS).await.map_err(AskError::of_read),
        None => Err(not_found()),
    };
    match (own, linked) {
        (Err(failure), Some(secret)) if failure.code == Code::OrderNotFound => {
            let order = open_link(visit, order, secret).await?;
            Ok(Shown { order, by_link: true })
        }
        (own, _) => Ok(Shown { order: own?, by_link: false }),
    }
}

fn link<P: Platform>(visit: &Visit<'_, P>, order: OrderId) -> Option<String> {
    let id = order.to_string();
    visit.cookies(LINK_COOKIE).find_map(|value| {
        let (linked, secret) = value.split_once('.')?;
        (linked == id).then(|| secret.to_owned())
    })
}

/// Opens an order with the secret of its link.
pub(crate) async fn open_link<P: Platform>(
    visit: &Visit<'_, P>,
    order: OrderId,
    secret: String,
) -> Result<OrderView, Failure> {
    let readable = (8..=128).contains(&secret.len())
        && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !readable {
        return Err(not_found());
    }
    ask(visit, None, &OpenLink { order, secret }, READ_MS).await.map_err(AskError::of_read)
}

/// Keeps an opened link in this browser.
pub(crate) fn keep_link<P: Platform>(visit: &Visit<'_, P>, order: OrderId, secret: &str) {
    visit.set_cookie(LINK_COOKIE, &format!("{order}.{secret}"), ORDER_LINK_DAYS.saturating_mul(24 * 60 * 60));
}

/// Pays again.
pub(crate) async fn pay<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    order: OrderId,
    key: String,
    payment: PaymentChoice,
) -> Result<OrderView, Failure> {
    let mut v = Validation::new();
    validate_payment(&payment, &mut v);
    v.finish()?;
    let return_url = Some(format!("{}/orders/{order}", visit.origin()));
    let request = Pay { order, key, payment, wait_ms: PLACE_WAIT_MS, return_url };
    ask(visit, Some(&shopper.token), &request, COMMAND_MS).await.map_err(|error| error.of_command(AGAIN))
}

/// Cancels: the whole order, or these pieces of it.
pub(crate) async fn cancel<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    order: OrderId,
    key: String,
    lines: Option<Vec<(String, u32)>>,
    reason: Option<String>,
) -> Result<OrderView, Failure> {
    // To the order service no line is all of them: whoever named none meant none.
    let lines = lines.map(checked_lines).transpose()?.unwrap_or_default();
    let reason = checked_reason(reason)?;
    let request = Cancel { order, key, lines, refund: None, reason };
    ask(visit, Some(&shopper.token), &request, COMMAND_MS).await.map_err(|error| error.of_command(AGAIN))
}

/// Cancels through the link that this browser has opened: the e-mail of the order is the proof.
pub(crate) async fn cancel_by_link<P: Platform>(
    visit: &Visit<'_, P>,
    order: OrderId,
    key: String,
    email: String,
    reason: Option<String>,
) -> Result<OrderView, Failure> {
    let secret = link(visit, order).ok_or_else(not_found)?;
    let reason = checked_reason(reason)?;
    let mut v = Validation::new();
    v.check(bodega_domain::address::is_email(email.trim()), "/email", "email", "This is not an e-mail address.");
    v.finish()?;
    let request = CancelByLink { order, secret, email, key, reason };
    ask(visit, None, &request, COMMAND_MS).await.map_err(|error| error.of_command(AGAIN))
}

/// Makes the order's link anew, so that one that was seen by somebody else opens nothing any more.
pub(crate) async fn renew_link<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    order: OrderId,
) -> Result<OrderView, Failure> {
    ask(visit, Some(&shopper.token), &RenewLink { order }, COMMAND_MS)
        .await
        .map_err(|error| error.of_command("The link may be new or not: open the order again to see it."))
}

/// What this browser has ordered as a guest with the account's e-mail becomes the account's. It can be told twice, so
/// a lost answer is asked for again; what fails then is logged, and the order stays with its link.
pub(crate) async fn adopt<P: Platform>(visit: &Visit<'_, P>, token: &str, guest: String) {
    let adopt = Adopt { guest };
    for _ in 0..2 {
        match ask(visit, Some(token), &adopt, READ_MS).await {
            Ok(_) => return,
            Err(error) => visit.warn("adopt", error.of_read().code.as_str()),
        }
    }
}

/// Sends goods back.
pub(crate) async fn give_back<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    order: OrderId,
    key: String,
    lines: Vec<(String, u32)>,
    reason: Option<String>,
) -> Result<ReturnAnswer, Failure> {
    let lines = checked_lines(lines)?;
    let reason = checked_reason(reason)?;
    let request = Return { order, key, lines, reason };
    ask(visit, Some(&shopper.token), &request, COMMAND_MS).await.map_err(|error| error.of_command(AGAIN))
}

/// Whether there are so many pieces, the order service knows.
fn checked_lines(lines: Vec<(String, u32)>) -> Result<Vec<(String, u32)>, Failure> {
    let mut v = Validation::new();
    v.check(!lines.is_empty(), "/lines", "required", "Say which articles, and how many of each.");
    v.check(lines.len() <= CART_LINES_MAX, "/lines", "too_long", "No order has so many lines.");
    for (at, (sku, quantity)) in lines.iter().enumerate().take(CART_LINES_MAX) {
        v.check(crate::catalog::is_sku(sku), &format!("/lines/{at}/sku"), "unknown", "No article has this code.");
        v.check(*quantity > 0, &format!("/lines/{at}/quantity"), "out_of_range", "At least one.");
    }
    v.finish()?;
    Ok(lines)
}

fn checked_reason(reason: Option<String>) -> Result<Option<String>, Failure> {
    let reason = reason.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut v = Validation::new();
    bodega_domain::address::line(&mut v, "/reason", reason.as_deref().unwrap_or(""), false);
    v.finish()?;
    Ok(reason)
}
