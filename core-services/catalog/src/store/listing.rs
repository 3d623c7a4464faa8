//! Listing pages and the list of categories, put together inside Postgres from the cards that products keep.

use bodega_domain::{catalog::keys, limits::CATEGORY_PAGE_PRODUCTS};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::{Changed, write_views};

/// The listing of everything.
pub(crate) const ALL: &str = "all";

/// Which pages may have changed.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Listings that a product entered or left: every page shows the new total.
    pub(crate) whole: Vec<String>,
    /// Products whose card changed: the pages that they are on.
    pub(crate) products: Vec<Uuid>,
}

/// Writes the pages that differ and deletes those beyond the last.
pub(crate) async fn rebuild(connection: &mut PgConnection, touched: &Touched) -> Result<Changed, sqlx::Error> {
    let page_products = i64::try_from(CATEGORY_PAGE_PRODUCTS).unwrap_or(i64::MAX);
    // Index: product_category. Cards are read for the wanted pages only.
    let mut changed: Changed = sqlx::query_as(write_views!(
        "member as (
            select id, ordinal, category as listing from product
            where not retired and category in (
                select unnest($1::text[]) union select category from product where id = any($2))
            union all
            select id, ordinal, 'all' from product where not retired),
         numbered as (
            select id, ordinal, listing, (row_number() over (partition by listing order by ordinal) - 1) / $3 + 1 as page,
                   count(*) over (partition by listing) as total
            from member),
         wanted as (select distinct listing, page from numbered where listing = any($1) or id = any($2)),
         source as (
            select 'listing' as kind, n.listing || '/' || n.page as key,
                   jsonb_build_object('items', jsonb_agg(p.card order by n.ordinal),
                                      'pages', (max(n.total) - 1) / $3 + 1, 'total', max(n.total)) as body
            from numbered n join wanted using (listing, page) join product p on p.id = n.id
            group by n.listing, n.page
            union all
            select 'listing', e || '/1', '{\"items\": [], \"pages\": 1, \"total\": 0}'::jsonb
            from unnest($1::text[]) as e where not exists (select from member where listing = e))"
    ))
    .bind(&touched.whole)
    .bind(&touched.products)
    .bind(page_products)
    .fetch_all(&mut *connection)
    .await?;
    let gone: Changed = sqlx::query_as(
        "with last as (
            select l as listing, greatest((count(p.id) - 1) / $2 + 1, 1) as page
            from unnest($1::text[]) as l
            left join product p on not p.retired and (l = 'all' or p.category = l)
            group by l)
         update view set version = version + 1, deleted = true, hash = '', digest = 0, bytes = 0, body = null,
                position = null
         from last
         where kind = 'listing' and not deleted and split_part(key, '/', 1) = last.listing
           and split_part(key, '/', 2)::bigint > last.page
         returning kind, key",
    )
    .bind(&touched.whole)
    .bind(page_products)
    .fetch_all(connection)
    .await?;
    debug_assert_eq!(keys::LISTING, "listing");
    changed.extend(gone);
    Ok(changed)
}

/// Writes the list of categories when it differs.
pub(crate) async fn rebuild_categories(connection: &mut PgConnection) -> Result<Changed, sqlx::Error> {
    sqlx::query_as(write_views!(
        "tile as (
            select c.slug, c.title, c.description, c.position,
                   (select count(*) from product p where p.category = c.slug and not p.retired) as products,
                   (select p.picture from product p where p.category = c.slug and not p.retired and p.picture is not null
                    order by p.ordinal limit 1) as picture
            from category c),
         source as (
            select 'categories' as kind, 'all' as key,
                   coalesce(jsonb_agg(jsonb_build_object('slug', slug, 'title', title, 'description', description,
                                                         'products', products, 'picture', picture)
                                      order by position, slug), '[]') as body
            from tile)"
    ))
    .fetch_all(connection)
    .await
}
