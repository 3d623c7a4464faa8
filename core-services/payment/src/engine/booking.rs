//! Brings the books of changed intents up to what is known of their money.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    id::{IntentId, MerchantId, RefundId},
    ledger::{self, Giving, Known},
};
use bodega_platform::Tx;

use crate::{
    changes::Changes,
    intent::{Intent, parcels::Made},
    store,
};

/// Adds the transfers that are missing. Costs nothing when no money moved.
pub(super) async fn book(
    tx: &mut Tx<'_, '_>,
    intents: &mut BTreeMap<IntentId, Intent>,
    made: &mut BTreeMap<IntentId, Made>,
    changes: &mut Changes,
) -> Result<(), sqlx::Error> {
    let moved = |intent: &&Intent| {
        let (booked, known) = (intent.booked, intent.known());
        let now = Known { captured: booked.captured, refunded: booked.refunded, asked: 0, disputed: booked.disputed };
        let may_apply = booked.unapplied() > 0 && known.asked > booked.applied;
        Known { asked: 0, ..known } != now || may_apply
    };
    // An answer may tell that money went back out of another sale than was believed.
    let answered: BTreeSet<IntentId> = changes.refunds_answered.iter().map(|(_, intent, _)| *intent).collect();
    let ids: Vec<IntentId> = intents
        .values()
        .filter(|intent| moved(intent) || answered.contains(&intent.id))
        .map(|intent| intent.id)
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let at_shipment = |id: &IntentId| intents.get(id).is_some_and(|intent| !intent.parcels.at_shipment.is_empty());
    let (parcelled, whole): (Vec<IntentId>, Vec<IntentId>) = ids.iter().copied().partition(at_shipment);
    let mut shares = if whole.is_empty() { BTreeMap::new() } else { store::ledger::shares(tx, &whole).await? };
    // Parcel by parcel merchants are credited in the order in which their money was asked for.
    shares.extend(parcelled.into_iter().filter_map(|id| Some((id, made.remove(&id)?.asked()))));
    // Only who gives back, or holds back, has to know what each account holds.
    let backwards = |id: &&IntentId| intents.get(id).is_some_and(|intent| intent.booked.captured > 0);
    let mut accounts = store::ledger::accounts(tx, &ids.iter().filter(backwards).copied().collect::<Vec<_>>()).await?;
    let gives = |id: &&IntentId| {
        let more = |intent: &Intent| intent.known().refunded > intent.booked.refunded;
        answered.contains(id) || intents.get(id).is_some_and(more)
    };
    let mut refunds = refunds(tx, &ids.iter().filter(gives).copied().collect::<Vec<_>>(), changes).await?;
    for id in ids {
        let Some(intent) = intents.get_mut(&id) else { continue };
        let (shares, accounts) = (shares.remove(&id).unwrap_or_default(), accounts.remove(&id).unwrap_or_default());
        let (alone, together) = (accounts.alone, accounts.together);
        let giving = refunds.remove(&id).map_or_else(Giving::default, |refunds| Giving { refunds, alone, together });
        let (transfers, booked) =
            ledger::book(&shares, intent.amount.currency(), intent.booked, intent.known(), accounts.held, &giving);
        changes.transfers.extend(transfers.into_iter().map(|transfer| (intent.id, intent.order, transfer)));
        if booked != intent.booked {
            intent.booked = booked;
            changes.touched.push(id);
        }
    }
    Ok(())
}

/// These intents' refunds as [`Giving`] wants them: first those of which the provider has said that they are done, this
/// batch included, then those that were asked for.
async fn refunds(
    tx: &mut Tx<'_, '_>,
    intents: &[IntentId],
    changes: &Changes,
) -> Result<BTreeMap<IntentId, Vec<(Option<MerchantId>, i64)>>, sqlx::Error> {
    let answered: BTreeMap<RefundId, bool> =
        changes.refunds_answered.iter().map(|(id, _, done)| (*id, *done)).collect();
    let mut known = store::records::refunds_of(tx, intents).await?;
    let mut of = |intent: &IntentId| {
        let mut refunds: Vec<_> =
            known.remove(intent).unwrap_or_default().into_iter().map(|(_, refund)| refund).collect();
        refunds.retain(|refund| refund.done || answered.get(&refund.id) != Some(&false));
        refunds.sort_by_key(|refund| !(refund.done || answered.contains_key(&refund.id)));
        (*intent, refunds.into_iter().map(|refund| (refund.merchant, refund.amount.amount())).collect())
    };
    Ok(intents.iter().map(&mut of).collect())
}
