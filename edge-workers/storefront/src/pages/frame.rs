//! What every page has around its content: head, awning, search, basket, footer.

use bodega_domain::Currency;
use maud::{DOCTYPE, Markup, html};

use super::{assets, price};
use crate::{
    cart::{self, CURRENCIES, DEFAULT_CURRENCY},
    platform::Platform,
    visit::Visit,
};

/// What differs from page to page around the content.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frame<'a> {
    /// The title, without the shop's name.
    pub(crate) title: &'a str,
    /// For search engines and previews.
    pub(crate) description: Option<&'a str>,
    /// What is in the search field.
    pub(crate) search: &'a str,
    /// Whether the currency can be changed here: on pages whose address takes the form.
    pub(crate) currencies: bool,
    /// Whether robots should stay away: everything about one shopper.
    pub(crate) private: bool,
    /// After so many seconds the browser asks for the page again.
    pub(crate) again_s: Option<u32>,
}

/// What the page knows of the shopper without asking anybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Price list.
    pub(crate) currency: Currency,
    /// Units in the basket.
    pub(crate) units: u32,
}

/// Out of the cookie alone.
pub(crate) fn known<P: Platform>(visit: &Visit<'_, P>) -> Known {
    cart::peek(visit).map_or(Known { currency: DEFAULT_CURRENCY, units: 0 }, |basket| Known {
        currency: basket.currency(),
        units: basket.units(),
    })
}

/// The address of this page with its query: where its forms go.
pub(crate) fn here<P: Platform>(visit: &Visit<'_, P>, without: &[&str]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(visit.request.query.as_bytes()) {
        if !without.contains(&name.as_ref()) {
            query.append_pair(&name, &value);
        }
    }
    let query = query.finish();
    let path = &visit.request.path;
    if query.is_empty() { path.clone() } else { format!("{path}?{query}") }
}

/// A whole page.
pub(crate) fn page<P: Platform>(visit: &Visit<'_, P>, frame: Frame<'_>, known: Known, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (frame.title) " · Bodega" }
                @if let Some(description) = frame.description { meta name="description" content=(description); }
                @if frame.private { meta name="robots" content="noindex"; }
                @if let Some(seconds) = frame.again_s { meta http-equiv="refresh" content=(seconds); }
                link rel="stylesheet" href=(assets::stylesheet());
                link rel="icon" href=(assets::icon()) type="image/svg+xml";
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                (header(frame.search, known.units))
                main #content tabindex="-1" { (content) }
                (footer(visit, frame.currencies, known.currency))
            }
        }
    }
}

fn header(search: &str, units: u32) -> Markup {
    let basket = match units {
        0 => "Basket, empty".to_owned(),
        1 => "Basket, 1 thing".to_owned(),
        n => format!("Basket, {n} things"),
    };
    html! {
        header.top {
            div.awning aria-hidden="true" {}
            div.bar {
                a.sign href="/" { "Bodega" }
                form.search action="/search" method="get" role="search" {
                    label.vh for="q" { "Search the shop" }
                    input #q type="search" name="q" value=(search) placeholder="Bread, soap, birthday candles…"
                        maxlength="200" enterkeyhint="search" autocomplete="off" dir="auto";
                    button.icon type="submit" aria-label="Search" { (glass()) }
                }
                nav.me aria-label="Yours" {
                    a href="/account" { (person()) span { "Account" } }
                    a.basket href="/cart" aria-label=(basket) {
                        (basket_icon())
                        span { "Basket" }
                        @if units > 0 { b.count { (if units > 99 { "99+".to_owned() } else { units.to_string() }) } }
                    }
                }
            }
        }
    }
}

fn footer<P: Platform>(visit: &Visit<'_, P>, currencies: bool, current: Currency) -> Markup {
    html! {
        footer.foot {
            @if currencies {
                form.currencies method="post" action=(here(visit, &["added"])) {
                    input type="hidden" name="action" value="currency";
                    fieldset {
                        legend { "Prices in" }
                        @for currency in CURRENCIES {
                            button type="submit" name="currency" value=(currency) aria-pressed=(currency == current) {
                                (price::sign(currency)) " " (currency)
                            }
                        }
                    }
                }
            }
            p { "Bodega, the shop on every corner. This is a demonstration: nothing is delivered and no money moves." }
            nav aria-label="More" {
                a href="/c/all" { "Everything we have" }
                a href="/account" { "Your orders" }
            }
        }
    }
}

fn glass() -> Markup {
    html! {
        svg viewBox="0 0 24 24" aria-hidden="true" { circle cx="10.5" cy="10.5" r="6.5" {} path d="M15.5 15.5 21 21" {} }
    }
}

fn person() -> Markup {
    html! {
        svg viewBox="0 0 24 24" aria-hidden="true" { circle cx="12" cy="8" r="4" {} path d="M4 21c.6-4.600 3.600-7 8-7s7.400 2.400 8 7" {} }
    }
}

fn basket_icon() -> Markup {
    html! {
        svg viewBox="0 0 24 24" aria-hidden="true" { path d="M3 10h18l-2 10H5L3 10Z" {} path d="m8 10 3-6m5 6-3-6M9.500 13.500v3.500m5-3.500v3.500" {} }
    }
}
