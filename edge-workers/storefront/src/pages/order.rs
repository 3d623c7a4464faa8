//! `/orders/{id}`: an order as its owner sees it, and `/o/{id}/{secret}`, which brings a guest there from elsewhere.

mod calling_off;
mod parcels;
mod pieces;
mod sending_back;

use bodega_domain::{
    Code, Failure, Timestamp,
    message::order::PaymentChoice,
    order::{Fulfilment, OrderLine, OrderStatus, OrderView, PaymentStatus, Returns},
};
use http::StatusCode;
use maud::{Markup, html};

use super::{
    browse::form_key,
    checkout::methods,
    field::totals,
    frame::{Frame, known, page},
    price,
};
use crate::{
    orders::{self, Shown},
    platform::Platform,
    read::{self, Form},
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// `GET /orders/{id}`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    let shown = orders::show(visit, orders::id(id)?).await?;
    Ok(render(visit, &shown, None))
}

/// `GET /o/{id}/{secret}`: the address with the secret is left behind at once, and told to nobody.
pub(crate) async fn open_link<P: Platform>(visit: &Visit<'_, P>, id: &str, secret: &str) -> Answer {
    let order = orders::open_link(visit, orders::id(id)?, secret.to_owned()).await?;
    orders::keep_link(visit, order.id, secret);
    let mut response = respond::see_other(&format!("/orders/{}", order.id));
    respond::set(&mut response.headers, "referrer-policy", "no-referrer");
    Ok(response)
}

/// `POST /orders/{id}`: pay again, cancel all of it or pieces, send back, make the link anew.
pub(crate) async fn post<P: Platform>(visit: &Visit<'_, P>, id: &str) -> Answer {
    let form = read::form(visit)?;
    let id = orders::id(id)?;
    match act(visit, id, &form).await {
        Ok(()) => Ok(respond::see_other(&format!("/orders/{id}"))),
        Err(failure) if failure.code.http_status() < 500 && failure.code != Code::OrderNotFound => {
            let shown = orders::show(visit, id).await?;
            Ok(render(visit, &shown, Some(&failure)))
        }
        Err(failure) => Err(failure),
    }
}

async fn act<P: Platform>(visit: &Visit<'_, P>, id: bodega_domain::id::OrderId, form: &Form) -> Result<(), Failure> {
    let key = read::checked_key(form.get("key"))?;
    if form.get("action") == "cancel_by_link" {
        orders::cancel_by_link(visit, id, key, form.get("email").to_owned(), form.optional("reason")).await?;
        return Ok(());
    }
    let shopper = session::current(visit).await?.ok_or_else(|| {
        Failure::new(Code::Unauthenticated, "Only the browser or the account that ordered can change the order.")
    })?;
    match form.get("action") {
        "pay" => {
            let payment = PaymentChoice { provider: "simulator".to_owned(), method: form.get("method").to_owned() };
            orders::pay(visit, &shopper, id, key, payment).await?;
        }
        "cancel" => {
            orders::cancel(visit, &shopper, id, key, None, form.optional("reason")).await?;
        }
        "cancel_lines" => {
            let lines = pieces::chosen(form, "off:")?;
            orders::cancel(visit, &shopper, id, key, Some(lines), form.optional("reason")).await?;
        }
        "renew_link" => {
            orders::renew_link(visit, &shopper, id).await?;
        }
        "return" => {
            let lines = pieces::chosen(form, "back:")?;
            orders::give_back(visit, &shopper, id, key, lines, form.optional("reason")).await?;
        }
        _ => return Err(Failure::new(Code::BadRequest, "This form is not one of this page.")),
    }
    Ok(())
}

fn render<P: Platform>(visit: &Visit<'_, P>, shown: &Shown, refused: Option<&Failure>) -> crate::platform::Response {
    let Shown { order, by_link } = shown;
    let (tone, headline, story) = headline(order);
    let title = format!("Order {}", order.number);
    let content = html! {
        div.heading { p.over { "Order " bdi { (order.number) } } h1 { (headline) } p { (story) } }
        @if let Some(failure) = refused {
            div.notice.bad role="alert" {
                p { strong { (failure.code.title()) ". " } @if failure.detail != failure.code.title() { (failure.detail) } }
                @for field in &failure.fields { p { (field.detail) } }
            }
        }
        (timeline(order, tone))
        (late_money(order))
        @if let Some(action) = order.payment.next_action.as_ref().filter(|_| !by_link) { (next_action(&action.url)) }
        div.till {
            div.stack {
                (parcels::section(order))
                (sending_back::section(order))
                section.paper aria-label="What you ordered" {
                    ul.items { @for line in &order.lines { li { (ordered(line)) } } }
                    (totals(&order.totals, false))
                }
            }
            aside.receipt aria-label="What you can do" {
                (facts(order))
                @if *by_link {
                    (calling_off::whole(visit, order, true))
                    p.fine { "You are looking through the order's link. Paying, cancelling single articles and sending back need the browser or the account that ordered." }
                } @else {
                    @if can_pay(order) { (pay(visit, order)) }
                    (calling_off::whole(visit, order, false))
                    (calling_off::some(visit, order))
                    (sending_back::some(visit, order))
                }
                @if let Some(link) = order.link.as_deref().filter(|link| !by_link && link.starts_with('/')) {
                    p.fine { "Keep " a href=(link) { "this link" } " to look at the order from another device. Whoever has it can see the order." }
                    (renew_link(visit, order))
                }
            }
        }
    };
    let waiting = matches!(order.payment.status, PaymentStatus::Pending | PaymentStatus::Processing)
        && order.status == OrderStatus::AwaitingPayment;
    let frame = Frame { title: &title, private: true, again_s: waiting.then_some(4), ..Frame::default() };
    let status =
        refused.and_then(|failure| StatusCode::from_u16(failure.code.http_status()).ok()).unwrap_or(StatusCode::OK);
    respond::page(status, page(visit, frame, known(visit), content))
}

fn headline(order: &OrderView) -> (&'static str, &'static str, &'static str) {
    match (order.status, order.payment.status) {
        (OrderStatus::AwaitingPayment, PaymentStatus::RequiresAction) => {
            ("wait", "Your bank wants a word", "Confirm the payment with your bank, then it is yours.")
        }
        (OrderStatus::AwaitingPayment, PaymentStatus::Refused) => (
            "bad",
            "The card was refused",
            "Nothing was charged. The goods are held for a little while: try another card.",
        ),
        (OrderStatus::AwaitingPayment, _) => (
            "wait",
            "Thank you. The payment is on its way",
            "The goods are put aside for you. This page looks again by itself.",
        ),
        // Charged it is only as the goods leave, so it is not called paid before.
        (OrderStatus::Paid, _) if order.payment.waiting().is_some() => (
            "good",
            "Thank you, it is confirmed",
            "Your bank has set the money aside. It is charged as the goods leave.",
        ),
        (OrderStatus::Paid, _) => ("good", "Thank you, it is paid", "We are packing it now."),
        (OrderStatus::InFulfilment, _) if order.fulfilment == Fulfilment::Partial => {
            ("good", "Part of it is on its way", "The rest follows.")
        }
        (OrderStatus::InFulfilment, _) => ("good", "It is on its way", "All of it has left the shop."),
        (OrderStatus::Delivered, _) => ("good", "It has arrived", "We hope it is as it should be."),
        (OrderStatus::Completed, _) => ("good", "All done", "Thank you for shopping on the corner."),
        (OrderStatus::Cancelled, _) => ("off", "This order was called off", "What was taken is given back."),
        (OrderStatus::Expired, _) => {
            ("off", "This order ran out", "It was not paid in time, so the goods went back on the shelf.")
        }
    }
}

fn timeline(order: &OrderView, tone: &str) -> Markup {
    let at = match order.status {
        OrderStatus::AwaitingPayment => 0,
        OrderStatus::Paid => 1,
        OrderStatus::InFulfilment => 2,
        OrderStatus::Delivered | OrderStatus::Completed => 3,
        OrderStatus::Cancelled | OrderStatus::Expired => return html! {},
    };
    html! {
        ol class={ "progress " (tone) } aria-label="Where the order is" {
            @for (step, name) in ["Placed", "Paid", "On its way", "Arrived"].into_iter().enumerate() {
                li aria-current=[(step == at).then_some("step")] .done[step < at] { (name) }
            }
        }
    }
}

/// Money that came when the order had ended: what becomes of it, or what was made of it.
fn late_money(order: &OrderView) -> Markup {
    html! {
        @if let Some(again) = order.reinstated_as {
            p.notice { "Your payment came late, and the shop has made the order again with it: " a href={ "/orders/" (again) } { "look at the new order" } "." }
        } @else if order.payment.held_until.is_some() {
            p.notice { "Your payment came after this order had ended. The shop is looking whether it can still send the goods; if not, all of it goes back to you within a day." }
        }
        @if let Some(ended) = order.reinstates {
            p.notice { "This order was made again for you from " a href={ "/orders/" (ended) } { "one that had ended" } ", with the payment that came late. There is nothing to pay." }
        }
    }
}

fn next_action(url: &str) -> Markup {
    html! {
        @if url.starts_with("https://") || url.starts_with("http://") {
            p.notice { a.button href=(url) rel="noreferrer" { "Go to your bank and confirm" } }
            p.fine { "Back from your bank already? Its word can take a moment: " a href="" { "look again" } "." }
        }
    }
}

/// A line with what became of it.
fn ordered(line: &OrderLine) -> Markup {
    let so_far = parcels::so_far(line);
    html! {
        span.n { (line.quantity) "×" }
        div.t { p dir="auto" { (line.title) } @if !so_far.is_empty() { p.fine { (so_far) } } }
        span.p { (price::money(line.subtotal)) }
    }
}

/// What is in a parcel or a return.
fn goods(order: &OrderView, lines: &[(String, u32)]) -> Markup {
    html! { ul { @for (sku, pieces) in lines { li { (pieces) "× " bdi { (title(order, sku)) } } } } }
}

fn title<'a>(order: &'a OrderView, sku: &'a str) -> &'a str {
    order.lines.iter().find(|line| line.sku == sku).map_or(sku, |line| &line.title)
}

fn day(at: Timestamp) -> Markup {
    let exact = at.to_string();
    let day = exact.split('T').next().unwrap_or(&exact);
    html! { time datetime=(exact) { (day) } }
}

fn facts(order: &OrderView) -> Markup {
    let payment = match order.payment.status {
        _ if order.payment.held_until.is_some() => "came too late",
        PaymentStatus::Pending => "not answered yet",
        PaymentStatus::RequiresAction => "waits for you",
        PaymentStatus::Processing => "being worked on",
        PaymentStatus::Authorised => "reserved",
        PaymentStatus::PartiallyCaptured => "partly paid",
        PaymentStatus::Captured => "paid",
        PaymentStatus::Refused => "refused",
        PaymentStatus::Cancelled => "called off",
        PaymentStatus::PartiallyRefunded => "partly given back",
        PaymentStatus::Refunded => "given back",
        PaymentStatus::Disputed => "disputed",
        PaymentStatus::Unknown => "the bank does not say",
    };
    html! {
        dl.facts {
            div { dt { "Ordered" } dd { (day(order.placed_at)) } }
            div { dt { "Payment" } dd { (payment) } }
            @if let Some(waiting) = order.payment.waiting() { div { dt { "Taken when sent" } dd { (price::money(waiting)) } } }
            @if order.payment.amounts.refunded.amount() > 0 { div { dt { "Given back" } dd { (price::money(order.payment.amounts.refunded)) } } }
            @if order.returns != Returns::None {
                div { dt { "Return" } dd { @match order.returns { Returns::Requested => "asked for", Returns::Partial => "part of it", _ => "all of it" } } }
            }
        }
    }
}

fn can_pay(order: &OrderView) -> bool {
    order.status == OrderStatus::AwaitingPayment
        && matches!(
            order.payment.status,
            PaymentStatus::Refused | PaymentStatus::RequiresAction | PaymentStatus::Cancelled
        )
}

fn form<P: Platform>(visit: &Visit<'_, P>, order: &OrderView, action: &str, inside: Markup) -> Markup {
    html! {
        form method="post" action={ "/orders/" (order.id) } {
            input type="hidden" name="action" value=(action);
            input type="hidden" name="key" value=(form_key(visit));
            (inside)
        }
    }
}

fn pay<P: Platform>(visit: &Visit<'_, P>, order: &OrderView) -> Markup {
    let inside = html! {
        (methods())
        button.button.wide type="submit" { "Pay " (price::text(order.totals.total)) }
    };
    form(visit, order, "pay", inside)
}

fn renew_link<P: Platform>(visit: &Visit<'_, P>, order: &OrderView) -> Markup {
    let inside = html! {
        p.fine { "The order gets another link, and the one from before opens nothing any more." }
        button.button.quiet type="submit" { "Make a new link" }
    };
    html! { details.deed { summary { "Somebody else has the link" } (form(visit, order, "renew_link", inside)) } }
}
