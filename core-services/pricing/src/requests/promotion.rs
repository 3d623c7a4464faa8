//! `pricing.v1.{put_rule,promotions,promotion_audit,promotion_deactivate}`: declarative promotions, what takes part in
//! quotes, and who changed it.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    id::PromotionId,
    limits::{
        LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, OWNER_PROMOTIONS_MAX, OWNER_RULES_BYTES_MAX, PROMOTIONS_MAX,
        RULES_BYTES_MAX,
    },
    message::{
        Done, Page,
        pricing::{PromotionAudit, PromotionChange, PromotionDeactivate, PromotionView, Promotions, PutRule},
    },
    promotion::Rule,
};
use bodega_platform::{Call, TransactionError, sqlx::PgConnection};

use super::{PAGE_ITEMS_MAX, page, reads_of, writes_for};
use crate::{Pricing, active, store};

pub(crate) async fn put_rule(pricing: Pricing, call: Call, request: PutRule) -> Result<PromotionView, Failure> {
    let merchant = writes_for(&call.principal, request.merchant)?;
    let rule = parse(&request, merchant)?;
    let (by, at) = (call.principal.who(), pricing.context.clock().now());
    let config = serde_json::json!({});
    let change = store::Change {
        id: request.id,
        merchant,
        label: &rule.label,
        rule: Some(&rule),
        plugin: None,
        config: &config,
        active: request.active,
        by: &by,
        at,
    };
    let changed = &change;
    pricing.context.postgres().transaction(|mut tx| Box::pin(async move { put(&mut tx, changed).await })).await?;
    used(&pricing, request.id).await
}

/// The rule as it is kept: the id, label and merchant of the request count, whatever the document says.
fn parse(request: &PutRule, merchant: Option<bodega_domain::id::MerchantId>) -> Result<Rule, Failure> {
    let mut document = request.rule.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("id".into(), serde_json::json!(request.id));
        fields.insert("label".into(), serde_json::json!(request.label));
        fields.insert("merchant".into(), serde_json::json!(merchant));
    }
    let rule: Rule = serde_json::from_value(document).map_err(|error| {
        Failure::from(Code::ValidationFailed).field("/rule", "malformed", format!("Not a rule: {error}."))
    })?;
    let mut v = Validation::new();
    for (pointer, detail) in rule.faults() {
        v.wrong(format!("/rule{pointer}"), "invalid", detail);
    }
    v.finish()?;
    Ok(rule)
}

/// Writes a promotion, unless it would be one too many.
pub(crate) async fn put(tx: &mut PgConnection, change: &store::Change<'_>) -> Result<(), TransactionError<Failure>> {
    store::lock(tx).await?;
    if !store::put_promotion(tx, change).await? {
        let failure = Failure::new(Code::Conflict, "This id belongs to another merchant's promotion.");
        return Err(TransactionError::Refused(failure));
    }
    if !change.active {
        return Ok(());
    }
    match too_many(store::in_use(tx, change.merchant).await?) {
        Some((code, detail)) => {
            let failure = Failure::new(Code::ValidationFailed, detail);
            Err(TransactionError::Refused(failure.field("/active", code, detail)))
        }
        None => Ok(()),
    }
}

/// Why so much may not be active, as code and sentence. It is refused here because nothing is left out of quotes later.
fn too_many(in_use: store::InUse) -> Option<(&'static str, &'static str)> {
    let over = |used: i64, max: usize| usize::try_from(used).is_ok_and(|used| used > max);
    if over(in_use.own, OWNER_PROMOTIONS_MAX) {
        Some(("too_many", "At most 20 promotions of one owner are active at once: stop another one first."))
    } else if over(in_use.own_rule_bytes, OWNER_RULES_BYTES_MAX) {
        Some(("too_long", "The active rules of one owner have at most 32 KiB together: shorten or stop another one."))
    } else if over(in_use.all, PROMOTIONS_MAX) {
        Some((
            "shop_full",
            "The whole shop has at most 200 active promotions, and they are in use. Ask the marketplace.",
        ))
    } else if over(in_use.all_rule_bytes, RULES_BYTES_MAX) {
        Some(("shop_full", "The active rules of the whole shop have no room for this one. Ask the marketplace."))
    } else {
        None
    }
}

/// A promotion that was written, in use from the next quote on.
pub(crate) async fn used(pricing: &Pricing, id: PromotionId) -> Result<PromotionView, Failure> {
    active::refresh(pricing).await?;
    let views = store::promotions(pricing.context.postgres().pool(), &[], Some(id), None, 1).await?;
    views.into_iter().next().ok_or_else(Failure::internal)
}

pub(crate) async fn promotions(
    pricing: Pricing,
    call: Call,
    request: Promotions,
) -> Result<Page<PromotionView>, Failure> {
    let merchants = reads_of(&call.principal, None)?;
    let after = request
        .cursor
        .as_deref()
        .map(|cursor| cursor.parse().map_err(|_| Failure::new(Code::BadRequest, "This cursor is not one of ours.")))
        .transpose()?;
    let pool = pricing.context.postgres().pool();
    let found = store::promotions(pool, &merchants, None, after, PAGE_ITEMS_MAX + 1).await?;
    Ok(page(found, PAGE_ITEMS_MAX, |promotion| promotion.id.to_string()))
}

pub(crate) async fn audit(
    pricing: Pricing,
    call: Call,
    request: PromotionAudit,
) -> Result<Page<PromotionChange>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let wrong = |_| Failure::new(Code::BadRequest, "This cursor is not one of ours.");
    let before = request.cursor.as_deref().map(str::parse::<i64>).transpose().map_err(wrong)?;
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let limit = usize::try_from(limit).unwrap_or(PAGE_ITEMS_MAX);
    let found = store::audit::page(pricing.context.postgres().pool(), &merchants, before, limit + 1).await?;
    let Page { items, next_cursor } = page(found, limit, |(n, _)| n.to_string());
    Ok(Page { items: items.into_iter().map(|(_, change)| change).collect(), next_cursor })
}

pub(crate) async fn deactivate(pricing: Pricing, call: Call, request: PromotionDeactivate) -> Result<Done, Failure> {
    let (by, at) = (call.principal.who(), pricing.context.clock().now());
    let (by, principal, id) = (&by, &call.principal, request.promotion);
    pricing
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                store::lock(&mut tx).await?;
                let Some(merchant) = store::lock_promotion(&mut tx, id).await? else {
                    let failure = Failure::new(Code::NotFound, "There is no such promotion.");
                    return Err(TransactionError::Refused(failure));
                };
                // A marketplace's promotion is nobody's own: only admins may end it.
                if writes_for(principal, merchant).map_err(TransactionError::Refused)? != merchant {
                    return Err(TransactionError::Refused(Code::Forbidden.into()));
                }
                store::deactivate(&mut tx, id, by, at).await?;
                Ok(())
            })
        })
        .await?;
    active::refresh(&pricing).await?;
    Ok(Done {})
}
