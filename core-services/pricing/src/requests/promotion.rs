//! `pricing.v1.{put_rule,promotions,promotion_deactivate}`: declarative promotions, and what takes part in quotes.

use bodega_domain::{
    Code, Failure,
    failure::Validation,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Done, Page,
        pricing::{PromotionDeactivate, PromotionView, Promotions, PutRule},
    },
    promotion::Rule,
};
use bodega_platform::{Call, TransactionError};

use super::{reads_of, who, writes_for};
use crate::{Pricing, active, store};

pub(crate) async fn put_rule(pricing: Pricing, call: Call, request: PutRule) -> Result<PromotionView, Failure> {
    let merchant = writes_for(&call.principal, request.merchant)?;
    let rule = parse(&request, merchant)?;
    let (by, at) = (who(&call.principal), pricing.context.clock().now());
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
    put(&pricing, &change).await
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

/// Writes a promotion and uses it from the next quote on.
pub(crate) async fn put(pricing: &Pricing, change: &store::Change<'_>) -> Result<PromotionView, Failure> {
    pricing
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if store::put_promotion(&mut tx, change).await? {
                    return Ok(());
                }
                let failure = Failure::new(Code::Conflict, "This id belongs to another merchant's promotion.");
                Err(TransactionError::Refused(failure))
            })
        })
        .await?;
    active::refresh(pricing).await?;
    let views = store::promotions(pricing.context.postgres().pool(), &[], Some(change.id), None, 1).await?;
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
    let limit = i64::from(LIST_LIMIT_MAX.max(LIST_LIMIT_DEFAULT));
    let items = store::promotions(pricing.context.postgres().pool(), &merchants, None, after, limit).await?;
    let full = i64::try_from(items.len()).unwrap_or(i64::MAX) == limit;
    let next_cursor = items.last().filter(|_| full).map(|last| last.id.to_string());
    Ok(Page { items, next_cursor })
}

pub(crate) async fn deactivate(pricing: Pricing, call: Call, request: PromotionDeactivate) -> Result<Done, Failure> {
    let (by, at) = (who(&call.principal), pricing.context.clock().now());
    let (by, principal, id) = (&by, &call.principal, request.promotion);
    pricing
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
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
