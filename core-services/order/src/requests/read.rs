//! `order.v1.{get,list,history}`: reads.

use bodega_domain::{
    Code, Failure,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        order::{Get, History, HistoryEntry, List, MailTo, Mailing},
    },
    order::OrderView,
};
use bodega_platform::{Call, DatabaseError};

use super::{cursor_at, load, owner_of, position_of, sees_all, view, visible};
use crate::{Orders, store, store::read::Whose};

/// Bytes of a page's orders: with the largest order on top an answer stays below `MESSAGE_BYTES_MAX`.
const PAGE_BYTES_MAX: usize = 700 * 1024;

pub(crate) async fn get(orders: Orders, call: Call, request: Get) -> Result<OrderView, Failure> {
    let stored = load(&orders, request.order).await?;
    visible(&orders, &call.principal, stored).ok_or_else(|| Code::OrderNotFound.into())
}

pub(crate) async fn list(orders: Orders, call: Call, request: List) -> Result<Page<OrderView>, Failure> {
    let admin = call.principal.acts_for_all();
    let merchants: Vec<_> = call.principal.merchants().collect();
    let whose = if !request.all {
        Whose::Owner(owner_of(&call)?.to_string())
    } else if admin {
        Whose::Everybodys
    } else if !merchants.is_empty() {
        Whose::Merchants(merchants)
    } else {
        return Err(Code::Forbidden.into());
    };
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let after = request.cursor.as_deref().map(position_of).transpose()?;
    let pool = orders.context.postgres().pool();
    let mut found = store::read::orders(pool, &whose, request.status, after, i64::from(limit) + 1)
        .await
        .map_err(DatabaseError::from)?;
    let more = found.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        found.pop();
    }
    let (mut items, mut bytes, mut last, mut full) = (Vec::new(), 0, None, false);
    for order in found {
        let position = cursor_at(order.placed_at, order.id);
        if let Some(seen) = visible(&orders, &call.principal, order) {
            let size = serde_json::to_vec(&seen).map_or(0, |json| json.len());
            full = !items.is_empty() && bytes + size > PAGE_BYTES_MAX;
            if full {
                break;
            }
            bytes += size;
            items.push(seen);
        }
        last = Some(position);
    }
    let next_cursor = last.filter(|_| more || full);
    Ok(Page { items, next_cursor })
}

pub(crate) async fn history(orders: Orders, call: Call, request: History) -> Result<Vec<HistoryEntry>, Failure> {
    let stored = load(&orders, request.order).await?;
    let (whole, owner) = (sees_all(&call.principal, &stored), stored.owner.clone());
    if visible(&orders, &call.principal, stored).is_none() {
        return Err(Code::OrderNotFound.into());
    }
    let entries = store::read::history(orders.context.postgres().pool(), request.order).await;
    let entries = entries.map_err(DatabaseError::from)?;
    if whole {
        return Ok(entries);
    }
    Ok(entries.into_iter().map(|entry| of_merchant(entry, &owner)).collect())
}

/// An entry as a merchant reads it: what happened and when. The rest names people and other merchants' amounts.
fn of_merchant(entry: HistoryEntry, owner: &str) -> HistoryEntry {
    let who = match entry.who {
        who if who.starts_with("service:") => who,
        who if who == owner || who.starts_with("link:") => "buyer".to_owned(),
        _ => "staff".to_owned(),
    };
    HistoryEntry { who, data: serde_json::json!({}), ..entry }
}

/// Whom to tell about an order, for the service that does.
pub(crate) async fn mailing(orders: Orders, _call: Call, request: Mailing) -> Result<MailTo, Failure> {
    let stored = load(&orders, request.order).await?;
    let pool = orders.context.postgres().pool();
    let contact = store::read::contact(pool, request.order).await.map_err(DatabaseError::from)?;
    Ok(MailTo { contact, order: view(&orders, stored, true) })
}
