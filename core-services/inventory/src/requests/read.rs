//! `inventory.v1.{levels,movements,locations}`: what merchants and admins see.

use bodega_domain::{
    Code, Failure,
    catalog::SkuNo,
    id::{LocationId, MerchantId},
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        inventory::{Level, Levels, Location, Locations, MovementView, Movements},
    },
    principal::Principal,
};
use bodega_platform::{Call, Context, DatabaseError};
use uuid::Uuid;

use crate::store::{self, movements::MovementsQuery};

/// Locations of one answer: a marketplace has dozens.
const LOCATIONS_MAX: i64 = 1_000;

/// Whose stock the asker may see; an empty list is everybody's.
pub(super) fn reads_of(principal: &Principal, wanted: Option<MerchantId>) -> Result<Vec<MerchantId>, Failure> {
    let own: Vec<MerchantId> = principal.merchants().collect();
    let all = principal.acts_for_all();
    match wanted {
        Some(merchant) if all || own.contains(&merchant) => Ok(vec![merchant]),
        None if all => Ok(Vec::new()),
        None if !own.is_empty() => Ok(own),
        _ => Err(Code::Forbidden.into()),
    }
}

pub(crate) async fn levels(inventory: Context, call: Call, request: Levels) -> Result<Page<Level>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let after = request.cursor.as_deref().map(parse_cursor).transpose()?;
    let query = store::LevelsQuery { skus: request.sku_nos, merchants, after, limit: i64::from(limit) + 1 };
    let mut items = store::levels(inventory.postgres().pool(), &query).await.map_err(DatabaseError::from)?;
    let more = items.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        items.pop();
    }
    let next_cursor = items.last().filter(|_| more).map(|level| format!("{}~{}", level.sku_no, level.location));
    Ok(Page { items, next_cursor })
}

fn parse_cursor(text: &str) -> Result<(SkuNo, LocationId), Failure> {
    text.split_once('~')
        .and_then(|(sku, location)| Some((sku.parse().ok()?, location.parse().ok()?)))
        .ok_or_else(|| Failure::new(Code::BadRequest, "This cursor is not one of ours."))
}

pub(crate) async fn movements(
    inventory: Context,
    call: Call,
    request: Movements,
) -> Result<Page<MovementView>, Failure> {
    let merchants = reads_of(&call.principal, request.merchant)?;
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let wrong = |_| Failure::new(Code::BadRequest, "This cursor is not one of ours.");
    let before = request.cursor.as_deref().map(Uuid::try_parse).transpose().map_err(wrong)?;
    let query = MovementsQuery { skus: request.sku_nos, merchants, before, limit: i64::from(limit) + 1 };
    let pool = inventory.postgres().pool();
    let mut found = store::movements::movements(pool, &query).await.map_err(DatabaseError::from)?;
    let more = found.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        found.pop();
    }
    let next_cursor = found.last().filter(|_| more).map(|(id, _)| id.to_string());
    Ok(Page { items: found.into_iter().map(|(_, movement)| movement).collect(), next_cursor })
}

pub(crate) async fn locations(inventory: Context, _call: Call, _: Locations) -> Result<Vec<Location>, Failure> {
    let pool = inventory.postgres().pool();
    Ok(store::locations(pool, LOCATIONS_MAX).await.map_err(DatabaseError::from)?)
}
