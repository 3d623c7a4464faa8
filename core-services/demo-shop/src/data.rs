//! Reads the data files that are compiled in, and checks that they fit together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    pictures,
    shop::{
        Account, Attribute, AttributeKind, AttributeValue, Category, Discount, Location, Merchant, PluginPromotion,
        Product, Role, Rule, Shop, TaxClass, Variant,
    },
};

/// What can be wrong with the shop's data. A test loads the data, so a released executable never sees one.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Not TOML, or not of the expected shape.
    #[error("data/{file}: {source}")]
    Syntax {
        /// The file below `data/`.
        file: String,
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// Two parts that do not fit together.
    #[error("data/{file}: {detail}")]
    Unfit {
        /// The file below `data/`.
        file: String,
        /// What does not fit.
        detail: String,
    },
}

const SHOP: &str = include_str!("../data/shop.toml");
const PROMOTIONS: &str = include_str!("../data/promotions.toml");

macro_rules! product_files {
    ($($category:literal),* $(,)?) => {
        &[$(($category, include_str!(concat!("../data/", $category, ".toml")))),*]
    };
}

/// One file a category, named like its slug.
const PRODUCTS: &[(&str, &str)] = product_files![
    "produce",
    "bakery",
    "dairy-eggs",
    "drinks",
    "snacks",
    "pantry",
    "household",
    "flowers-gifts",
    "stationery",
    "deli",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShopFile {
    merchant: Vec<MerchantRow>,
    location: Vec<LocationRow>,
    category: Vec<Category>,
    attribute: Vec<AttributeRow>,
    account: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MerchantRow {
    slug: String,
    id: String,
    name: String,
    about: String,
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationRow {
    slug: String,
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeRow {
    key: String,
    title: String,
    kind: AttributeKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductFile {
    product: Vec<ProductRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductRow {
    slug: String,
    title: String,
    merchant: String,
    description: String,
    picture: String,
    tax: TaxClass,
    attributes: BTreeMap<String, AttributeValue>,
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromotionFile {
    rule: Vec<RuleRow>,
    plugin: Vec<PluginRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    slug: String,
    id: String,
    label: String,
    funded_by: String,
    category: Option<String>,
    #[serde(default)]
    min_subtotal: BTreeMap<String, i64>,
    discount: Discount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginRow {
    slug: String,
    id: String,
    plugin: String,
    label: String,
    funded_by: String,
    configuration: serde_json::Value,
}

/// The demo shop that this executable carries.
///
/// # Errors
/// When the compiled-in data does not parse or does not fit together.
pub fn demo_shop() -> Result<Shop, DataError> {
    let file: ShopFile = parse("shop.toml", SHOP)?;
    let promotions: PromotionFile = parse("promotions.toml", PROMOTIONS)?;
    let mut products = Vec::new();
    for category in &file.category {
        let name = format!("{}.toml", category.slug);
        let text = PRODUCTS
            .iter()
            .find(|(slug, _)| *slug == category.slug)
            .map(|(_, text)| *text)
            .ok_or_else(|| unfit("shop.toml", format!("category `{}` has no file", category.slug)))?;
        let rows: ProductFile = parse(&name, text)?;
        for row in rows.product {
            products.push(product(&name, &category.slug, row, &file.attribute)?);
        }
    }
    let shop = Shop {
        merchants: file.merchant.into_iter().map(merchant).collect::<Result<_, _>>()?,
        locations: file.location.into_iter().map(location).collect::<Result<_, _>>()?,
        categories: file.category,
        products,
        rules: promotions.rule.into_iter().map(rule).collect::<Result<_, _>>()?,
        plugins: promotions.plugin.into_iter().map(plugin).collect::<Result<_, _>>()?,
        accounts: file.account,
    };
    check(&shop)?;
    Ok(shop)
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DataError> {
    toml::from_str(text).map_err(|source| DataError::Syntax { file: file.to_owned(), source: Box::new(source) })
}

fn unfit(file: &str, detail: String) -> DataError {
    DataError::Unfit { file: file.to_owned(), detail }
}

/// The 128 bits of an id that the data writes as a UUID.
fn id(file: &str, text: &str) -> Result<u128, DataError> {
    u128::from_str_radix(&text.replace('-', ""), 16)
        .map_err(|error| unfit(file, format!("`{text}` is not a UUID: {error}")))
}

fn merchant(row: MerchantRow) -> Result<Merchant, DataError> {
    let id = id("shop.toml", &row.id)?;
    Ok(Merchant { id, slug: row.slug, name: row.name, about: row.about, email: row.email })
}

fn location(row: LocationRow) -> Result<Location, DataError> {
    Ok(Location { id: id("shop.toml", &row.id)?, slug: row.slug, name: row.name })
}

fn rule(row: RuleRow) -> Result<Rule, DataError> {
    Ok(Rule {
        id: id("promotions.toml", &row.id)?,
        slug: row.slug,
        label: row.label,
        funded_by: row.funded_by,
        category: row.category,
        min_subtotal: row.min_subtotal,
        discount: row.discount,
    })
}

fn plugin(row: PluginRow) -> Result<PluginPromotion, DataError> {
    Ok(PluginPromotion {
        id: id("promotions.toml", &row.id)?,
        slug: row.slug,
        plugin: row.plugin,
        label: row.label,
        funded_by: row.funded_by,
        configuration: row.configuration.to_string(),
    })
}

fn product(file: &str, category: &str, row: ProductRow, known: &[AttributeRow]) -> Result<Product, DataError> {
    let mut values = row.attributes;
    let mut attributes = Vec::with_capacity(values.len());
    for definition in known {
        let Some(value) = values.remove(&definition.key) else { continue };
        let fits = match definition.kind {
            AttributeKind::Text => matches!(value, AttributeValue::Text(_)),
            AttributeKind::Flag => matches!(value, AttributeValue::Flag(_)),
            _ => matches!(value, AttributeValue::Number(_)),
        };
        if !fits {
            return Err(unfit(file, format!("`{}`: attribute `{}` is of another kind", row.slug, definition.key)));
        }
        attributes.push(Attribute {
            key: definition.key.clone(),
            title: definition.title.clone(),
            kind: definition.kind,
            value,
        });
    }
    if let Some(key) = values.keys().next() {
        return Err(unfit(file, format!("`{}`: attribute `{key}` is not defined in shop.toml", row.slug)));
    }
    Ok(Product {
        slug: row.slug,
        title: row.title,
        description: row.description,
        category: category.to_owned(),
        merchant: row.merchant,
        picture: row.picture,
        tax: row.tax,
        attributes,
        variants: row.variants,
    })
}

/// Every name that refers to something refers to something that is there.
fn check(shop: &Shop) -> Result<(), DataError> {
    let merchants: BTreeSet<_> = shop.merchants.iter().map(|m| m.slug.as_str()).collect();
    let locations: BTreeSet<_> = shop.locations.iter().map(|l| l.slug.as_str()).collect();
    let categories: BTreeSet<_> = shop.categories.iter().map(|c| c.slug.as_str()).collect();
    for product in &shop.products {
        let file = format!("{}.toml", product.category);
        let unfit = |detail: &str| unfit(&file, format!("`{}`: {detail}", product.slug));
        if !merchants.contains(product.merchant.as_str()) {
            return Err(unfit("unknown merchant"));
        }
        if pictures::picture(&product.picture).is_none() {
            return Err(unfit("unknown picture"));
        }
        if product.variants.is_empty() {
            return Err(unfit("no variant"));
        }
        if product.variants.iter().any(|v| v.stock.keys().any(|l| !locations.contains(l.as_str()))) {
            return Err(unfit("stock at an unknown location"));
        }
    }
    if let Some(category) = shop.categories.iter().find(|c| pictures::picture(&c.picture).is_none()) {
        return Err(unfit("shop.toml", format!("`{}`: unknown picture", category.slug)));
    }
    for rule in &shop.rules {
        let category_known = rule.category.as_deref().is_none_or(|c| categories.contains(c));
        if !merchants.contains(rule.funded_by.as_str()) || !category_known {
            return Err(unfit("promotions.toml", format!("`{}`: unknown merchant or category", rule.slug)));
        }
    }
    if let Some(plugin) = shop.plugins.iter().find(|p| !merchants.contains(p.funded_by.as_str())) {
        return Err(unfit("promotions.toml", format!("`{}`: unknown merchant", plugin.slug)));
    }
    for account in &shop.accounts {
        let sells_for = account.merchant.as_deref();
        if (account.role == Role::Merchant) != sells_for.is_some_and(|m| merchants.contains(m)) {
            return Err(unfit("shop.toml", format!("`{}`: role and merchant do not fit", account.email)));
        }
    }
    Ok(())
}
