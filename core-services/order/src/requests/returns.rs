//! `order.v1.{return,returns,decide_return,receive_return}`: goods that come back.

use bodega_domain::{
    Code, Currency, Failure, Money,
    failure::Validation,
    fulfilment::{self, Line, Picked},
    id::{LocationId, MerchantId, OrderId, ReturnId},
    limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX},
    message::{
        Page,
        inventory::{Locations, Taken},
        order::{
            DecideReturn, RETURN_REASONS, ReceiveReturn, Received, Return, ReturnAnswer, ReturnChanged, ReturnOf,
            ReturnVerdict, Returns,
        },
    },
    money::MoneyError,
    order::{OrderView, ReturnState},
    principal::Principal,
    saga::table::{Kind, Run},
};
use bodega_platform::{Call, Context, TransactionError, Tx};

use super::{
    check_key,
    command::{fingerprint, word_of},
    cursor_at, load, owner_of, position_of,
    ship::{by_merchant, counted, failed, seen, staff_of},
    view,
};
use crate::{
    Orders,
    runs::{self, Asked, Moving, Subject, Work, conflict},
    store::{self, read::StoredOrder, units::StoredReturn},
};

pub(crate) async fn give_back(orders: Orders, call: Call, request: Return) -> Result<ReturnAnswer, Failure> {
    check_key(&request.key)?;
    let owner = owner_of(&call)?.to_string();
    let stored = load(&orders, request.order).await?;
    if stored.owner != owner {
        return Err(Code::OrderNotFound.into());
    }
    let mut v = Validation::new();
    v.check(!request.lines.is_empty(), "/lines", "required", "Name at least one line.");
    v.finish()?;
    let reason = word_of(&RETURN_REASONS, request.reason.as_deref())?;
    let context = &orders.context;
    let print = fingerprint("return", &(request.order, &request.lines, reason));
    let asked = Asked { who: &owner, key: &request.key, fingerprint: &print };
    let (request, stored, asked) = (&request, &stored, &asked);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if !runs::fresh(&mut tx, stored.id, asked).await? {
                    return Ok(());
                }
                let mut moving = Moving::paid(&mut tx, stored).await?;
                if moving.lines.iter().all(|line| line.units.shipped == 0) {
                    let detail = "Nothing has been shipped yet: cancel the order instead.";
                    return Err(TransactionError::Refused(conflict(stored.id, detail)));
                }
                let picked = fulfilment::pick(&moving.lines, &request.lines, Line::returnable);
                let picked = picked.map_err(TransactionError::Refused)?;
                let now = context.clock().now();
                let new = |merchant, units| StoredReturn {
                    id: ReturnId::new(now.unix_ms(), context.entropy().bytes()),
                    merchant,
                    state: ReturnState::Requested,
                    units,
                    reason: reason.map(str::to_owned),
                    refund: None,
                    requested_at: now,
                };
                // A return for each merchant whose goods are in it.
                let returns: Vec<StoredReturn> = by_merchant(&moving.lines, &picked)
                    .into_iter()
                    .map(|(merchant, picked)| new(merchant, counted(&moving.lines, &picked).0))
                    .collect();
                for asked_back in &returns {
                    moving.change(&asked_back.units, |units, count| units.returning += count);
                    let data =
                        serde_json::json!({ "return": asked_back.id, "units": asked_back.units, "reason": reason });
                    moving.note("return_requested", asked.who, data);
                    moving.events.push(context.event(
                        stored.id,
                        &ReturnChanged { order: stored.id, r#return: asked_back.id, state: ReturnState::Requested },
                    ));
                }
                store::units::insert_returns(&mut tx, stored.id, &returns).await?;
                moving.write(context, &mut tx).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    let stored = load(&orders, request.order).await?;
    // The first of the latest moment: a repetition is answered like the first time while nothing newer was asked for.
    let latest = stored.return_requests.iter().map(|asked| asked.requested_at).max();
    let id = stored.return_requests.iter().find(|asked| Some(asked.requested_at) == latest).map(|asked| asked.id);
    let id = id.ok_or_else(Failure::internal)?;
    Ok(ReturnAnswer { id, order: view(&orders, stored, true) })
}

/// A return that the asker may decide about.
fn find(returns: Vec<(OrderId, StoredReturn)>, principal: &Principal, id: ReturnId) -> Result<StoredReturn, Failure> {
    let found = returns.into_iter().map(|(_, asked)| asked).find(|asked| asked.id == id);
    let found = found.filter(|asked| principal.acts_for(asked.merchant));
    found.ok_or_else(|| Failure::new(Code::NotFound, "This order has no such return."))
}

pub(crate) async fn decide(orders: Orders, call: Call, request: DecideReturn) -> Result<OrderView, Failure> {
    let stored = load(&orders, request.order).await?;
    staff_of(&call.principal, &stored)?;
    let (context, principal, stored) = (&orders.context, &call.principal, &stored);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let mut moving = Moving::paid(&mut tx, stored).await?;
                let returns = store::units::returns(&mut *tx, &[stored.id]).await?;
                let mut asked = find(returns, principal, request.r#return).map_err(TransactionError::Refused)?;
                let (state, what) = match request.verdict {
                    ReturnVerdict::Approve => (ReturnState::Approved, "return_approved"),
                    ReturnVerdict::Refuse => (ReturnState::Refused, "return_refused"),
                };
                // An approval may be taken back as long as nothing has come.
                let may = match asked.state {
                    now if now == state => return Ok(()),
                    ReturnState::Requested => true,
                    ReturnState::Approved => state == ReturnState::Refused,
                    ReturnState::Refused | ReturnState::Receiving | ReturnState::Received => false,
                };
                if !may {
                    let detail = format!("This return is {} already.", asked.state.as_str());
                    return Err(TransactionError::Refused(conflict(stored.id, &detail)));
                }
                asked.state = state;
                if state == ReturnState::Refused {
                    moving.change(&asked.units, |units, count| units.returning = units.returning.saturating_sub(count));
                }
                store::units::put_return(&mut tx, &asked).await?;
                moving.note(what, &principal.who(), serde_json::json!({ "return": asked.id }));
                let changed = ReturnChanged { order: stored.id, r#return: asked.id, state };
                moving.events.push(context.event(stored.id, &changed));
                moving.write(context, &mut tx).await?;
                Ok::<_, TransactionError<Failure>>(())
            })
        })
        .await?;
    seen(&orders, &call, request.order).await
}

pub(crate) async fn receive(orders: Orders, call: Call, request: ReceiveReturn) -> Result<OrderView, Failure> {
    check_key(&request.key)?;
    let stored = load(&orders, request.order).await?;
    staff_of(&call.principal, &stored)?;
    find(
        stored.return_requests.iter().map(|asked| (stored.id, asked.clone())).collect(),
        &call.principal,
        request.r#return,
    )?;
    let context = &orders.context;
    // Looked at before the money goes back: afterwards it would have to wait for a person.
    let locations = context.bus().request(&Locations::default(), &call.context).await?;
    let first = locations.first().map(|location| location.id);
    if let Some(location) = request.location {
        let mut v = Validation::new();
        let known = locations.iter().any(|known| known.id == location);
        v.check(known, "/location", "unknown", "There is no such location.");
        v.finish()?;
    }
    let who = call.principal.who();
    let print =
        fingerprint("receive", &(request.order, request.r#return, &request.lines, request.location, request.refund));
    let asked = Asked { who: &who, key: &request.key, fingerprint: &print };
    let (request, stored, asked, principal) = (&request, &stored, &asked, &call.principal);
    let begun = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if !runs::fresh(&mut tx, stored.id, asked).await? {
                    return Ok(Vec::new());
                }
                let moving = Moving::paid(&mut tx, stored).await?.undisputed()?;
                let returns = store::units::returns(&mut *tx, &[stored.id]).await?;
                let back = find(returns, principal, request.r#return).map_err(TransactionError::Refused)?;
                if back.state != ReturnState::Approved {
                    let detail =
                        format!("This return is {}: only an approved one can be received.", back.state.as_str());
                    return Err(TransactionError::Refused(conflict(stored.id, &detail)));
                }
                take_in(context, &mut tx, moving, request, back, first, asked).await
            })
        })
        .await?;
    runs::lead(&orders.sagas, &call.context, begun).await?;
    seen(&orders, &call, request.order).await
}

/// What came of a return: the units, and those of them that go back on the shelf.
fn came(lines: &[Line], back: &StoredReturn, received: &[Received]) -> Result<(Vec<Picked>, Vec<Picked>), Failure> {
    let asked = |line: &Line| back.units.iter().filter(|(n, _)| *n == line.n).map(|(_, count)| *count).sum::<u32>();
    let wish = |count: fn(&Received) -> u32| -> Vec<(String, u32)> {
        received.iter().map(|r| (r.sku.clone(), count(r))).filter(|(_, count)| *count > 0).collect()
    };
    let all = wish(|r| r.restock.saturating_add(r.write_off));
    if !received.is_empty() && all.is_empty() {
        let detail = "Say how many came. When nothing came, refuse the return.";
        return Err(Failure::from(Code::ValidationFailed).field("/lines", "required", detail));
    }
    let units = fulfilment::pick(lines, &all, asked)?;
    let shelf = wish(|r| r.restock);
    // Nothing said of any line: everything is as good as new.
    let shelf = if received.is_empty() {
        units.clone()
    } else if shelf.is_empty() {
        Vec::new()
    } else {
        fulfilment::pick(lines, &shelf, asked)?
    };
    Ok((units, shelf))
}

/// Counts what came, claims what goes back for it, and begins the saga that sees to money and shelf.
async fn take_in(
    context: &Context,
    tx: &mut Tx<'_, '_>,
    mut moving: Moving<'_>,
    request: &ReceiveReturn,
    mut back: StoredReturn,
    anywhere: Option<LocationId>,
    asked: &Asked<'_>,
) -> Result<Vec<uuid::Uuid>, TransactionError<Failure>> {
    let (order, merchant, now) = (request.order, back.merchant, context.clock().now());
    let (picked, shelf) = came(&moving.lines, &back, &request.lines).map_err(TransactionError::Refused)?;
    let (units, skus) = counted(&moving.lines, &picked);
    let (_, shelf) = counted(&moving.lines, &shelf);
    let left = store::units::part(tx, order, merchant).await?.left();
    let costs = worth(&moving.lines, &picked, Line::returned).map_err(TransactionError::Refused)?;
    let currency = moving.stored.content.currency;
    let (refund, refunds) = amounts(costs, currency, request.refund, left).map_err(TransactionError::Refused)?;
    let shipments = store::units::shipments(&mut **tx, &[order]).await?;
    let from = |sku_no| {
        let taken = shipments.iter().flat_map(|(_, shipment)| &shipment.taken);
        taken.filter(|taken| taken.sku_no == sku_no).map(|taken| taken.location).next()
    };
    let put = |units: bodega_domain::message::inventory::Units| {
        let location = request.location.or_else(|| from(units.sku_no)).or(anywhere)?;
        Some(Taken { sku_no: units.sku_no, location, quantity: units.quantity })
    };
    let shelf: Vec<Taken> = shelf.into_iter().filter_map(put).collect();
    let before = std::mem::replace(&mut back.units, units.clone());
    // What did not come stays asked for until this is done: if it is not, all of it is on its way as before.
    moving.change(&units, |units, count| {
        units.returning = units.returning.saturating_sub(count);
        units.returned += count;
    });
    moving.refund(&refunds, 1);
    store::units::refund_part(tx, order, merchant, refund.amount()).await?;
    back.state = ReturnState::Receiving;
    back.refund = Some(refund.amount());
    store::units::put_return(tx, &back).await?;
    let id = uuid::Uuid::from_u128(context.entropy().uuid(now).as_u128());
    let work = Work {
        units,
        skus,
        refund: Some(refund),
        refunds,
        location: request.location,
        shelf,
        asked: before,
        ..Work::of(Subject::Return(back.id), merchant)
    };
    let begun = runs::begin(tx, order, asked, vec![(id, Run::begin(Kind::ReceiveReturn, now), work)]).await?;
    moving.write(context, tx).await?;
    Ok(begun)
}

/// What goes back, and what of it each line gives: what the units `costs`, by line, or what the merchant says,
/// which may hold shipping too.
pub(super) fn amounts(
    mut costs: Vec<(u16, i64)>,
    currency: Currency,
    said: Option<Money>,
    left: i64,
) -> Result<(Money, Vec<(u16, i64)>), Failure> {
    let cost: i64 = costs.iter().map(|(_, amount)| *amount).sum();
    let amount = match said {
        None => cost.min(left),
        Some(said) => {
            let mut v = Validation::new();
            let same = said.currency() == currency;
            v.check(same, "/refund/currency", "currency_mismatch", "In the currency of the order.");
            let fits = said.amount() >= 0 && said.amount() <= left;
            v.check(!same || fits, "/refund/amount", "out_of_range", &format!("Between 0 and {left} minor units."));
            v.finish()?;
            said.amount()
        }
    };
    // Less than the units cost comes out of their lines in turn; what is more is shipping, and no line's.
    let mut rest = amount;
    for (_, of_line) in &mut costs {
        *of_line = (*of_line).min(rest);
        rest -= *of_line;
    }
    let amount = Money::new(amount, currency).map_err(|_| Failure::from(Code::AmountExceeded))?;
    Ok((amount, costs))
}

/// What these units cost, by line, as they leave, are called off or came back.
pub(super) fn worth(
    lines: &[Line],
    picked: &[Picked],
    cost: fn(&Line, u32) -> Result<Money, MoneyError>,
) -> Result<Vec<(u16, i64)>, Failure> {
    let of = |p: &Picked| lines.get(p.index).map(|line| Ok((line.n, cost(line, p.units)?.amount())));
    let worth: Result<Vec<_>, MoneyError> = picked.iter().filter_map(of).collect();
    worth.map_err(|_| Failure::internal())
}

pub(crate) async fn list(orders: Orders, call: Call, request: Returns) -> Result<Page<ReturnOf>, Failure> {
    let all = call.principal.acts_for_all();
    let merchants: Vec<MerchantId> = if all { Vec::new() } else { call.principal.merchants().collect() };
    if !all && merchants.is_empty() {
        return Err(Code::Forbidden.into());
    }
    let limit = request.limit.unwrap_or(LIST_LIMIT_DEFAULT).clamp(1, LIST_LIMIT_MAX);
    let after = request.cursor.as_deref().map(position_of).transpose()?;
    let pool = orders.context.postgres().pool();
    let mut found = store::units::returns_page(pool, &merchants, request.state, after, i64::from(limit) + 1)
        .await
        .map_err(failed)?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > page;
    found.truncate(page);
    let ids: Vec<OrderId> = found.iter().map(|(order, _)| *order).collect();
    let of = store::read::orders_of_ids(pool, &ids).await.map_err(failed)?;
    let last = found.last().map(|(_, asked)| cursor_at(asked.requested_at, asked.id));
    let item = |(order, asked): (OrderId, StoredReturn)| {
        let stored: &StoredOrder = of.get(&order)?;
        Some(ReturnOf { order, number: stored.number.clone(), view: super::return_view(stored, &asked) })
    };
    Ok(Page { items: found.into_iter().filter_map(item).collect(), next_cursor: last.filter(|_| more) })
}
