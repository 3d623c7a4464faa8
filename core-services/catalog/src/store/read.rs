//! What shoppers and pricing read.

use bodega_domain::{
    Timestamp,
    catalog::{CategoryView, ProductCard, ProductView, SkuNo, SkuView},
    id::MerchantId,
    message::catalog::{Merchant, PricedLines},
    money::Currency,
};
use serde::de::DeserializeOwned;
use sqlx::{PgPool, Row as _, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::product::tax_class;

/// Cards with their place in the display order, or in the results.
pub(crate) type Cards = Vec<(i64, Json<ProductCard>)>;

/// Products after a place in the display order.
pub(crate) async fn list(
    pool: &PgPool,
    category: Option<&str>,
    merchant: Option<MerchantId>,
    (after, limit): (i64, i64),
) -> Result<Cards, sqlx::Error> {
    // Index: product_category, product_merchant, or the unique one of ordinal.
    sqlx::query_as(
        "select ordinal, card from product
         where not retired and ($1::text is null or category = $1) and ($2::uuid is null or merchant = $2)
           and ordinal > $3 order by ordinal limit $4",
    )
    .bind(category)
    .bind(merchant.map(|id| Uuid::from_u128(id.as_u128())))
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Whether there is such a category.
pub(crate) async fn category_exists(pool: &PgPool, slug: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from category where slug = $1)").bind(slug).fetch_one(pool).await
}

/// Products that match what was typed, or every word of which begins like the words of `prefixes` (a `tsquery`); the
/// best first. Each comes with its rank among the results.
pub(crate) async fn search(
    pool: &PgPool,
    (typed, prefixes): (&str, &str),
    category: Option<&str>,
    (after, limit): (i64, i64),
) -> Result<Cards, sqlx::Error> {
    // Index: product_search.
    sqlx::query_as(
        "with asked as (select websearch_to_tsquery('simple', $1) || to_tsquery('simple', $2) as query),
         found as (
            select row_number() over (order by ts_rank_cd(search, query) desc, ordinal) as place, card
            from product, asked
            where not retired and search @@ query and ($3::text is null or category = $3))
         select place, card from found where place > $4 order by place limit $5",
    )
    .bind(typed)
    .bind(prefixes)
    .bind(category)
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await
}

async fn body<T: DeserializeOwned + Send + Unpin + 'static>(
    pool: &PgPool,
    kind: &str,
    key: &str,
) -> Result<Option<T>, sqlx::Error> {
    let body: Option<Json<T>> =
        sqlx::query_scalar("select body from view where kind = $1 and key = $2 and not deleted")
            .bind(kind)
            .bind(key)
            .fetch_optional(pool)
            .await?;
    Ok(body.map(|json| json.0))
}

/// One product, with what those who write it need beside the view of edges.
pub(crate) async fn product(pool: &PgPool, slug: &str) -> Result<Option<ProductView>, sqlx::Error> {
    let row: Option<(Json<ProductView>, String, i64)> = sqlx::query_as(
        "select v.body, p.tax_class, p.version from view v join product p on p.slug = v.key
         where v.kind = 'product' and v.key = $1 and not v.deleted",
    )
    .bind(slug)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(Json(view), class, version)| ProductView {
        tax_class: Some(tax_class(&class)),
        version: Some(version),
        ..view
    }))
}

/// All categories.
pub(crate) async fn categories(pool: &PgPool) -> Result<Vec<CategoryView>, sqlx::Error> {
    Ok(body(pool, bodega_domain::catalog::keys::CATEGORIES, "all").await?.unwrap_or_default())
}

/// The merchant of a slug.
pub(crate) async fn merchant(pool: &PgPool, slug: &str) -> Result<Option<Merchant>, sqlx::Error> {
    // Index: merchant_slug.
    let row: Option<(Uuid, String, String)> =
        sqlx::query_as("select id, slug, name from merchant where slug = $1").bind(slug).fetch_optional(pool).await?;
    Ok(row.map(|(id, slug, name)| Merchant { id: MerchantId::from_u128(id.as_u128()), slug, name }))
}

/// SKUs by number with what they cost now, in one statement.
pub(crate) async fn price_lines(pool: &PgPool, skus: &[SkuNo], currency: Currency) -> Result<PricedLines, sqlx::Error> {
    let rows = sqlx::query(
        "select c.price_version, l.body, l.merchant, l.name
         from counters c left join (
            select v.body, p.merchant, m.name
            from variant x join product p on p.id = x.product join merchant m on m.id = p.merchant
            join view v on v.kind = 'sku' and v.key = x.sku_no::text and not v.deleted
            where x.sku_no = any($1)) l on true",
    )
    .bind(skus.iter().filter_map(|sku| i32::try_from(*sku).ok()).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    let mut answer =
        PricedLines { skus: Vec::with_capacity(rows.len()), price_version: 0, merchants: Default::default() };
    for row in &rows {
        answer.price_version = row.try_get(0)?;
        let Some(Json(mut sku)) = row.try_get::<Option<Json<SkuView>>, _>(1)? else { continue };
        sku.prices.0.retain(|code, _| code == currency.code());
        let merchant = MerchantId::from_u128(row.try_get::<Uuid, _>(2)?.as_u128());
        answer.merchants.insert(merchant.to_string(), row.try_get(3)?);
        answer.skus.push(sku);
    }
    Ok(answer)
}

/// Sessions whose entry on the deny list may be dropped.
pub(crate) async fn spent_revocations(pool: &PgPool, now: Timestamp) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select key from view where kind = 'revoked' and not deleted and (body #>> '{}')::timestamptz < $1 limit 1000",
    )
    .bind(OffsetDateTime::from(now))
    .fetch_all(pool)
    .await
}
