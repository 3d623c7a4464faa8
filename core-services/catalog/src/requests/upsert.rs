//! `catalog.v1.upsert`: all or nothing, set-based.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bodega_domain::{
    Code, Failure,
    catalog::{SkuNo, keys},
    event::Event,
    failure::Validation,
    id::{MerchantId, ProductId},
    message::catalog::{ProductChanged, ProductIn, Upsert, Upserted},
    principal::Principal,
};
use bodega_platform::{Call, Context, TransactionError, Tx, outbox};
use uuid::Uuid;

use crate::{
    State,
    limits::CATEGORIES_MAX,
    store::{
        self, Counters,
        listing::ALL,
        product::{self, Known, Row},
        projection,
        view::Changed,
    },
    validate,
};

type Refusable<T> = Result<T, TransactionError<Failure>>;

pub(crate) async fn upsert(state: Arc<State>, call: Call, request: Upsert) -> Result<Upserted, Failure> {
    authorise(&call.principal, &request)?;
    validate::upsert(&request)?;
    let (state, request, principal) = (&*state, &request, &call.principal);
    let upserted =
        state.context.postgres().transaction(|tx| Box::pin(write(tx, &state.context, principal, request))).await;
    state.changed.notify_one();
    upserted.map_err(Failure::from)
}

/// Merchants write their own products; merchants and categories belong to the marketplace.
fn authorise(principal: &Principal, request: &Upsert) -> Result<(), Failure> {
    if is_marketplace(principal) {
        return Ok(());
    }
    let own: BTreeSet<MerchantId> = principal.merchants().collect();
    let foreign = request.products.iter().any(|product| !own.contains(&product.merchant));
    if foreign || !request.merchants.is_empty() || !request.categories.is_empty() {
        return Err(Code::Forbidden.into());
    }
    Ok(())
}

/// Whether it acts for all merchants.
pub(crate) fn is_marketplace(principal: &Principal) -> bool {
    *principal == Principal::Service || principal.is_admin()
}

async fn write(mut tx: Tx<'_, '_>, context: &Context, principal: &Principal, request: &Upsert) -> Refusable<Upserted> {
    let mut counters = store::lock(&mut tx).await?;
    let renamed = match product::write_merchants(&mut tx, &request.merchants).await {
        Ok(renamed) => renamed,
        Err(error) if is_taken(&error, "merchant_slug") => {
            return refuse(Failure::from(Code::ValidationFailed).field("/merchants", "taken", "This slug is taken."));
        }
        Err(error) => return Err(error.into()),
    };
    let mut whole: BTreeSet<String> = BTreeSet::new();
    whole.extend(product::write_categories(&mut tx, &request.categories).await?);
    if product::category_count(&mut tx).await? > i64::try_from(CATEGORIES_MAX).unwrap_or(i64::MAX) {
        return refuse(Failure::from(Code::ValidationFailed).field(
            "/categories",
            "too_many",
            "At most 500 categories.",
        ));
    }
    let known = product::known(&mut tx, &request.products).await?;
    unchanged(&known, principal, &request.products).map_err(TransactionError::Refused)?;
    check(&known, principal, &request.products).map_err(TransactionError::Refused)?;
    let rows = number(context, &known, &mut counters, &request.products).map_err(TransactionError::Refused)?;
    let mut touched: BTreeSet<Uuid> = product::of_merchants(&mut tx, &renamed).await?.into_iter().collect();
    touched.extend(rows.iter().map(|row| row.id));
    if !rows.is_empty() {
        product::write_products(&mut tx, &rows, context.clock().now()).await?;
        product::write_variants(&mut tx, &rows).await?;
        counters.price_version += i64::from(product::write_prices(&mut tx, &rows).await? > 0);
    }
    store::count(&mut tx, counters).await?;
    whole.extend(entered_or_left(&known, &request.products));
    let changed = projection::project(&mut tx, touched.into_iter().collect(), whole.into_iter().collect()).await?;
    outbox::append(&mut tx, &events(context, &changed, false)).await?;
    Ok(answer(&rows))
}

fn refuse<T>(failure: Failure) -> Refusable<T> {
    Err(TransactionError::Refused(failure))
}

fn is_taken(error: &bodega_platform::sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|e| e.constraint()) == Some(constraint)
}

/// Refuses edits that began with another version than is there under the lock. Of a product of somebody else nothing is
/// told, not even its version.
fn unchanged(known: &Known, principal: &Principal, products: &[ProductIn]) -> Result<(), Failure> {
    let own: BTreeSet<Uuid> = principal.merchants().map(|m| Uuid::from_u128(m.as_u128())).collect();
    let mut failure = Failure::from(Code::PreconditionFailed);
    for (index, product) in products.iter().enumerate() {
        let existing = known.products.get(&product.slug);
        let is_told = is_marketplace(principal) || existing.is_none_or(|e| own.contains(&e.merchant));
        let version = existing.map_or(0, |e| e.version);
        if is_told && product.expected_version.is_some_and(|expected| expected != version) {
            let at = format!("/products/{index}/expected_version");
            failure = failure.field(at, "stale", format!("The product has the version {version} now."));
        }
    }
    failure.fields.truncate(validate::WRONG_FIELDS_MAX);
    if failure.fields.is_empty() { Ok(()) } else { Err(failure) }
}

/// What only the database can tell: unknown categories and merchants, SKUs of other products, products of others.
fn check(known: &Known, principal: &Principal, products: &[ProductIn]) -> Result<(), Failure> {
    let own: BTreeSet<Uuid> = principal.merchants().map(|m| Uuid::from_u128(m.as_u128())).collect();
    let mut v = Validation::new();
    for (index, product) in products.iter().enumerate() {
        let at = format!("/products/{index}");
        let existing = known.products.get(&product.slug);
        if !is_marketplace(principal) && existing.is_some_and(|e| !own.contains(&e.merchant)) {
            return Err(Code::Forbidden.into());
        }
        let category = known.categories.contains(&product.category);
        v.check(category, &format!("{at}/category"), "unknown", "There is no such category.");
        let merchant = known.merchants.contains(&Uuid::from_u128(product.merchant.as_u128()));
        v.check(merchant, &format!("{at}/merchant"), "unknown", "There is no such merchant.");
        for (place, variant) in product.variants.iter().enumerate() {
            let owner = known.skus.get(&variant.sku).map(|sku| sku.product);
            let free = owner.is_none() || owner == existing.map(|e| e.id);
            v.check(free, &format!("{at}/variants/{place}/sku"), "taken", "This SKU belongs to another product.");
        }
    }
    validate::finish(v)
}

/// Gives new products their ids and places, new SKUs their numbers.
fn number<'a>(
    context: &Context,
    known: &Known,
    counters: &mut Counters,
    products: &'a [ProductIn],
) -> Result<Vec<Row<'a>>, Failure> {
    let now = context.clock().now();
    let mut rows = Vec::with_capacity(products.len());
    for product in products {
        let existing = known.products.get(&product.slug);
        if existing.is_none() {
            counters.ordinal += 1;
        }
        let mut sku_nos = Vec::with_capacity(product.variants.len());
        for variant in &product.variants {
            let sku_no = match known.skus.get(&variant.sku) {
                Some(sku) => sku.sku_no,
                None => {
                    counters.sku_no = counters.sku_no.checked_add(1).ok_or_else(Failure::internal)?;
                    counters.sku_no
                }
            };
            sku_nos.push(SkuNo::try_from(sku_no).map_err(|_| Failure::internal())?);
        }
        let id = existing.map_or_else(|| context.entropy().uuid(now), |e| e.id);
        // An existing product keeps its place, whatever stands here.
        rows.push(Row { id, ordinal: counters.ordinal, product, sku_nos });
    }
    Ok(rows)
}

/// Listings whose number of products may have changed.
fn entered_or_left(known: &Known, products: &[ProductIn]) -> BTreeSet<String> {
    let mut listings = BTreeSet::new();
    for product in products {
        match known.products.get(&product.slug) {
            Some(existing) if !existing.retired => {
                if existing.category != product.category {
                    listings.extend([existing.category.clone(), product.category.clone()]);
                }
            }
            _ => listings.extend([product.category.clone(), ALL.to_owned()]),
        }
    }
    listings
}

/// Tells of each product whose page changed.
pub(crate) fn events(context: &Context, changed: &Changed, retired: bool) -> Vec<Event> {
    let products = changed.iter().filter(|(kind, _)| kind == keys::PRODUCT);
    products.map(|(_, slug)| context.event(slug, &ProductChanged { slug: slug.clone(), retired })).collect()
}

fn answer(rows: &[Row<'_>]) -> Upserted {
    let mut sku_nos = BTreeMap::new();
    for row in rows {
        for (variant, sku_no) in row.product.variants.iter().zip(&row.sku_nos) {
            sku_nos.insert(variant.sku.clone(), *sku_no);
        }
    }
    let products = rows.iter().map(|row| (row.product.slug.clone(), ProductId::from_u128(row.id.as_u128()))).collect();
    Upserted { sku_nos, products }
}
