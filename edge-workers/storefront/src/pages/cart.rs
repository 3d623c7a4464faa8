//! `/cart`: the basket.

use bodega_domain::Failure;
use maud::{Markup, html};

use super::{
    browse, card,
    field::totals,
    frame::{Frame, Known, page},
    price,
};
use crate::{
    cart::{
        self, Basket, priced,
        priced::{Line, PricedCart},
    },
    platform::Platform,
    read::{self, Form},
    respond::{self, Answer},
    session,
    visit::Visit,
};

/// `GET /cart`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let shopper = session::for_cart(visit).await?;
    let basket = cart::load(visit, shopper.as_ref()).await;
    render(visit, &basket, None).await
}

/// `POST /cart`: quantities, codes, and what every page can do.
pub(crate) async fn post<P: Platform>(visit: &Visit<'_, P>) -> Answer {
    let form = read::form(visit)?;
    if matches!(form.get("action"), "add" | "currency") {
        return browse::act(visit, &form).await;
    }
    match change(visit, &form).await {
        Ok(()) => Ok(respond::see_other("/cart")),
        // What was refused is said on the basket itself.
        Err(failure) if failure.code.http_status() < 500 && failure.code.http_status() != 401 => {
            let shopper = session::for_cart(visit).await?;
            let basket = cart::load(visit, shopper.as_ref()).await;
            render(visit, &basket, Some(&failure)).await
        }
        Err(failure) => Err(failure),
    }
}

async fn change<P: Platform>(visit: &Visit<'_, P>, form: &Form) -> Result<(), Failure> {
    let shopper = session::for_cart(visit).await?;
    let shopper = shopper.as_ref();
    match form.get("action") {
        "line" => {
            let no = priced::line_no(visit, form.get("sku")).await?;
            let step: i64 = form.get("step").parse().unwrap_or(0);
            let typed = i64::from(browse::quantity(form.get("quantity"))?);
            let quantity = if form.get("step") == "remove" { 0 } else { typed.saturating_add(step).max(0) };
            let quantity = u32::try_from(quantity).unwrap_or(u32::MAX);
            cart::change(visit, shopper, |cart, tick| cart.set(no, quantity, tick)).await?;
        }
        "code" => {
            let code = form.get("code").to_owned();
            cart::change(visit, shopper, |cart, tick| cart.add_code(&code, tick)).await?;
        }
        "uncode" => {
            let code = form.get("code").to_owned();
            let removed = cart::change(visit, shopper, |cart, tick| {
                cart.remove_code(&code, tick);
                Ok(())
            });
            removed.await?;
        }
        _ => return Err(Failure::new(bodega_domain::Code::BadRequest, "This form is not one of this page.")),
    }
    Ok(())
}

async fn render<P: Platform>(visit: &Visit<'_, P>, basket: &Basket, refused: Option<&Failure>) -> Answer {
    let priced = priced::price(visit, basket).await?;
    let known = Known { currency: basket.currency(), units: basket.units() };
    let content = html! {
        div.heading { h1 { "Your basket" } }
        @if let Some(failure) = refused {
            div.notice.bad role="alert" { p { (failure.detail) @for field in &failure.fields { " " (field.detail) } } }
        }
        @if priced.lines.is_empty() { (empty()) } @else { (full(&priced)) }
    };
    let frame = Frame { title: "Your basket", currencies: true, private: true, ..Frame::default() };
    let status = refused.map_or(200, |failure| failure.code.http_status());
    let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::OK);
    Ok(respond::page(status, page(visit, frame, known, content)))
}

fn empty() -> Markup {
    html! {
        section.empty {
            p { "Nothing in it yet." }
            p { a.button href="/" { "Look along the shelves" } }
        }
    }
}

fn full(cart: &PricedCart) -> Markup {
    html! {
        div.till {
            ul.lines { @for item in &cart.lines { li { (line(item)) } } }
            aside.receipt aria-label="What it costs" {
                @if !cart.discounts.is_empty() {
                    ul.givens {
                        @for discount in &cart.discounts {
                            li.given { span dir="auto" { (discount.label) } span { "−" (price::text(discount.amount)) } }
                        }
                    }
                }
                (totals(&cart.totals, true))
                @if cart.has_unavailable() {
                    p.notice { "Something in the basket is not to be had just now. Remove it to go on." }
                }
                a.button.wide href="/checkout" { "To the till" }
                p.fine { "An estimate of this shop window. The exact sum, with delivery and tax, comes before you pay." }
                (codes(cart))
                @if !cart.synced {
                    p.fine role="status" { "This basket is safe here. Your other devices will see it a little later." }
                }
            }
        }
    }
}

fn line(line: &Line) -> Markup {
    html! {
        article.line.gone[!line.available] {
            div.tile { (card::picture(line.picture.as_ref(), true)) }
            div.what {
                h2 dir="auto" {
                    @match &line.product { Some(slug) => a href={ "/p/" (slug) } { (line.title) }, None => (line.title) }
                }
                p { (price::money(line.unit_price)) " each " @if line.band != bodega_domain::catalog::Band::InStock { (price::band(line.band)) } }
            }
            form.steps method="post" action="/cart" {
                input type="hidden" name="action" value="line";
                input type="hidden" name="sku" value=(line.sku);
                button.vh type="submit" name="step" value="0" tabindex="-1" { "Take this many" }
                button type="submit" name="step" value="-1" aria-label={ "One " (line.title) " less" } { "−" }
                input type="number" name="quantity" value=(line.quantity) min="0" max="999" inputmode="numeric" aria-label={ "How many " (line.title) };
                button type="submit" name="step" value="1" aria-label={ "One " (line.title) " more" } { "+" }
                button.remove type="submit" name="step" value="remove" aria-label={ "Remove " (line.title) } { "Remove" }
            }
            p.sum { (price::money(line.total)) }
        }
    }
}

fn codes(cart: &PricedCart) -> Markup {
    html! {
        div.codes {
            @for code in &cart.codes {
                form method="post" action="/cart" {
                    input type="hidden" name="action" value="uncode";
                    input type="hidden" name="code" value=(code);
                    span.code dir="auto" { (code) }
                    button.link type="submit" aria-label={ "Remove the code " (code) } { "remove" }
                }
            }
            form.code-in method="post" action="/cart" {
                input type="hidden" name="action" value="code";
                label for="code" { "A code?" }
                input #code name="code" maxlength="40" autocomplete="off" autocapitalize="characters" dir="auto";
                button.button.quiet type="submit" { "Add" }
            }
        }
    }
}
