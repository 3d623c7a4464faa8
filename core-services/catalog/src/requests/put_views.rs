//! `catalog.v1.put_views`: views whose content belongs to other services.

use std::sync::Arc;

use bodega_domain::{
    Code, Failure,
    catalog::keys,
    failure::Validation,
    message::{Done, catalog::PutViews},
};
use bodega_platform::{Call, TransactionError};

use crate::{
    State,
    limits::{PUT_VIEW_BYTES_MAX, PUT_VIEWS_MAX, VIEW_KEY_BYTES_MAX},
    store::view::{self, Views},
    validate,
};

/// Kinds that others may put; the rest is made here.
const KINDS: [&str; 4] = [keys::FLAG, keys::PROMOTIONS, keys::PUBLIC_KEYS, keys::REVOKED];

type Entry = (String, String, Option<serde_json::Value>);

pub(crate) async fn put_views(state: Arc<State>, _call: Call, request: PutViews) -> Result<Done, Failure> {
    check(&request.entries)?;
    put(&state, &request.entries).await?;
    Ok(Done {})
}

/// Puts views without looking at their kind. Of a key that comes twice the last one counts.
pub(crate) async fn put(state: &State, entries: &[Entry]) -> Result<(), Failure> {
    let mut last = std::collections::BTreeMap::new();
    for (kind, key, body) in entries {
        last.insert((kind, key), body);
    }
    let mut views = Views::default();
    for ((kind, key), body) in last {
        match body {
            Some(body) => views.put(kind, key.as_str(), body.to_string()),
            None => views.delete(kind, key.as_str()),
        }
    }
    let views = &views;
    let written = state.context.postgres().transaction(|mut tx| {
        Box::pin(async move { view::write(&mut tx, views).await.map_err(TransactionError::<Failure>::from) })
    });
    written.await?;
    state.changed.notify_one();
    Ok(())
}

fn check(entries: &[Entry]) -> Result<(), Failure> {
    if entries.len() > PUT_VIEWS_MAX {
        return Err(Failure::from(Code::ValidationFailed).field("/entries", "too_many", "At most 1,000 at once."));
    }
    let mut v = Validation::new();
    for (index, (kind, key, body)) in entries.iter().enumerate() {
        let at = format!("/entries/{index}");
        v.check(KINDS.contains(&kind.as_str()), &format!("{at}/0"), "kind", "Not a kind that others put.");
        let written = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        let proper = !key.is_empty() && key.len() <= VIEW_KEY_BYTES_MAX && key.bytes().all(written);
        v.check(proper, &format!("{at}/1"), "key", "Lower-case letters, digits, dots, dashes, underscores.");
        let small = body.as_ref().is_none_or(|body| body.to_string().len() <= PUT_VIEW_BYTES_MAX);
        v.check(small, &format!("{at}/2"), "too_long", "At most 256 KiB.");
    }
    validate::finish(v)
}
