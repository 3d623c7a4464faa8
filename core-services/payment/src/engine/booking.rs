//! Brings the books of changed intents up to what is known of their money.

use std::collections::BTreeMap;

use bodega_domain::{
    id::IntentId,
    ledger::{self, Known},
};
use bodega_platform::Tx;

use crate::{changes::Changes, intent::Intent, store};

/// Adds the transfers that are missing. Costs nothing when no money moved.
pub(super) async fn book(
    tx: &mut Tx<'_, '_>,
    intents: &mut BTreeMap<IntentId, Intent>,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    let moved = |intent: &&Intent| {
        let (booked, known) = (intent.booked, intent.known());
        let now = Known { captured: booked.captured, refunded: booked.refunded, asked: 0, disputed: booked.disputed };
        let may_apply = booked.unapplied() > 0 && known.asked > booked.applied;
        Known { asked: 0, ..known } != now || may_apply
    };
    let ids: Vec<IntentId> = intents.values().filter(moved).map(|intent| intent.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut shares = store::ledger::shares(tx, &ids).await?;
    // Only who gives back, or holds back, has to know what each account holds.
    let backwards = |id: &&IntentId| intents.get(id).is_some_and(|intent| intent.booked.captured > 0);
    let mut held = store::ledger::held(tx, &ids.iter().filter(backwards).copied().collect::<Vec<_>>()).await?;
    for id in ids {
        let Some(intent) = intents.get_mut(&id) else { continue };
        let (shares, held) = (shares.remove(&id).unwrap_or_default(), held.remove(&id).unwrap_or_default());
        let (transfers, booked) = ledger::book(&shares, intent.amount.currency(), intent.booked, intent.known(), held);
        intent.booked = booked;
        changes.transfers.extend(transfers.into_iter().map(|transfer| (intent.id, intent.order, transfer)));
        changes.touched.push(id);
    }
    Ok(())
}
