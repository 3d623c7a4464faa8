//! Small catalogues.

use std::collections::BTreeMap;

use bodega_domain::{
    catalog::{Picture, TaxClass},
    id::MerchantId,
    message::catalog::{CategoryIn, Merchant, ProductIn, Upsert, VariantIn},
};

/// The only merchant.
pub fn merchant() -> Merchant {
    Merchant { id: MerchantId::from_u128(7), slug: "corner".into(), name: "Corner Goods".into() }
}

/// A category.
pub fn category(slug: &str, position: i32) -> CategoryIn {
    CategoryIn { slug: slug.into(), title: format!("The {slug}"), description: String::new(), position }
}

/// A product with one variant, whose SKU is its slug in capitals.
pub fn product(slug: &str, category: &str, cents: i64) -> ProductIn {
    ProductIn {
        slug: slug.into(),
        expected_version: None,
        title: slug.replace('-', " "),
        description: format!("Fresh {slug}."),
        category: category.into(),
        merchant: merchant().id,
        tax_class: TaxClass::Reduced,
        attributes: vec![("Origin".into(), "here".into())],
        picture: Some(Picture { hash: "ab".repeat(32), ext: "webp".into(), alt: slug.into() }),
        variants: vec![variant(&slug.to_uppercase(), cents)],
    }
}

/// A variant.
pub fn variant(sku: &str, cents: i64) -> VariantIn {
    let prices = BTreeMap::from([("EUR".to_owned(), cents), ("JPY".to_owned(), cents * 2)]);
    VariantIn { sku: sku.into(), title: String::new(), options: BTreeMap::new(), prices }
}

/// Merchant, two categories and these products.
pub fn shop(products: Vec<ProductIn>) -> Upsert {
    Upsert { merchants: vec![merchant()], categories: vec![category("bakery", 2), category("produce", 1)], products }
}

/// These products alone.
pub fn products(products: Vec<ProductIn>) -> Upsert {
    Upsert { products, ..Upsert::default() }
}
