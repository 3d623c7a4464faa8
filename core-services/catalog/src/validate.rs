//! What merchants may write. Every wrong field is named, so that an import learns of all of them at once.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Failure,
    address::line,
    catalog::Picture,
    failure::Validation,
    limits::MONEY_AMOUNT_MAX,
    message::catalog::{CategoryIn, Merchant, ProductIn, Upsert, VariantIn},
    money::Currency,
};

use crate::{
    limits::{
        ATTRIBUTES_MAX, CATEGORIES_MAX, DESCRIPTION_BYTES_MAX, OPTIONS_MAX, PRICES_MAX, SKU_BYTES_MAX, SLUG_BYTES_MAX,
        UPSERT_MERCHANTS_MAX, UPSERT_PRODUCTS_MAX, VARIANTS_MAX,
    },
    store::listing::ALL,
};

/// Wrong fields that one answer names: an import of a thousand wrong products still fits into a message.
pub(crate) const WRONG_FIELDS_MAX: usize = 200;

/// Lower-case letters, digits and single dashes inside.
pub(crate) fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= SLUG_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// Letters, digits, dots, dashes and underscores.
fn is_sku(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= SKU_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Checks everything that can be said without the database.
///
/// # Errors
/// `validation_failed` naming the fields.
pub(crate) fn upsert(request: &Upsert) -> Result<(), Failure> {
    let mut v = Validation::new();
    let too_many = |v: &mut Validation, at: &str, count: usize, max: usize| {
        v.check(count <= max, at, "too_many", &format!("At most {max} at once."));
    };
    too_many(&mut v, "/merchants", request.merchants.len(), UPSERT_MERCHANTS_MAX);
    too_many(&mut v, "/categories", request.categories.len(), CATEGORIES_MAX);
    too_many(&mut v, "/products", request.products.len(), UPSERT_PRODUCTS_MAX);
    finish(v)?;
    let mut v = Validation::new();
    merchants(&mut v, &request.merchants);
    categories(&mut v, &request.categories);
    let (mut slugs, mut skus) = (BTreeSet::new(), BTreeSet::new());
    for (index, product) in request.products.iter().enumerate() {
        let at = format!("/products/{index}");
        let fresh = slugs.insert(product.slug.as_str());
        v.check(fresh, &format!("{at}/slug"), "duplicate", "This slug is in the request twice.");
        self::product(&mut v, &at, product);
        for (place, variant) in product.variants.iter().enumerate() {
            let fresh = skus.insert(variant.sku.as_str());
            v.check(fresh, &format!("{at}/variants/{place}/sku"), "duplicate", "This SKU is in the request twice.");
        }
    }
    finish(v)
}

/// As [`Validation::finish`], with a bounded answer.
pub(crate) fn finish(v: Validation) -> Result<(), Failure> {
    v.finish().map_err(|mut failure| {
        failure.fields.truncate(WRONG_FIELDS_MAX);
        failure
    })
}

fn merchants(v: &mut Validation, merchants: &[Merchant]) {
    let (mut ids, mut slugs) = (BTreeSet::new(), BTreeSet::new());
    for (index, merchant) in merchants.iter().enumerate() {
        let at = format!("/merchants/{index}");
        slug(v, &format!("{at}/slug"), &merchant.slug);
        line(v, &format!("{at}/name"), &merchant.name, true);
        let fresh = ids.insert(merchant.id) && slugs.insert(merchant.slug.as_str());
        v.check(fresh, &at, "duplicate", "This merchant is in the request twice.");
    }
}

fn categories(v: &mut Validation, categories: &[CategoryIn]) {
    let mut slugs = BTreeSet::new();
    for (index, category) in categories.iter().enumerate() {
        let at = format!("/categories/{index}");
        slug(v, &format!("{at}/slug"), &category.slug);
        v.check(category.slug != ALL, &format!("{at}/slug"), "reserved", "`all` is the listing of everything.");
        v.check(slugs.insert(&category.slug), &format!("{at}/slug"), "duplicate", "This slug is in the request twice.");
        line(v, &format!("{at}/title"), &category.title, true);
        text(v, &format!("{at}/description"), &category.description);
    }
}

fn slug(v: &mut Validation, at: &str, text: &str) {
    v.check(is_slug(text), at, "slug", "Lower-case letters, digits and single dashes, at most 80.");
}

fn text(v: &mut Validation, at: &str, text: &str) {
    let printable = !text.chars().any(|c| c.is_control() && c != '\n');
    v.check(text.len() <= DESCRIPTION_BYTES_MAX, at, "too_long", "At most 10,000 bytes.");
    v.check(printable, at, "control_character", "Control characters are not allowed.");
}

fn product(v: &mut Validation, at: &str, product: &ProductIn) {
    slug(v, &format!("{at}/slug"), &product.slug);
    line(v, &format!("{at}/title"), &product.title, true);
    text(v, &format!("{at}/description"), &product.description);
    slug(v, &format!("{at}/category"), &product.category);
    let attributes = format!("{at}/attributes");
    v.check(product.attributes.len() <= ATTRIBUTES_MAX, &attributes, "too_many", "At most 50 attributes.");
    for (index, (name, value)) in product.attributes.iter().enumerate() {
        line(v, &format!("{attributes}/{index}/0"), name, true);
        line(v, &format!("{attributes}/{index}/1"), value, false);
    }
    if let Some(picture) = &product.picture {
        self::picture(v, &format!("{at}/picture"), picture);
    }
    let variants = format!("{at}/variants");
    v.check(!product.variants.is_empty(), &variants, "required", "A product has at least one variant.");
    v.check(product.variants.len() <= VARIANTS_MAX, &variants, "too_many", "At most 100 variants.");
    for (place, variant) in product.variants.iter().enumerate() {
        self::variant(v, &format!("{variants}/{place}"), variant);
    }
}

fn picture(v: &mut Validation, at: &str, picture: &Picture) {
    let hash = picture.hash.len() == 64 && picture.hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    v.check(hash, &format!("{at}/hash"), "hash", "64 lower-case hexadecimal digits.");
    let ext = matches!(picture.ext.as_str(), "webp" | "png" | "jpg");
    v.check(ext, &format!("{at}/ext"), "ext", "webp, png or jpg.");
    line(v, &format!("{at}/alt"), &picture.alt, false);
}

fn variant(v: &mut Validation, at: &str, variant: &VariantIn) {
    let sku = format!("{at}/sku");
    v.check(is_sku(&variant.sku), &sku, "sku", "Letters, digits, dots, dashes and underscores, at most 64.");
    line(v, &format!("{at}/title"), &variant.title, false);
    v.check(variant.options.len() <= OPTIONS_MAX, &format!("{at}/options"), "too_many", "At most 8 options.");
    for (name, value) in &variant.options {
        let option = format!("{at}/options/{}", escaped(name));
        line(v, &option, name, true);
        line(v, &option, value, true);
    }
    prices(v, &format!("{at}/prices"), &variant.prices);
}

fn prices(v: &mut Validation, at: &str, prices: &BTreeMap<String, i64>) {
    v.check(!prices.is_empty(), at, "required", "A variant has a price in at least one currency.");
    v.check(prices.len() <= PRICES_MAX, at, "too_many", "At most 30 price lists.");
    for (currency, amount) in prices {
        let at = format!("{at}/{}", escaped(currency));
        v.check(currency.parse::<Currency>().is_ok(), &at, "unknown_currency", "This is no currency of ISO 4217.");
        let range = (0..=MONEY_AMOUNT_MAX).contains(amount);
        v.check(range, &at, "out_of_range", "A price is 0 or more, at most 10^13 minor units.");
    }
}

/// A name inside a JSON pointer (RFC 6901), cut so that hostile names do not fill the answer.
fn escaped(name: &str) -> String {
    name.chars().take(40).collect::<String>().replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use bodega_domain::{catalog::TaxClass, id::MerchantId};

    use super::*;

    fn bread() -> ProductIn {
        ProductIn {
            slug: "rye-bread".into(),
            expected_version: None,
            title: "Rye bread".into(),
            description: "Dark.".into(),
            category: "bakery".into(),
            merchant: MerchantId::from_u128(1),
            tax_class: TaxClass::Reduced,
            attributes: vec![("Weight".into(), "900 g".into())],
            picture: None,
            variants: vec![VariantIn {
                sku: "BRE-RYE".into(),
                title: String::new(),
                options: BTreeMap::new(),
                prices: BTreeMap::from([("EUR".into(), 499), ("JPY".into(), 800)]),
            }],
        }
    }

    fn wrong(change: impl FnOnce(&mut ProductIn)) -> Vec<(String, String)> {
        let mut product = bread();
        change(&mut product);
        match upsert(&Upsert { products: vec![product], ..Upsert::default() }) {
            Ok(()) => Vec::new(),
            Err(failure) => failure.fields.into_iter().map(|f| (f.pointer, f.code)).collect(),
        }
    }

    fn one(pointer: &str, code: &str) -> Vec<(String, String)> {
        vec![(pointer.to_owned(), code.to_owned())]
    }

    #[test]
    fn a_proper_product_is_accepted() {
        assert_eq!(wrong(|_| {}), []);
    }

    #[test]
    fn each_wrong_field_is_named() {
        assert_eq!(wrong(|p| p.slug = "Rye Bread".into()), one("/products/0/slug", "slug"));
        assert_eq!(wrong(|p| p.title = " ".into()), one("/products/0/title", "required"));
        assert_eq!(wrong(|p| p.description = "\u{7}".into()), one("/products/0/description", "control_character"));
        assert_eq!(wrong(|p| p.category = "../x".into()), one("/products/0/category", "slug"));
        assert_eq!(wrong(|p| p.variants.clear()), one("/products/0/variants", "required"));
        assert_eq!(wrong(|p| p.variants[0].sku = "a/b".into()), one("/products/0/variants/0/sku", "sku"));
        assert_eq!(wrong(|p| p.variants[0].prices.clear()), one("/products/0/variants/0/prices", "required"));
        let price = |code: &'static str, amount| {
            move |p: &mut ProductIn| {
                p.variants[0].prices.insert(code.into(), amount);
            }
        };
        assert_eq!(wrong(price("EUR", -1)), one("/products/0/variants/0/prices/EUR", "out_of_range"));
        assert_eq!(wrong(price("EUR", 10_000_000_000_001)), one("/products/0/variants/0/prices/EUR", "out_of_range"));
        assert_eq!(wrong(price("X/Y", 1)), one("/products/0/variants/0/prices/X~1Y", "unknown_currency"));
        let twice = |p: &mut ProductIn| p.variants.push(p.variants[0].clone());
        assert_eq!(wrong(twice), one("/products/0/variants/1/sku", "duplicate"));
        // What jsonb refuses is told as a wrong field, wherever it stands.
        assert_eq!(wrong(|p| p.attributes[0].1 = "\0".into()), one("/products/0/attributes/0/1", "control_character"));
        let option = |name: &'static str, value: &'static str| {
            move |p: &mut ProductIn| drop(p.variants[0].options.insert(name.into(), value.into()))
        };
        assert_eq!(wrong(option("size", "\0")), one("/products/0/variants/0/options/size", "control_character"));
        assert_eq!(wrong(option("\0", "L")), one("/products/0/variants/0/options/\0", "control_character"));
        let unseen = Picture { hash: "ab".repeat(32), ext: "webp".into(), alt: "\0".into() };
        assert_eq!(wrong(|p| p.picture = Some(unseen)), one("/products/0/picture/alt", "control_character"));
        let picture = Picture { hash: "ABC".into(), ext: "gif".into(), alt: String::new() };
        let fields = wrong(|p| p.picture = Some(picture));
        assert_eq!(
            fields.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(),
            ["/products/0/picture/hash", "/products/0/picture/ext"]
        );
    }

    #[test]
    fn a_slug_in_one_request_twice_is_a_mistake() {
        let mut other = bread();
        other.variants[0].sku = "BRE-RYE-2".into();
        let failure = upsert(&Upsert { products: vec![bread(), other], ..Upsert::default() }).unwrap_err();
        assert_eq!(
            (failure.fields[0].pointer.as_str(), failure.fields[0].code.as_str()),
            ("/products/1/slug", "duplicate")
        );
    }

    #[test]
    fn the_listing_of_everything_is_no_category() {
        let all = CategoryIn { slug: ALL.into(), title: "All".into(), description: String::new(), position: 0 };
        let failure = upsert(&Upsert { categories: vec![all], ..Upsert::default() }).unwrap_err();
        assert_eq!(failure.fields[0].code, "reserved");
    }
}
