//! `notification.v1.{mails,resend}`: what became of mails, and one more try.

use bodega_domain::{
    Code, Failure, Timestamp,
    id::MailId,
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        notification::{MailView, Mails, Resend},
    },
};
use bodega_platform::{Call, Context, DatabaseError};

use crate::store;

pub(crate) async fn mails(context: Context, _call: Call, request: Mails) -> Result<Page<MailView>, Failure> {
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let after = request.cursor.as_deref().map(parse_cursor).transpose()?;
    let pool = context.postgres().pool();
    let found = store::page(pool, request.order, request.state, after, i64::from(limit) + 1).await;
    let mut found = found.map_err(DatabaseError::from)?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > page;
    found.truncate(page);
    let last = found.last().map(|mail| format!("{}~{}", mail.view.created_at.unix_ms(), mail.view.id));
    Ok(Page { items: found.into_iter().map(|mail| mail.view).collect(), next_cursor: last.filter(|_| more) })
}

fn parse_cursor(text: &str) -> Result<(Timestamp, MailId), Failure> {
    text.split_once('~')
        .and_then(|(at, id)| Some((Timestamp::from_unix_ms(at.parse().ok()?), id.parse().ok()?)))
        .ok_or_else(|| Failure::new(Code::BadRequest, "This cursor is not one of ours."))
}

pub(crate) async fn resend(context: Context, _call: Call, request: Resend) -> Result<MailView, Failure> {
    let now = context.clock().now();
    let mail = store::again(context.postgres().pool(), request.mail, now).await.map_err(DatabaseError::from)?;
    mail.map(|mail| mail.view).ok_or_else(|| Code::NotFound.into())
}
