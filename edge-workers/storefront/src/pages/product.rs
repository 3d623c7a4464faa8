//! `/p/{product}`: one product with its kinds.

use bodega_domain::{
    Currency,
    catalog::{Band, ProductView, VariantView},
    limits::LINE_QUANTITY_MAX,
};
use maud::{Markup, html};

use super::{
    browse::{added, form_key},
    card,
    frame::{Frame, here, known, page},
    price,
};
use crate::{
    catalog,
    platform::Platform,
    respond::{self, Answer},
    visit::Visit,
};

/// `GET /p/{product}`.
pub(crate) async fn show<P: Platform>(visit: &Visit<'_, P>, slug: &str) -> Answer {
    let product = catalog::product(visit, slug).await?;
    // The way back is a courtesy: without it the page still sells.
    let categories = catalog::categories(visit).await.unwrap_or_default();
    let category = categories.iter().find(|category| category.slug == product.category);
    let known = known(visit);
    let (key, added, action) = (form_key(visit), added(visit), here(visit, &["added"]));
    let content = html! {
        (card::added_notice(added.as_deref()))
        @if let Some(category) = category {
            nav.crumbs aria-label="Way back" { a href={ "/c/" (category.slug) } dir="auto" { "← " (category.title) } }
        }
        article.product {
            div.tile.big { (card::picture(product.picture.as_ref(), true)) }
            div.about {
                h1 dir="auto" { (product.title) }
                p.seller { "Sold by " bdi { (product.merchant_name) } }
                p.story dir="auto" { (product.description) }
                (buy(&product, known.currency, &action, &key))
                (attributes(&product))
            }
        }
    };
    let frame =
        Frame { title: &product.title, description: Some(&product.description), currencies: true, ..Frame::default() };
    Ok(respond::page_read(page(visit, frame, known, content), &key))
}

fn can_buy(variant: &VariantView, currency: Currency) -> bool {
    variant.band != Band::Out && variant.prices.get(currency).is_some()
}

fn buy(product: &ProductView, currency: Currency, action: &str, key: &str) -> Markup {
    let first = product.variants.iter().position(|variant| can_buy(variant, currency));
    let single = product.variants.len() == 1;
    html! {
        form.choose method="post" action=(action) {
            input type="hidden" name="action" value="add";
            input type="hidden" name="key" value=(key);
            fieldset.kinds.single[single] {
                legend.vh[single] { "Which one?" }
                @for (at, variant) in product.variants.iter().enumerate() {
                    (kind(variant, currency, single, Some(at) == first))
                }
            }
            @if first.is_some() {
                div.take {
                    label { "How many" input type="number" name="quantity" value="1" min="1" max=(LINE_QUANTITY_MAX) inputmode="numeric"; }
                    button.button type="submit" { "Put in the basket" }
                }
            } @else {
                p.notice { "Nothing of this can be bought just now." }
            }
        }
    }
}

fn kind(variant: &VariantView, currency: Currency, single: bool, checked: bool) -> Markup {
    let buyable = can_buy(variant, currency);
    html! {
        label.kind {
            @if single {
                @if buyable { input type="hidden" name="sku" value=(variant.sku); }
            } @else {
                input type="radio" name="sku" value=(variant.sku) required checked[checked] disabled[!buyable];
            }
            span.name dir="auto" { @if !single { (variant.title) } }
            (price::tag(variant.prices.get(currency), false))
            (price::band(variant.band))
        }
    }
}

fn attributes(product: &ProductView) -> Markup {
    html! {
        @if !product.attributes.is_empty() {
            dl.facts {
                @for (name, value) in &product.attributes { div { dt dir="auto" { (name) } dd dir="auto" { (value) } } }
            }
        }
    }
}
