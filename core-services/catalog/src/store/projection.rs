//! Products as they are after a change, made into the views that edges hold.

use std::collections::{BTreeMap, HashMap};

use bodega_domain::{
    catalog::{Band, Picture, Prices, ProductCard, ProductView, SkuNo, SkuView, VariantView, keys},
    id::{MerchantId, ProductId},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    band,
    listing::{self, Touched},
    product,
    view::{self, Changed, Views},
};

#[derive(Debug, sqlx::FromRow)]
struct ProductRow {
    id: Uuid,
    slug: String,
    title: String,
    description: String,
    category: String,
    merchant: Uuid,
    merchant_name: String,
    tax_class: String,
    attributes: Json<Vec<(String, String)>>,
    picture: Option<Json<Picture>>,
    retired: bool,
}

#[derive(Debug, sqlx::FromRow)]
struct VariantRow {
    product: Uuid,
    sku_no: i32,
    sku: String,
    title: String,
    options: Json<BTreeMap<String, String>>,
    retired: bool,
    prices: Json<BTreeMap<String, i64>>,
    band: Option<String>,
}

impl VariantRow {
    fn number(&self) -> SkuNo {
        // A CHECK keeps it above 0.
        SkuNo::try_from(self.sku_no).unwrap_or(0)
    }

    fn band(&self) -> Band {
        self.band.as_deref().map_or(Band::Out, band::of)
    }
}

/// Writes every view of these products, their listing pages and the list of categories, as far as they differ.
/// `whole` are listings that a product entered or left.
pub(crate) async fn project(
    connection: &mut PgConnection,
    products: Vec<Uuid>,
    whole: Vec<String>,
) -> Result<Changed, sqlx::Error> {
    let rows = load_products(connection, &products).await?;
    let mut variants = load_variants(connection, &products).await?;
    let mut views = Views::default();
    let (mut ids, mut cards) = (Vec::new(), Vec::new());
    for row in &rows {
        let variants = variants.remove(&row.id).unwrap_or_default();
        let (gone, live): (Vec<_>, Vec<_>) = variants.into_iter().partition(|v| row.retired || v.retired);
        for variant in gone {
            views.delete(keys::SKU, variant.number().to_string());
            views.delete(keys::SKU_CODE, variant.sku);
        }
        if row.retired {
            views.delete(keys::PRODUCT, row.slug.as_str());
            continue;
        }
        for variant in &live {
            views.put(keys::SKU, variant.number().to_string(), json(&sku_view(row, variant))?);
            views.put(keys::SKU_CODE, variant.sku.as_str(), variant.number().to_string());
        }
        ids.push(row.id);
        cards.push(json(&card(row, &live))?);
        views.put(keys::PRODUCT, row.slug.as_str(), json(&product_view(row, &live))?);
    }
    write_cards(connection, ids, cards).await?;
    let mut changed = view::write(connection, &views).await?;
    changed.extend(listing::rebuild(connection, &Touched { whole, products }).await?);
    changed.extend(listing::rebuild_categories(connection).await?);
    Ok(changed)
}

async fn load_products(connection: &mut PgConnection, products: &[Uuid]) -> Result<Vec<ProductRow>, sqlx::Error> {
    sqlx::query_as(
        "select p.id, p.slug, p.title, p.description, p.category, p.merchant, m.name as merchant_name, p.tax_class,
                p.attributes, p.picture, p.retired
         from product p join merchant m on m.id = p.merchant where p.id = any($1)",
    )
    .bind(products)
    .fetch_all(connection)
    .await
}

async fn load_variants(
    connection: &mut PgConnection,
    products: &[Uuid],
) -> Result<HashMap<Uuid, Vec<VariantRow>>, sqlx::Error> {
    // Index: variant_product.
    let rows: Vec<VariantRow> = sqlx::query_as(
        "select v.product, v.sku_no, v.sku, v.title, v.options, v.retired, b.band,
                coalesce((select jsonb_object_agg(currency, amount) from price where price.sku_no = v.sku_no), '{}')
                    as prices
         from variant v left join band b using (sku_no)
         where v.product = any($1) order by v.product, v.place, v.sku_no",
    )
    .bind(products)
    .fetch_all(connection)
    .await?;
    let mut variants: HashMap<Uuid, Vec<VariantRow>> = HashMap::new();
    for row in rows {
        variants.entry(row.product).or_default().push(row);
    }
    Ok(variants)
}

async fn write_cards(connection: &mut PgConnection, ids: Vec<Uuid>, cards: Vec<String>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update product set card = c.card::jsonb from unnest($1::uuid[], $2::text[]) as c (id, card)
         where product.id = c.id and product.card is distinct from c.card::jsonb",
    )
    .bind(ids)
    .bind(cards)
    .execute(connection)
    .await
    .map(|_| ())
}

fn json<T: serde::Serialize>(view: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(view).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn product_view(row: &ProductRow, variants: &[VariantRow]) -> ProductView {
    ProductView {
        id: ProductId::from_u128(row.id.as_u128()),
        slug: row.slug.clone(),
        title: row.title.clone(),
        description: row.description.clone(),
        category: row.category.clone(),
        merchant: MerchantId::from_u128(row.merchant.as_u128()),
        merchant_name: row.merchant_name.clone(),
        attributes: row.attributes.0.clone(),
        picture: row.picture.as_ref().map(|p| p.0.clone()),
        variants: variants
            .iter()
            .map(|v| VariantView {
                sku: v.sku.clone(),
                sku_no: v.number(),
                title: v.title.clone(),
                options: v.options.0.clone(),
                prices: Prices(v.prices.0.clone()),
                band: v.band(),
            })
            .collect(),
        tax_class: None,
        version: None,
    }
}

fn sku_view(row: &ProductRow, variant: &VariantRow) -> SkuView {
    let title = if variant.title.is_empty() { row.title.clone() } else { format!("{}, {}", row.title, variant.title) };
    SkuView {
        sku: variant.sku.clone(),
        sku_no: variant.number(),
        product: row.slug.clone(),
        title,
        category: row.category.clone(),
        merchant: MerchantId::from_u128(row.merchant.as_u128()),
        tax_class: product::tax_class(&row.tax_class),
        prices: Prices(variant.prices.0.clone()),
        band: variant.band(),
        picture: row.picture.as_ref().map(|p| p.0.clone()),
    }
}

fn card(row: &ProductRow, variants: &[VariantRow]) -> ProductCard {
    let mut prices_from: BTreeMap<String, i64> = BTreeMap::new();
    for (currency, amount) in variants.iter().flat_map(|v| &v.prices.0) {
        let lowest = prices_from.entry(currency.clone()).or_insert(*amount);
        *lowest = (*lowest).min(*amount);
    }
    let best = |band: Band| variants.iter().any(|v| v.band() == band);
    ProductCard {
        slug: row.slug.clone(),
        title: row.title.clone(),
        category: row.category.clone(),
        merchant_name: row.merchant_name.clone(),
        picture: row.picture.as_ref().map(|p| p.0.clone()),
        prices_from: Prices(prices_from),
        variants: u32::try_from(variants.len()).unwrap_or(u32::MAX),
        only_sku: match variants {
            [only] => Some(only.sku.clone()),
            _ => None,
        },
        band: [Band::InStock, Band::Low].into_iter().find(|band| best(*band)).unwrap_or(Band::Out),
    }
}
