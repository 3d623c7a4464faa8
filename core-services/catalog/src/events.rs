//! What the catalogue hears from others: bands from inventory, ended sessions from identity.

use std::{sync::Arc, time::Duration};

use bodega_domain::{
    catalog::keys,
    message::{identity::SessionRevoked, inventory::BandsChanged},
};
use bodega_platform::{Applied, EventTx, Received};

use crate::{
    State,
    requests::{put_views, set_bands},
    store,
};

/// Seconds between two looks for revocations that may be dropped.
const SWEEP_EVERY_S: u64 = 60;

/// Sets the bands; of several reports about a SKU the newest counts.
pub(crate) fn bands_changed<'t>(
    state: Arc<State>,
    mut tx: EventTx<'t>,
    events: Vec<Arc<Received<BandsChanged>>>,
) -> Applied<'t> {
    Box::pin(async move {
        let bands: Vec<_> = events.iter().flat_map(|event| event.data.bands.iter().copied()).collect();
        set_bands::apply(&mut tx, &bands).await?;
        // Before the commit: at worst the sequencer looks once in vain and finds it at its next look.
        state.changed.notify_one();
        Ok(())
    })
}

/// Puts ended sessions on the deny list of every edge.
pub(crate) fn session_revoked<'t>(
    state: Arc<State>,
    mut tx: EventTx<'t>,
    events: Vec<Arc<Received<SessionRevoked>>>,
) -> Applied<'t> {
    Box::pin(async move {
        let mut views = store::view::Views::default();
        let mut sessions = std::collections::BTreeMap::new();
        for event in &events {
            sessions.insert(event.data.session.to_string(), event.data.until);
        }
        for (session, until) in sessions {
            views.put(keys::REVOKED, session, format!("\"{until}\""));
        }
        store::view::write(&mut tx, &views).await?;
        state.changed.notify_one();
        Ok(())
    })
}

/// Takes spent revocations off the edges: the last token of their session has expired.
pub(crate) async fn drop_spent_revocations(state: Arc<State>) {
    loop {
        let now = state.context.clock().now();
        match store::read::spent_revocations(state.context.postgres().pool(), now).await {
            Ok(sessions) if sessions.is_empty() => {}
            Ok(sessions) => {
                let entries: Vec<_> = sessions.into_iter().map(|key| (keys::REVOKED.to_owned(), key, None)).collect();
                if let Err(error) = put_views::put(&state, &entries).await {
                    tracing::warn!(%error, "spent revocations stay for now");
                }
            }
            Err(error) => tracing::warn!(%error, "spent revocations could not be looked for"),
        }
        if state.context.tasks().pause(Duration::from_secs(SWEEP_EVERY_S)).await {
            return;
        }
    }
}
