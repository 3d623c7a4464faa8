//! What the catalogue hears from others: bands from inventory, ended sessions from identity.

use std::sync::Arc;

use bodega_domain::{
    catalog::keys,
    message::{identity::SessionRevoked, inventory::BandsChanged},
};
use bodega_platform::{Applied, EventTx, Received};

use crate::{State, requests::set_bands, store};

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
