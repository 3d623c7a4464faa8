//! A product on a shelf.

use bodega_domain::{
    Currency,
    catalog::{Band, Picture, ProductCard},
};
use maud::{Markup, html};

use super::price;

/// Where a picture is.
pub(crate) fn source(picture: &Picture) -> String {
    format!("/media/{}.{}", picture.hash, picture.ext)
}

/// A picture, or a blank tile of the same size.
pub(crate) fn picture(picture: Option<&Picture>, eager: bool) -> Markup {
    html! {
        @match picture {
            Some(picture) => img src=(source(picture)) alt=(picture.alt) width="256" height="256" decoding="async"
                loading=(if eager { "eager" } else { "lazy" });,
            None => span.blank aria-hidden="true" {},
        }
    }
}

/// What the forms of a shelf need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf<'a> {
    /// Price list.
    pub(crate) currency: Currency,
    /// Where forms go: the page itself.
    pub(crate) action: &'a str,
    /// Hidden idempotency key of the page.
    pub(crate) key: &'a str,
    /// The SKU that was just added.
    pub(crate) added: Option<&'a str>,
}

/// Products side by side.
pub(crate) fn shelf(cards: &[ProductCard], shelf: Shelf<'_>) -> Markup {
    html! {
        ul.shelf {
            @for (at, card) in cards.iter().enumerate() { li { (product(card, shelf, at < 4)) } }
        }
    }
}

fn product(card: &ProductCard, shelf: Shelf<'_>, eager: bool) -> Markup {
    let address = format!("/p/{}", card.slug);
    let several = card.variants > 1;
    html! {
        article.card #{ "at-" (card.slug) } {
            a.tile href=(address) tabindex="-1" aria-hidden="true" { (picture(card.picture.as_ref(), eager)) }
            h3 { a href=(address) dir="auto" { (card.title) } }
            p.seller dir="auto" { (card.merchant_name) }
            div.buy {
                (price::tag(card.prices_from.get(shelf.currency), several))
                @match (&card.only_sku, card.band) {
                    (_, Band::Out) => (price::band(Band::Out)),
                    (Some(sku), _) => (add(sku, card, shelf)),
                    (None, _) => a.add.to-kinds href=(address) aria-label={ "Choose a kind of " (card.title) } { "›" },
                }
            }
            @if card.band == Band::Low { (price::band(Band::Low)) }
        }
    }
}

fn add(sku: &str, card: &ProductCard, shelf: Shelf<'_>) -> Markup {
    let just_added = shelf.added == Some(sku);
    html! {
        form method="post" action=(shelf.action) {
            input type="hidden" name="action" value="add";
            input type="hidden" name="key" value=(shelf.key);
            input type="hidden" name="at" value={ "at-" (card.slug) };
            button.add.done[just_added] type="submit" name="sku" value=(sku) aria-label={ "Add " (card.title) " to the basket" } {
                @if just_added { "✓" } @else { "+" }
            }
        }
    }
}

/// Told after something went into the basket.
pub(crate) fn added_notice(added: Option<&str>) -> Markup {
    html! {
        @if added.is_some() {
            p.notice.good role="status" { "It is in your basket. " a href="/cart" { "Look into the basket" } }
        }
    }
}
