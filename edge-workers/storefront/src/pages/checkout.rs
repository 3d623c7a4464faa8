//! `/checkout`: where to, then what it costs and how it is paid, then the order. Every step works without a script.

use bodega_domain::{
    Code, Failure,
    address::Contact,
    failure::FieldFailure,
    message::{order::PaymentChoice, pricing::QuoteAnswer},
};
use http::StatusCode;
use maud::{Markup, html};

use super::{
    browse::form_key,
    field::{AddressText, Field, field, totals, wrong},
    frame::{Frame, known, page},
    price,
};
use crate::{
    accounts, cart,
    checkout::{self, PlaceIn, Placed, QuoteIn, path_segment},
    platform::{Platform, Response},
    read::{self, Form},
    respond::{self, Answer},
    session::{self, Shopper},
    visit::Visit,
};

/// What the simulated provider offers, and what a shopper reads.
pub(crate) const METHODS: &[(&str, &str)] = &[
    ("card_ok", "Card"),
    ("card_challenge", "Card that asks you to confirm"),
    ("card_refused", "Card that is refused"),
    ("card_slow", "Card whose bank takes its time"),
    ("card_duplicate", "Card whose bank repeats itself"),
    ("card_silent", "Card whose bank never answers"),
    ("card_capture_fails", "Card that fails at the end"),
    ("card_dispute", "Card whose owner disputes it later"),
    ("card_one_capture", "Card that can be charged once only"),
];

/// What was typed in the first step.
#[derive(Clone, Debug, Default)]
struct Typed {
    email: String,
    address: AddressText,
}

impl Typed {
    fn of_form(form: &Form) -> Self {
        Self { email: form.get("email").to_owned(), address: AddressText::of_form(form) }
    }

    fn contact(&self) -> Contact {
        Contact { email: self.email.clone(), name: self.address.name.clone() }
    }
}

/// `GET /checkout`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let shopper = session::shopper(visit).await?;
    let basket = cart::load(visit, Some(&shopper)).await;
    if basket.cart.is_empty() {
        return Ok(respond::see_other("/cart"));
    }
    let typed = prefilled(visit, &shopper).await;
    Ok(address_step(visit, &shopper, StatusCode::OK, &typed, None))
}

/// What the account knows already. A core that is away only means more typing.
async fn prefilled<P: Platform>(visit: &Visit<'_, P>, shopper: &Shopper) -> Typed {
    if shopper.account().is_none() {
        return Typed::default();
    }
    match accounts::show(visit, shopper).await {
        Ok(account) => Typed {
            email: account.email.clone(),
            address: account.address.as_ref().map_or_else(
                || AddressText { name: account.name.clone(), ..AddressText::default() },
                AddressText::of_address,
            ),
        },
        Err(_) => Typed::default(),
    }
}

/// `POST /checkout`: one of its two steps.
pub(crate) async fn post<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let form = read::form(visit)?;
    let shopper = session::shopper(visit).await?;
    let typed = Typed::of_form(&form);
    match form.get("action") {
        "address" => Ok(address_step(visit, &shopper, StatusCode::OK, &typed, None)),
        "quote" => review(visit, &shopper, &typed, None).await,
        "place" => place(visit, &shopper, &typed, &form).await,
        _ => Err(Failure::new(Code::BadRequest, "This form is not one of this page.")),
    }
}

fn status(failure: &Failure) -> StatusCode {
    StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn address_step<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    status: StatusCode,
    typed: &Typed,
    refused: Option<&Failure>,
) -> Response {
    let none: &[FieldFailure] = &[];
    let fields = refused.map_or(none, |failure| failure.fields.as_slice());
    let content = html! {
        (steps(1))
        div.heading { h1 { "Where does it go?" } }
        @if let Some(failure) = refused { (alert(failure)) }
        @if shopper.account().is_none() {
            p.fine { "You do not need an account. If you have one, " a href="/account?next=%2Fcheckout" { "sign in" } "." }
        }
        form.sheet method="post" action="/checkout" {
            input type="hidden" name="action" value="quote";
            (field(Field { name: "email", label: "E-mail, for the receipt", kind: "email", autocomplete: "email", optional: false,
                value: &typed.email, wrong: wrong(fields, "/contact/email") }))
            (typed.address.fields("/shipping_address", fields))
            button.button.wide type="submit" { "See what it costs" }
        }
    };
    let frame = Frame { title: "Where does it go?", private: true, ..Frame::default() };
    respond::page(status, page(visit, frame, known(visit), content))
}

/// The second step: what it costs, to the cent, and how it is paid.
async fn review<P: Platform>(
    visit: &Visit<'_, P>,
    shopper: &Shopper,
    typed: &Typed,
    refused: Option<&Failure>,
) -> Answer {
    let mut v = bodega_domain::failure::Validation::new();
    typed.contact().validate("/contact", &mut v);
    let address = typed.address.parse();
    v.check(address.is_some(), "/shipping_address/country", "required", "Choose a country.");
    if let Some(address) = &address {
        address.validate("/shipping_address", &mut v);
    }
    if let Err(failure) = v.finish() {
        return Ok(address_step(visit, shopper, status(&failure), typed, Some(&failure)));
    }
    let wish = QuoteIn { shipping_address: address, shipping_method: Some("standard".to_owned()), currency: None };
    match checkout::quote(visit, shopper, &wish).await {
        Ok(quote) => {
            let code = refused.map_or(StatusCode::OK, status);
            Ok(respond::page(code, review_page(visit, typed, &quote, refused)))
        }
        Err(failure) if failure.code == Code::CartEmpty => Ok(respond::see_other("/cart")),
        Err(failure) => Ok(address_step(visit, shopper, status(&failure), typed, Some(&failure))),
    }
}

fn review_page<P: Platform>(
    visit: &Visit<'_, P>,
    typed: &Typed,
    quote: &QuoteAnswer,
    refused: Option<&Failure>,
) -> Markup {
    let content = html! {
        (steps(2))
        div.heading { h1 { "Look it over" } }
        @if let Some(failure) = refused { (alert(failure)) }
        div.till {
            section.paper aria-label="What you get" {
                ul.items {
                    @for line in &quote.lines {
                        li { span.n { (line.quantity) "×" } span.t dir="auto" { (line.title) } span.p { (price::money(line.subtotal)) } }
                    }
                }
                @if !quote.discounts.is_empty() {
                    ul.givens {
                        @for discount in &quote.discounts {
                            li.given { span dir="auto" { (discount.label) } span { "−" (price::text(discount.amount)) } }
                        }
                    }
                }
                @for (code, why) in &quote.codes_refused {
                    p.fine { "The code " bdi { (code) } " did not count: " bdi { (why) } }
                }
                form.to method="post" action="/checkout" {
                    (typed.address.envelope())
                    p.fine dir="auto" { (typed.email) }
                    (typed.address.hidden())
                    input type="hidden" name="email" value=(typed.email);
                    button.link type="submit" name="action" value="address" { "Change where it goes" }
                }
            }
            aside.receipt aria-label="What it costs" {
                (totals(&quote.totals, false))
                form method="post" action="/checkout" {
                    input type="hidden" name="action" value="place";
                    input type="hidden" name="key" value=(form_key(visit));
                    input type="hidden" name="quote" value=(quote.token.as_deref().unwrap_or_default());
                    input type="hidden" name="email" value=(typed.email);
                    (typed.address.hidden())
                    (methods())
                    button.button.wide type="submit" { "Order and pay " (price::text(quote.totals.total)) }
                    p.fine { "This price holds for a quarter of an hour." }
                }
            }
        }
    };
    let frame = Frame { title: "Look it over", private: true, ..Frame::default() };
    page(visit, frame, known(visit), content)
}

/// Ways to pay. The first is the one for everybody; the others show what can go wrong.
pub(crate) fn methods() -> Markup {
    html! {
        fieldset.methods {
            legend { "Pay with" }
            @for (at, (method, label)) in METHODS.iter().enumerate().take(1) { (method_choice(method, label, at == 0)) }
            details {
                summary { "Test cards that misbehave" }
                @for (method, label) in METHODS.iter().skip(1) { (method_choice(method, label, false)) }
            }
        }
    }
}

fn method_choice(method: &str, label: &str, checked: bool) -> Markup {
    html! {
        label.method { input type="radio" name="method" value=(method) required checked[checked]; span { (label) } }
    }
}

async fn place<P: Platform>(visit: &Visit<'_, P>, shopper: &Shopper, typed: &Typed, form: &Form) -> Answer {
    let key = read::checked_key(form.get("key"))?;
    let Some(shipping_address) = typed.address.parse() else {
        return review(visit, shopper, typed, None).await;
    };
    let wish = PlaceIn {
        quote: form.get("quote").to_owned(),
        contact: typed.contact(),
        shipping_address,
        billing_address: None,
        payment: PaymentChoice { provider: "simulator".to_owned(), method: form.get("method").to_owned() },
    };
    match checkout::place(visit, shopper, &key, wish).await {
        Ok(Placed::Order(order)) => Ok(respond::see_other(&format!("/orders/{}", order.id))),
        Ok(Placed::Unknown { .. }) => Ok(respond::see_other(&format!("/checkout/{}", path_segment(&key)))),
        // Surely nothing was done: what was typed, the key and the quote are kept for another try.
        Err(failure) if failure.code.http_status() == 503 => Ok(again_page(visit, typed, form, &failure)),
        Err(failure) => refused(visit, shopper, typed, &failure).await,
    }
}

/// The same order once more, with the same key: for when the core could not be reached.
fn again_page<P: Platform>(visit: &Visit<'_, P>, typed: &Typed, form: &Form, failure: &Failure) -> Response {
    let content = html! {
        section.trouble {
            p.mark aria-hidden="true" { "Back in a minute" }
            h1 { "The till is away for a moment" }
            p { (failure.detail) }
            p { "Nothing was ordered and nothing was charged. What you typed is kept on this page." }
            form method="post" action="/checkout" {
                input type="hidden" name="action" value="place";
                @for name in ["key", "quote", "method", "email"] { input type="hidden" name=(name) value=(form.get(name)); }
                (typed.address.hidden())
                p.ways { button.button type="submit" { "Try again" } " " a.button.quiet href="/cart" { "Your basket" } }
            }
            p.fine { code { (failure.code) } " · request " code { (visit.id) } }
        }
    };
    let frame = Frame { title: "The till is away for a moment", private: true, ..Frame::default() };
    let mut response = respond::page(status(failure), page(visit, frame, known(visit), content));
    respond::set(&mut response.headers, "retry-after", &failure.retry_after_s.unwrap_or(2).to_string());
    response
}

/// An order that was refused: said where it can be put right, with a quote as of now.
async fn refused<P: Platform>(visit: &Visit<'_, P>, shopper: &Shopper, typed: &Typed, failure: &Failure) -> Answer {
    match failure.code {
        Code::QuoteUsed => {
            match failure.about.as_deref().filter(|about| about.parse::<bodega_domain::id::OrderId>().is_ok()) {
                Some(order) => Ok(respond::see_other(&format!("/orders/{order}"))),
                None => Err(failure.clone()),
            }
        }
        Code::QuoteExpired | Code::QuoteInvalid | Code::QuoteMismatch => {
            let said =
                Failure::new(failure.code, "The price was too old. This is the one of now: please look at it again.");
            review(visit, shopper, typed, Some(&said)).await
        }
        Code::OutOfStock | Code::PaymentMethodUnknown | Code::TooManyUnpaid => {
            review(visit, shopper, typed, Some(failure)).await
        }
        Code::ValidationFailed => Ok(address_step(visit, shopper, status(failure), typed, Some(failure))),
        _ => Err(failure.clone()),
    }
}

fn alert(failure: &Failure) -> Markup {
    // What is wrong with a field of the form is said at the field; the rest here.
    let at_field = |pointer: &str| pointer.starts_with("/contact/") || pointer.starts_with("/shipping_address/");
    let (marked, told): (Vec<_>, Vec<_>) = failure.fields.iter().partition(|field| at_field(&field.pointer));
    let about_goods = failure.code == Code::OutOfStock || told.iter().any(|field| field.pointer.starts_with("/lines"));
    html! {
        div.notice.bad role="alert" {
            @if failure.code != Code::ValidationFailed {
                p { strong { (failure.code.title()) "." } @if failure.detail != failure.code.title() { " " (failure.detail) } }
            }
            @if !marked.is_empty() { p { strong { "Please look at the marked fields." } } }
            @if !told.is_empty() { ul { @for field in told { li dir="auto" { (field.detail) } } } }
            @if about_goods { p { a href="/cart" { "Change the basket" } } }
            @if failure.code == Code::TooManyUnpaid { p { a href="/account" { "Look at your open orders" } } }
        }
    }
}

fn steps(now: u8) -> Markup {
    html! {
        ol.progress aria-label="Steps" {
            @for (at, name) in [(0_u8, "Basket"), (1, "Where to"), (2, "Look over and pay")] {
                li aria-current=[(at == now).then_some("step")] .done[at < now] { (name) }
            }
        }
    }
}

/// `GET /checkout/{key}`: for a checkout whose answer did not come, and for shoppers who come back from their bank.
pub(crate) async fn outcome<P: Platform>(visit: &Visit<'_, P>, key: &str) -> Answer {
    let key = read::checked_key(key)?;
    let shopper = session::shopper(visit).await?;
    let failure = match checkout::outcome(visit, &shopper, &key).await {
        Ok(order) => return Ok(respond::see_other(&format!("/orders/{}", order.id))),
        Err(failure) => failure,
    };
    let is_final = failure.code == Code::CheckoutNotFound && failure.r#final == Some(true);
    if failure.code != Code::CheckoutNotFound && failure.code.http_status() < 500 {
        return Err(failure);
    }
    let content = html! {
        section.trouble {
            @if is_final {
                p.mark aria-hidden="true" { "Nothing bought" }
                h1 { "No order came of it" }
                p { "That checkout did not become an order, and it cannot any more. Nothing was charged; the basket is as it was." }
                p.ways { a.button href="/checkout" { "To the till again" } " " a.button.quiet href="/cart" { "Your basket" } }
            } @else {
                p.mark aria-hidden="true" { "One moment" }
                h1 { "We do not know yet what became of it" }
                p { "Your order was sent, and the answer has not come back. You need not do anything: this page asks again by itself. Ordering a second time is not needed." }
                p.ways { a.button href="" { "Ask again" } " " a.button.quiet href="/account" { "Your orders" } }
            }
            p.fine { "Checkout " code { (key) } " · request " code { (visit.id) } }
        }
    };
    let title = if is_final { "No order came of it" } else { "One moment" };
    let again_s = (!is_final).then_some(2);
    let frame = Frame { title, private: true, again_s, ..Frame::default() };
    let code = if is_final { StatusCode::NOT_FOUND } else { StatusCode::ACCEPTED };
    Ok(respond::page(code, page(visit, frame, known(visit), content)))
}
