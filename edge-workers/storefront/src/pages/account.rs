//! `/account`: sign in, register, or the account with its orders. A guest sees the orders of this browser.

use bodega_domain::{
    Code, Failure,
    failure::FieldFailure,
    limits::FORGET_LATEST_DAYS,
    message::{
        Page,
        identity::{AccountView, DeleteAccount, Register, SignIn, Update},
    },
    order::{OrderStatus, OrderView},
};
use http::StatusCode;
use maud::{Markup, html};

use super::{
    field::{AddressText, Field, field, wrong},
    frame::{Frame, known, page},
    price,
};
use crate::{
    accounts, orders,
    platform::{Platform, Response},
    read::{self, Form},
    respond::{self, Answer},
    session::{self, Shopper},
    visit::Visit,
};

/// Orders on the page.
const ORDERS: u32 = 20;
/// Where a deleted account leads to.
const GONE: &str = "/account?deleted=yes";

/// `GET /account`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let next_path = visit.query("next").unwrap_or_default();
    let typed = Typed { next_path: &next_path, ..Typed::default() };
    match session::current(visit).await {
        Ok(Some(shopper)) if shopper.account().is_some() => mine(visit, &shopper, None).await,
        Ok(guest) => Ok(door(visit, guest.as_ref(), None, typed).await),
        Err(failure) if failure.code == Code::SessionExpired => Ok(door(visit, None, Some(&failure), typed).await),
        Err(failure) => Err(failure),
    }
}

/// `POST /account`.
pub(crate) async fn post<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let form = read::form(visit)?;
    match form.get("action") {
        "sign_in" => {
            let wish = SignIn { email: form.get("email").to_owned(), password: form.raw("password").to_owned() };
            entered(visit, &form, accounts::sign_in(visit, wish).await.map(drop)).await
        }
        "register" => {
            let wish = Register {
                email: form.get("email").to_owned(),
                password: form.raw("password").to_owned(),
                name: form.get("name").to_owned(),
            };
            entered(visit, &form, accounts::register(visit, wish).await.map(drop)).await
        }
        "sign_out" => {
            // The cookies are gone whatever the core says; it is told as well as it can be.
            if let Err(failure) = accounts::sign_out(visit).await {
                visit.warn("sign_out", failure.code.as_str());
            }
            Ok(respond::see_other("/account"))
        }
        "update" => update(visit, &form).await,
        "delete" => delete(visit, &form).await,
        _ => Err(Failure::new(Code::BadRequest, "This form is not one of this page.")),
    }
}

/// A path of this shop to go on to; anything else is the account.
fn next(text: &str) -> &str {
    let local =
        text.starts_with('/') && !text.starts_with("//") && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if local { text } else { "/account" }
}

async fn entered<P: Platform>(visit: &Visit<'_, P>, form: &Form, result: Result<(), Failure>) -> Answer {
    match result {
        Ok(()) => Ok(respond::see_other(next(form.get("next")))),
        Err(failure) if failure.code.http_status() < 500 => {
            let guest = session::current(visit).await.unwrap_or(None);
            let typed = Typed { action: form.get("action"), email: form.get("email"), next_path: form.get("next") };
            Ok(door(visit, guest.as_ref(), Some(&failure), typed).await)
        }
        Err(failure) => Err(failure),
    }
}

async fn update<P: Platform>(visit: &Visit<'_, P>, form: &Form) -> Answer {
    let shopper = session::account(visit).await?;
    let address = AddressText::of_form(form);
    let has_address = !address.line1.is_empty() || !address.city.is_empty() || !address.postal_code.is_empty();
    let wish = Update {
        name: form.optional("account_name"),
        address: has_address.then(|| address.parse()).flatten(),
        ..Update::default()
    };
    match accounts::update(visit, &shopper, wish).await {
        Ok(_) => Ok(respond::see_other("/account")),
        Err(failure) if failure.code.http_status() < 500 => mine(visit, &shopper, Some(("update", &failure))).await,
        Err(failure) => Err(failure),
    }
}

async fn delete<P: Platform>(visit: &Visit<'_, P>, form: &Form) -> Answer {
    let shopper = session::account(visit).await?;
    match accounts::delete(visit, &shopper, DeleteAccount { password: form.raw("password").to_owned() }).await {
        Ok(()) => Ok(respond::see_other(GONE)),
        // What the person can mend, or has to know, beside the form; an ended session shows the door.
        Err(failure) if matches!(failure.code, Code::CredentialsInvalid | Code::Forbidden | Code::TooManyRequests) => {
            mine(visit, &shopper, Some(("delete", &failure))).await
        }
        Err(failure) => Err(failure),
    }
}

/// What was typed at the door before.
#[derive(Clone, Copy, Default)]
struct Typed<'a> {
    action: &'a str,
    email: &'a str,
    next_path: &'a str,
}

/// Sign in, or register; and the orders of this browser.
async fn door<P: Platform>(
    visit: &Visit<'_, P>,
    guest: Option<&Shopper>,
    refused: Option<&Failure>,
    typed: Typed<'_>,
) -> Response {
    let Typed { action, email, next_path } = typed;
    let own = match guest {
        Some(guest) => orders::list(visit, guest, None, Some(ORDERS)).await.ok(),
        None => None,
    };
    let none: &[FieldFailure] = &[];
    let fields = refused.map_or(none, |failure| failure.fields.as_slice());
    let of = |mine: &str| if action == mine { fields } else { none };
    let content = html! {
        div.heading { h1 { "Your corner" } p { "Sign in to find your basket and your orders on every device." } }
        @if visit.query("deleted").is_some() {
            div.notice role="status" { p { "Your account is deleted, and you are signed out everywhere." } }
        }
        @if let Some(failure) = refused { div.notice.bad role="alert" { p { (failure.detail) } } }
        div.doors-two {
            form.sheet method="post" action="/account" aria-labelledby="sign-in" {
                h2 #sign-in { "Sign in" }
                input type="hidden" name="action" value="sign_in";
                input type="hidden" name="next" value=(next_path);
                (entry("si-email", "email", "E-mail", "email", "username", email, wrong(of("sign_in"), "/email")))
                (entry("si-password", "password", "Password", "password", "current-password", "", wrong(of("sign_in"), "/password")))
                button.button.wide type="submit" { "Sign in" }
            }
            details.sheet open[action == "register"] {
                summary { "New here? Open an account" }
                form method="post" action="/account" {
                    input type="hidden" name="action" value="register";
                    input type="hidden" name="next" value=(next_path);
                    (entry("re-name", "name", "Name", "text", "name", "", wrong(of("register"), "/name")))
                    (entry("re-email", "email", "E-mail", "email", "email", email, wrong(of("register"), "/email")))
                    (entry("re-password", "password", "Password, at least 10 characters", "password", "new-password", "", wrong(of("register"), "/password")))
                    button.button.wide type="submit" { "Open an account" }
                }
            }
        }
        @if let Some(own) = own.as_ref().filter(|own| !own.items.is_empty()) { (history(own, "Ordered in this browser")) }
    };
    let frame = Frame { title: "Your corner", private: true, ..Frame::default() };
    let status =
        refused.and_then(|failure| StatusCode::from_u16(failure.code.http_status()).ok()).unwrap_or(StatusCode::OK);
    respond::page(status, page(visit, frame, known(visit), content))
}

fn entry(
    id: &str,
    name: &str,
    label: &str,
    kind: &str,
    autocomplete: &str,
    value: &str,
    wrong: Option<&str>,
) -> Markup {
    html! {
        div.field.wrong[wrong.is_some()] {
            label for=(id) { (label) }
            input id=(id) name=(name) type=(kind) autocomplete=(autocomplete) required maxlength="254" dir="auto"
                value=[(kind != "password").then_some(value)] aria-invalid=[wrong.map(|_| "true")];
            @if let Some(wrong) = wrong { p.why { (wrong) } }
        }
    }
}

/// The account with its orders. `refused` is the form that was, and why.
async fn mine<P: Platform>(visit: &Visit<'_, P>, shopper: &Shopper, refused: Option<(&str, &Failure)>) -> Answer {
    let account = accounts::show(visit, shopper).await?;
    let cursor = visit.query("cursor").filter(|cursor| !cursor.is_empty());
    // The account is worth showing also while the orders are away.
    let own = orders::list(visit, shopper, cursor, Some(ORDERS)).await;
    let content = html! {
        div.heading { h1 { "Hello, " bdi { (account.name) } } p dir="auto" { (account.email) } }
        @if let Some((_, failure)) = refused {
            div.notice.bad role="alert" { p { (failure.detail) } }
        }
        @match &own {
            Ok(own) => (history(own, "Your orders")),
            Err(_) => p.notice { "Your orders cannot be fetched just now. They are safe: look again in a moment." },
        }
        (settings(&account, refused.filter(|(form, _)| *form == "update").map(|(_, failure)| failure)))
        form method="post" action="/account" {
            button.button.quiet type="submit" name="action" value="sign_out" { "Sign out" }
        }
        (deletion(refused.is_some_and(|(form, _)| form == "delete")))
    };
    let frame = Frame { title: "Your corner", private: true, ..Frame::default() };
    let status = refused
        .and_then(|(_, failure)| StatusCode::from_u16(failure.code.http_status()).ok())
        .unwrap_or(StatusCode::OK);
    Ok(respond::page(status, page(visit, frame, known(visit), content)))
}

fn settings(account: &AccountView, refused: Option<&Failure>) -> Markup {
    let none: &[FieldFailure] = &[];
    let fields = refused.map_or(none, |failure| failure.fields.as_slice());
    let address = account.address.as_ref().map_or_else(AddressText::default, AddressText::of_address);
    html! {
        details.sheet open[refused.is_some()] {
            summary { "Name and address" }
            form method="post" action="/account" {
                input type="hidden" name="action" value="update";
                (field(Field { name: "account_name", label: "How we address you", kind: "text", autocomplete: "name", optional: false,
                    value: &account.name, wrong: wrong(fields, "/name") }))
                (address.fields("/address", fields))
                button.button type="submit" { "Keep this" }
            }
        }
    }
}

/// What goes and what stays, before the button.
fn deletion(open: bool) -> Markup {
    html! {
        details.sheet open[open] {
            summary { "Delete the account" }
            form method="post" action="/account" {
                input type="hidden" name="action" value="delete";
                p { "Your name, e-mail, address and password are deleted, and you are signed out on every device. This cannot be undone." }
                p {
                    "What you ordered with this account stays under its number, without your name, e-mail and address. An order that \
                     is still under way needs them until it has ended, for " (FORGET_LATEST_DAYS) " days at most. Print what you want to keep."
                }
                p.fine { "What you ordered without signing in, and is not in the list above, is not part of the account: ask the shop to forget it." }
                (entry("de-password", "password", "Password", "password", "current-password", "", None))
                button.button.quiet type="submit" { "Delete my account for good" }
            }
        }
    }
}

fn history(own: &Page<OrderView>, title: &str) -> Markup {
    html! {
        section aria-labelledby="orders" {
            h2 #orders { (title) }
            @if own.items.is_empty() { p.empty { "No orders yet." } }
            ul.orders {
                @for order in &own.items {
                    li { a href={ "/orders/" (order.id) } {
                        span.number { (order.number) }
                        span.when { (order.placed_at.to_string().split('T').next().unwrap_or_default()) }
                        span class={ "status " (order.status.as_str()) } { (in_words(order.status)) }
                        span.sum { (price::money(order.totals.total)) }
                    } }
                }
            }
            @if let Some(cursor) = &own.next_cursor {
                p.more { a.button.quiet href={ "/account?cursor=" (crate::checkout::path_segment(cursor)) } { "Earlier ones" } }
            }
        }
    }
}

fn in_words(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::AwaitingPayment => "not paid yet",
        OrderStatus::Paid => "paid",
        OrderStatus::InFulfilment => "on its way",
        OrderStatus::Delivered => "arrived",
        OrderStatus::Completed => "done",
        OrderStatus::Cancelled => "called off",
        OrderStatus::Expired => "ran out",
    }
}
