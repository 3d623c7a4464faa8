//! Products: the list, and one of them with a form for its texts and prices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bodega_domain::{
    Code, Currency, Failure,
    catalog::ProductView,
    message::{
        catalog::{Get, List, PriceLines, ProductIn, Upsert, VariantIn},
        inventory::Levels,
    },
};
use maud::{Markup, html};

use super::{
    form::wrong,
    layout::Page,
    table::{facts, pager, table},
    visit::{Done, Visit},
    words::{amount, badge, code, price},
};

const PRODUCTS_PER_PAGE: u32 = 40;

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    if visit.is_admin() { list_all(&visit).await } else { list_own(&visit).await }
}

async fn list_all(visit: &Visit) -> Result<Page, Failure> {
    let page = visit.ask(List { cursor: visit.cursor(), limit: Some(PRODUCTS_PER_PAGE), ..List::default() }).await?;
    let rows = page
        .items
        .iter()
        .map(|card| {
            let prices: Vec<_> = card.prices_from.0.iter().filter_map(|(code, minor)| written(code, *minor)).collect();
            vec![
                html! { a href=(visit.at(format_args!("/products/{}", card.slug))) { (card.title) } },
                html! { (card.merchant_name) },
                html! { (card.category) },
                html! { span.num { (card.variants) } },
                // Each on one line, but not all: together they are wider than a phone.
                html! { span { @for price in &prices { span.num { (price) } " " } } },
                badge(&code(card.band)),
            ]
        })
        .collect();
    let heads = ["Product", "Merchant", "Category", "Variants", "From", "Stock"];
    let body = html! {
        (table("In the order of the shop", &heads, rows, "No products yet."))
        (pager(&visit.at("/products"), "", visit.cursor().is_some(), page.next_cursor.as_deref()))
    };
    Ok(Page::new("Products", body))
}

/// A merchant's own goods, found through their stock, which the inventory keeps by merchant.
async fn list_own(visit: &Visit) -> Result<Page, Failure> {
    let levels =
        visit.ask(Levels { cursor: visit.cursor(), limit: Some(PRODUCTS_PER_PAGE), ..Levels::default() }).await?;
    let numbers: BTreeSet<_> = levels.items.iter().map(|level| level.sku_no).collect();
    let names = PriceLines { sku_nos: numbers.into_iter().collect(), currency: Currency::EUR };
    let mut skus = visit.ask_as_service(names).await?.skus;
    skus.retain(|sku| visit.principal.merchants().any(|merchant| merchant == sku.merchant));
    skus.sort_by(|a, b| (&a.title, &a.sku).cmp(&(&b.title, &b.sku)));
    let rows = skus
        .iter()
        .map(|sku| {
            let prices: Vec<_> = sku.prices.0.iter().filter_map(|(code, minor)| written(code, *minor)).collect();
            vec![
                html! { a href=(visit.at(format_args!("/products/{}", sku.product))) { (sku.title) } },
                html! { code { (sku.sku) } },
                html! { (sku.category) },
                html! { span { @for price in &prices { span.num { (price) } " " } } },
                badge(&code(sku.band)),
            ]
        })
        .collect();
    let body = html! {
        (table("Your articles that have a place in stock", &["Article", "SKU", "Category", "Price", "Stock"], rows,
            "You have no articles in stock yet."))
        (pager(&visit.at("/products"), "", visit.cursor().is_some(), levels.next_cursor.as_deref()))
    };
    Ok(Page::new("Products", body))
}

fn written(currency: &str, minor: i64) -> Option<String> {
    Some(format!("{} {currency}", amount(minor, currency.parse().ok()?)))
}

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let product = visit.ask(Get { slug: visit.part("slug")? }).await?;
    let is_own = visit.is_admin() || visit.principal.merchants().any(|merchant| merchant == product.merchant);
    let body = html! {
        div.columns {
            section aria-labelledby="about" {
                h2 id="about" { "What it is" }
                @if let Some(picture) = &product.picture {
                    img.picture src={ "/media/" (picture.hash) "." (picture.ext) } alt=(picture.alt) width="160" height="160";
                }
                (facts(vec![
                    ("Merchant", html! { (product.merchant_name) }),
                    ("Category", html! { (product.category) }),
                    ("Address", html! { code { "/p/" (product.slug) } }),
                ]))
                @if !product.attributes.is_empty() {
                    (facts(product.attributes.iter().map(|(name, value)| (name.as_str(), html! { (value) })).collect()))
                }
                @if !is_own { p { (product.description) } }
            }
            section aria-labelledby="edit" {
                @if is_own { h2 id="edit" { "Texts and prices" } (edit_form(&visit, &product)) }
                @else {
                    h2 id="edit" { "Variants" }
                    (variants(&product))
                    p.fine { "Another merchant sells it, so it can only be read here." }
                }
            }
        }
    };
    Ok(Page::new(product.title.clone(), body))
}

fn variants(product: &ProductView) -> Markup {
    let rows = product
        .variants
        .iter()
        .map(|variant| {
            let prices: Vec<_> = variant.prices.0.iter().filter_map(|(code, minor)| written(code, *minor)).collect();
            vec![
                html! { code { (variant.sku) } },
                html! { (variant.title) },
                html! { span.num { (prices.join(", ")) } },
            ]
        })
        .collect();
    table("What can be bought", &["SKU", "Variant", "Price"], rows, "No variants.")
}

fn edit_form(visit: &Visit, product: &ProductView) -> Markup {
    html! {
        form.sheet method="post" action=(visit.at(format_args!("/products/{}", product.slug))) {
            input type="hidden" name="seen" value=(product.version.unwrap_or_default());
            div.field {
                label for="title" { "Title" }
                input id="title" name="title" required maxlength="200" value=(product.title);
            }
            div.field {
                label for="description" { "Description" }
                textarea id="description" name="description" rows="5" { (product.description) }
            }
            @for (index, variant) in product.variants.iter().enumerate() {
                fieldset {
                    legend { "Price of " @if variant.title.is_empty() { (variant.sku) } @else { (variant.title) } }
                    div.prices {
                        @for (code, minor) in &variant.prices.0 {
                            @if let Ok(currency) = code.parse::<Currency>() {
                                @let name = format!("price.{index}.{code}");
                                div.field {
                                    label for=(name) { (code) }
                                    input id=(name) name=(name) required inputmode="decimal" value=(amount(*minor, currency));
                                }
                            }
                        }
                    }
                }
            }
            p.fine { "Orders keep the price that they were quoted." }
            button.button type="submit" { "Save" }
        }
    }
}

pub(crate) async fn change(visit: Arc<Visit>) -> Result<Done, Failure> {
    let product = visit.ask(Get { slug: visit.part("slug")? }).await?;
    let seen: i64 = visit.form.parsed("seen", "Open the product again.")?;
    // The form's fields are those of the version it was made from. What changes from here on, the catalogue notices.
    if product.version != Some(seen) {
        return Err(Code::PreconditionFailed.into());
    }
    let mut variants = Vec::with_capacity(product.variants.len());
    for (index, variant) in product.variants.into_iter().enumerate() {
        let mut prices = BTreeMap::new();
        for code in variant.prices.0.into_keys() {
            let name = format!("price.{index}.{code}");
            let minor = code.parse().ok().and_then(|currency| price(visit.form.text(&name), currency));
            prices.insert(code, minor.ok_or_else(|| wrong(&name, "A price is a number such as 3.50."))?);
        }
        variants.push(VariantIn { sku: variant.sku, title: variant.title, options: variant.options, prices });
    }
    let changed = ProductIn {
        title: visit.form.text("title").trim().to_owned(),
        // Browsers send line ends as CR LF.
        description: visit.form.text("description").replace("\r\n", "\n").trim().to_owned(),
        slug: product.slug,
        expected_version: Some(seen),
        category: product.category,
        merchant: product.merchant,
        tax_class: product.tax_class.ok_or_else(Failure::internal)?,
        attributes: product.attributes,
        picture: product.picture,
        variants,
    };
    let (to, said) = (visit.at(format_args!("/products/{}", changed.slug)), format!("“{}” is saved.", changed.title));
    visit.ask(Upsert { products: vec![changed], ..Upsert::default() }).await?;
    Ok(Done { to, said })
}
