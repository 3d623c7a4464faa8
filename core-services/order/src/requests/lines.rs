//! `order.v1.cancel` by line: some units of a paid order are called off before they were shipped.

use bodega_domain::{
    Code, Failure, Money,
    fulfilment::{self, Line, Picked},
    message::order::{CANCEL_REASONS, Cancel},
    saga::table::{Kind, Run},
};
use bodega_platform::{Call, TransactionError, Tx};

use super::{
    command::{cancel_print, word_of},
    returns::{amounts, worth},
    ship::{by_merchant, counted},
};
use crate::{
    Orders,
    runs::{self, Asked, Moving, Subject, Work},
    store::{self, read::StoredOrder},
};

/// Calls lines off. `false` when nothing of the order would be left: then all of it is called off, with its shipping; whoever
/// may call off only some of it is looked at once more then.
pub(super) async fn call_off(
    orders: &Orders,
    call: &Call,
    request: &Cancel,
    stored: &StoredOrder,
    who: &str,
) -> Result<bool, Failure> {
    let reason = word_of(&CANCEL_REASONS, request.reason.as_deref())?;
    let print = cancel_print(request);
    let asked = &Asked { who, key: &request.key, fingerprint: &print };
    let everything = call.principal.is_admin() || who == stored.owner;
    let staff = stored.content.lines.iter().any(|line| call.principal.acts_for(line.merchant));
    if request.refund.is_some() && !staff {
        let detail = "What goes back is what the articles cost.";
        return Err(Failure::from(Code::ValidationFailed).field("/refund", "forbidden", detail));
    }
    let said = request.refund;
    let mine = &|line: &Line| everything || call.principal.acts_for(line.merchant);
    let begun = orders
        .context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if !runs::fresh(&mut tx, stored.id, asked).await? {
                    return Ok(Some(Vec::new()));
                }
                let mut moving = Moving::paid(&mut tx, stored).await?.undisputed()?;
                let room = |line: &Line| if mine(line) { line.open() } else { 0 };
                let picked =
                    fulfilment::pick(&moving.lines, &request.lines, room).map_err(TransactionError::Refused)?;
                if is_all(&moving.lines, &picked) {
                    // The key is remembered with the whole.
                    store::saga::forget_key(&mut tx, who, &request.key).await?;
                    return Ok(None);
                }
                let data = serde_json::json!({ "units": counted(&moving.lines, &picked).1, "reason": reason });
                moving.note("cancel_requested", who, data);
                Ok::<_, TransactionError<Failure>>(Some(take_off(orders, &mut tx, moving, &picked, said, asked).await?))
            })
        })
        .await?;
    let Some(begun) = begun else { return Ok(false) };
    runs::lead(&orders.sagas, &call.context, begun).await?;
    Ok(true)
}

/// Whether nothing of an order is left without these units.
fn is_all(lines: &[Line], picked: &[Picked]) -> bool {
    let off = |index| picked.iter().filter(|p| p.index == index).map(|p| p.units).sum::<u32>();
    lines.iter().enumerate().all(|(index, line)| line.units.cancelled + off(index) == line.quantity)
}

/// Takes the units off and begins a saga for each merchant they belong to: money out of the own sale, stock back on the
/// own shelf.
async fn take_off(
    orders: &Orders,
    tx: &mut Tx<'_, '_>,
    mut moving: Moving<'_>,
    picked: &[Picked],
    said: Option<Money>,
    asked: &Asked<'_>,
) -> Result<Vec<uuid::Uuid>, TransactionError<Failure>> {
    let context = &orders.context;
    let (order, now) = (moving.stored.id, context.clock().now());
    let by_merchant = by_merchant(&moving.lines, picked);
    let several = by_merchant.len() > 1;
    let mut works = Vec::with_capacity(by_merchant.len());
    for (merchant, picked) in by_merchant {
        let (units, skus) = counted(&moving.lines, &picked);
        let left = store::units::part(tx, order, merchant).await?.left();
        let costs = worth(&moving.lines, &picked, Line::called_off).map_err(TransactionError::Refused)?;
        let left = costs.iter().map(|(_, amount)| *amount).sum::<i64>().min(left);
        if said.is_some() && several {
            let detail = "Call off one merchant's lines at a time when you say what goes back.";
            let failure = Failure::from(Code::ValidationFailed).field("/refund", "ambiguous", detail);
            return Err(TransactionError::Refused(failure));
        }
        let currency = moving.stored.content.currency;
        let (refund, refunds) = amounts(costs, currency, said, left).map_err(TransactionError::Refused)?;
        let amount = refund.amount();
        moving.change(&units, |units, count| units.cancelled += count);
        moving.refund(&refunds, 1);
        store::units::refund_part(tx, order, merchant, amount).await?;
        let id = uuid::Uuid::from_u128(context.entropy().uuid(now).as_u128());
        let cancellation = bodega_domain::id::CancellationId::from_u128(id.as_u128());
        let of_merchant = moving.lines.iter().filter(|line| line.merchant == merchant);
        let last = of_merchant.into_iter().all(|line| line.open() == 0 && line.units.preparing == 0);
        let of = Work::of(Subject::Cancellation(cancellation), merchant);
        let work = Work { units, skus, refund: Some(refund), refunds, last, ..of };
        works.push((id, Run::begin(Kind::CancelLines, now), work));
    }
    let begun = runs::begin(tx, order, asked, works).await?;
    moving.write(context, tx).await?;
    Ok(begun)
}
