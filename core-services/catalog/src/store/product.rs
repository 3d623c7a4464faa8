//! Merchants, categories, products, variants and prices: set-based writes.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    catalog::{SkuNo, TaxClass},
    message::catalog::{CategoryIn, Merchant, ProductIn},
};
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

/// A product that is there already.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Existing {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) merchant: Uuid,
    pub(crate) category: String,
    pub(crate) retired: bool,
    pub(crate) version: i64,
}

/// A SKU that is there already, retired or not.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct ExistingSku {
    pub(crate) sku: String,
    pub(crate) sku_no: i32,
    pub(crate) product: Uuid,
}

/// What a request names and the database knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) products: BTreeMap<String, Existing>,
    pub(crate) skus: BTreeMap<String, ExistingSku>,
    pub(crate) categories: Vec<String>,
    pub(crate) merchants: Vec<Uuid>,
}

/// A product to be written, with the numbers that it got.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) id: Uuid,
    pub(crate) ordinal: i64,
    pub(crate) product: &'a ProductIn,
    /// In the order of its variants.
    pub(crate) sku_nos: Vec<SkuNo>,
}

const fn tax_word(class: TaxClass) -> &'static str {
    match class {
        TaxClass::Standard => "standard",
        TaxClass::Reduced => "reduced",
        TaxClass::Zero => "zero",
    }
}

/// The tax class of a word that the database holds.
pub(crate) fn tax_class(word: &str) -> TaxClass {
    match word {
        "reduced" => TaxClass::Reduced,
        "zero" => TaxClass::Zero,
        _ => TaxClass::Standard,
    }
}

fn number(sku_no: SkuNo) -> i32 {
    // Issued from an `integer` counter, so it fits.
    i32::try_from(sku_no).unwrap_or(i32::MAX)
}

/// Writes merchants and gives back those whose name or slug changed.
pub(crate) async fn write_merchants(
    connection: &mut PgConnection,
    merchants: &[Merchant],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "insert into merchant as m (id, slug, name)
         select * from unnest($1::uuid[], $2::text[], $3::text[])
         on conflict (id) do update set slug = excluded.slug, name = excluded.name
         where (m.slug, m.name) is distinct from (excluded.slug, excluded.name)
         returning id",
    )
    .bind(merchants.iter().map(|m| Uuid::from_u128(m.id.as_u128())).collect::<Vec<_>>())
    .bind(merchants.iter().map(|m| m.slug.as_str()).collect::<Vec<_>>())
    .bind(merchants.iter().map(|m| m.name.as_str()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// Writes categories and gives back those that are new.
pub(crate) async fn write_categories(
    connection: &mut PgConnection,
    categories: &[CategoryIn],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "with known as (select slug from category),
         written as (
            insert into category (slug, title, description, position)
            select * from unnest($1::text[], $2::text[], $3::text[], $4::int[])
            on conflict (slug) do update set title = excluded.title, description = excluded.description,
                position = excluded.position
            returning slug)
         select slug from written where slug not in (select slug from known)",
    )
    .bind(categories.iter().map(|c| c.slug.as_str()).collect::<Vec<_>>())
    .bind(categories.iter().map(|c| c.title.as_str()).collect::<Vec<_>>())
    .bind(categories.iter().map(|c| c.description.as_str()).collect::<Vec<_>>())
    .bind(categories.iter().map(|c| c.position).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// How many categories there are.
pub(crate) async fn category_count(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from category").fetch_one(connection).await
}

/// The products of these merchants.
pub(crate) async fn of_merchants(connection: &mut PgConnection, merchants: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    // Index: product_merchant.
    sqlx::query_scalar("select id from product where merchant = any($1)").bind(merchants).fetch_all(connection).await
}

/// What the database knows of the things that these products name.
pub(crate) async fn known(connection: &mut PgConnection, products: &[ProductIn]) -> Result<Known, sqlx::Error> {
    let slugs: Vec<&str> = products.iter().map(|p| p.slug.as_str()).collect();
    let existing: Vec<Existing> =
        sqlx::query_as("select id, slug, merchant, category, retired, version from product where slug = any($1)")
            .bind(slugs)
            .fetch_all(&mut *connection)
            .await?;
    let skus: Vec<&str> = products.iter().flat_map(|p| p.variants.iter().map(|v| v.sku.as_str())).collect();
    let skus: Vec<ExistingSku> = sqlx::query_as("select sku, sku_no, product from variant where sku = any($1)")
        .bind(skus)
        .fetch_all(&mut *connection)
        .await?;
    let categories: Vec<&str> = products.iter().map(|p| p.category.as_str()).collect();
    let categories = sqlx::query_scalar("select slug from category where slug = any($1)")
        .bind(categories)
        .fetch_all(&mut *connection)
        .await?;
    let merchants: Vec<Uuid> = products.iter().map(|p| Uuid::from_u128(p.merchant.as_u128())).collect();
    let merchants =
        sqlx::query_scalar("select id from merchant where id = any($1)").bind(merchants).fetch_all(connection).await?;
    Ok(Known {
        products: existing.into_iter().map(|p| (p.slug.clone(), p)).collect(),
        skus: skus.into_iter().map(|s| (s.sku.clone(), s)).collect(),
        categories,
        merchants,
    })
}

/// One product by its slug.
pub(crate) async fn by_slug(connection: &mut PgConnection, slug: &str) -> Result<Option<Existing>, sqlx::Error> {
    sqlx::query_as("select id, slug, merchant, category, retired, version from product where slug = $1")
        .bind(slug)
        .fetch_optional(connection)
        .await
}

/// Writes products; a retired one is back.
pub(crate) async fn write_products(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let of = |field: fn(&ProductIn) -> &str| rows.iter().map(|r| field(r.product).to_owned()).collect::<Vec<_>>();
    sqlx::query(
        "insert into product (id, slug, ordinal, title, description, category, merchant, tax_class, attributes, picture,
                              search, changed_at)
         select r.id, r.slug, r.ordinal, r.title, r.description, r.category, r.merchant, r.tax_class, r.attributes,
                nullif(r.picture, 'null'),
                setweight(to_tsvector('simple', r.title), 'A') ||
                setweight(to_tsvector('simple', c.title || ' ' || m.name), 'B') ||
                setweight(to_tsvector('simple', r.description), 'C'), $11
         from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                     $9::jsonb[], $10::jsonb[])
              as r (id, slug, ordinal, title, description, category, merchant, tax_class, attributes, picture)
         join category c on c.slug = r.category join merchant m on m.id = r.merchant
         order by r.slug
         on conflict (slug) do update set
            title = excluded.title, description = excluded.description, category = excluded.category,
            merchant = excluded.merchant, tax_class = excluded.tax_class, attributes = excluded.attributes,
            picture = excluded.picture, search = excluded.search, changed_at = excluded.changed_at, retired = false,
            version = product.version + 1",
    )
    .bind(rows.iter().map(|r| r.id).collect::<Vec<_>>())
    .bind(of(|p| &p.slug))
    .bind(rows.iter().map(|r| r.ordinal).collect::<Vec<_>>())
    .bind(of(|p| &p.title))
    .bind(of(|p| &p.description))
    .bind(of(|p| &p.category))
    .bind(rows.iter().map(|r| Uuid::from_u128(r.product.merchant.as_u128())).collect::<Vec<_>>())
    .bind(of(|p| tax_word(p.tax_class)))
    .bind(rows.iter().map(|r| Json(&r.product.attributes)).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| Json(&r.product.picture)).collect::<Vec<_>>())
    .bind(OffsetDateTime::from(now))
    .execute(connection)
    .await
    .map(|_| ())
}

/// Writes the variants of these products; those that are no longer named retire with their number.
pub(crate) async fn write_variants(connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    let (mut numbers, mut products, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let (mut skus, mut titles, mut options) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        for (place, (variant, sku_no)) in row.product.variants.iter().zip(&row.sku_nos).enumerate() {
            numbers.push(number(*sku_no));
            products.push(row.id);
            places.push(i16::try_from(place).unwrap_or(i16::MAX));
            skus.push(variant.sku.as_str());
            titles.push(variant.title.as_str());
            options.push(Json(&variant.options));
        }
    }
    sqlx::query("update variant set retired = true where product = any($1) and not retired and sku_no <> all($2)")
        .bind(rows.iter().map(|r| r.id).collect::<Vec<_>>())
        .bind(&numbers)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into variant (sku_no, product, place, sku, title, options)
         select * from unnest($1::int[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::jsonb[])
         on conflict (sku_no) do update set place = excluded.place, title = excluded.title, options = excluded.options,
            retired = false",
    )
    .bind(&numbers)
    .bind(products)
    .bind(places)
    .bind(skus)
    .bind(titles)
    .bind(options)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Writes the price lists of these variants and gives back how many prices changed.
pub(crate) async fn write_prices(connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<u64, sqlx::Error> {
    let (mut numbers, mut currencies, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Vec::new();
    for row in rows {
        for (variant, sku_no) in row.product.variants.iter().zip(&row.sku_nos) {
            all.push(number(*sku_no));
            for (currency, amount) in &variant.prices {
                numbers.push(number(*sku_no));
                currencies.push(currency.as_str());
                amounts.push(*amount);
            }
        }
    }
    let gone = sqlx::query(
        "delete from price p where sku_no = any($1) and not exists (
            select from unnest($2::int[], $3::text[]) as n (sku_no, currency)
            where n.sku_no = p.sku_no and n.currency = p.currency)",
    )
    .bind(all)
    .bind(&numbers)
    .bind(&currencies)
    .execute(&mut *connection)
    .await?;
    let written = sqlx::query(
        "insert into price as p (sku_no, currency, amount)
         select * from unnest($1::int[], $2::text[], $3::bigint[])
         on conflict (sku_no, currency) do update set amount = excluded.amount where p.amount <> excluded.amount",
    )
    .bind(numbers)
    .bind(currencies)
    .bind(amounts)
    .execute(connection)
    .await?;
    Ok(gone.rows_affected() + written.rows_affected())
}

/// Takes a product out of the shop; its numbers stay.
pub(crate) async fn retire(connection: &mut PgConnection, id: Uuid, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query("update product set retired = true, changed_at = $2, version = version + 1 where id = $1")
        .bind(id)
        .bind(OffsetDateTime::from(now))
        .execute(connection)
        .await
        .map(|_| ())
}
