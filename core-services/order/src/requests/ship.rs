//! `order.v1.{delivery,ship,track,deliver}`: a merchant sends what was bought.

use std::collections::{BTreeMap, BTreeSet};

use bodega_domain::{
    Code, Failure, Money,
    address::Address,
    failure::Validation,
    fulfilment::{self, Line, Picked},
    id::{MerchantId, ShipmentId},
    message::{
        inventory::Units,
        order::{Deliver, DeliverTo, Delivered, Delivery, Ship, Track},
    },
    order::{OrderStatus, OrderView, ShipmentState},
    principal::Principal,
    saga::table::{Kind, Run},
};
use bodega_platform::{Call, Context, DatabaseError, TransactionError, Tx};

use super::{check_key, command::fingerprint, load, returns::worth, visible};
use crate::{
    Orders,
    runs::{self, Asked, Moving, Subject, Work, conflict},
    store::{
        self, Entry,
        read::StoredOrder,
        units::{LineUnits, StoredShipment},
    },
};

/// Bytes of a carrier's name and of a tracking number.
const LABEL_BYTES_MAX: usize = 80;

/// The merchants of an order whose work the asker does. Who does none of it hears that there is no such order.
pub(super) fn staff_of(principal: &Principal, stored: &StoredOrder) -> Result<BTreeSet<MerchantId>, Failure> {
    let merchants = stored.content.lines.iter().map(|line| line.merchant);
    let own: BTreeSet<MerchantId> = merchants.filter(|merchant| principal.acts_for(*merchant)).collect();
    if own.is_empty() { Err(Code::OrderNotFound.into()) } else { Ok(own) }
}

/// The order as the asker sees it.
pub(super) async fn seen(
    orders: &Orders,
    call: &Call,
    order: bodega_domain::id::OrderId,
) -> Result<OrderView, Failure> {
    let stored = load(orders, order).await?;
    visible(orders, &call.principal, stored).ok_or_else(|| Code::OrderNotFound.into())
}

/// Picked units by line, and by SKU as inventory counts them.
pub(super) fn counted(lines: &[Line], picked: &[Picked]) -> (LineUnits, Vec<Units>) {
    let by_line = picked.iter().filter_map(|p| Some((lines.get(p.index)?.n, p.units))).collect();
    let by_sku = fulfilment::by_sku(lines, picked).into_iter().map(|(sku_no, quantity)| Units { sku_no, quantity });
    (by_line, by_sku.collect())
}

/// Picked units by whose they are: each merchant sees to the own.
pub(super) fn by_merchant(lines: &[Line], picked: &[Picked]) -> BTreeMap<MerchantId, Vec<Picked>> {
    let mut by_merchant: BTreeMap<MerchantId, Vec<Picked>> = BTreeMap::new();
    for one in picked {
        if let Some(line) = lines.get(one.index) {
            by_merchant.entry(line.merchant).or_default().push(*one);
        }
    }
    by_merchant
}

/// Where an order goes. A label needs it once the order is paid; whoever looks is named in the history, once.
pub(crate) async fn delivery(orders: Orders, call: Call, request: Delivery) -> Result<DeliverTo, Failure> {
    let stored = load(&orders, request.order).await?;
    staff_of(&call.principal, &stored)?;
    let sent = matches!(stored.status, OrderStatus::Paid | OrderStatus::InFulfilment | OrderStatus::Delivered);
    if !sent {
        return Err(conflict(stored.id, "Nothing of this order has to be sent now."));
    }
    let (context, who) = (&orders.context, call.principal.who());
    let address: Option<Address> = context
        .postgres()
        .transaction(|mut tx| {
            let who = who.clone();
            Box::pin(async move {
                let now = context.clock().now();
                let address = store::read::shipping_address(&mut *tx, request.order).await?;
                if !store::read::has_noted(&mut *tx, request.order, "address_read", &who).await? {
                    let data = serde_json::json!({});
                    let entry = Entry { order: request.order, what: "address_read", who, data };
                    store::append_history(&mut tx, &[entry], now).await?;
                }
                Ok::<_, TransactionError<Failure>>(address)
            })
        })
        .await?;
    let shipping_address = address.ok_or_else(|| conflict(stored.id, "Who ordered has been forgotten."))?;
    Ok(DeliverTo { shipping_address })
}

fn labels(v: &mut Validation, carrier: Option<&String>, tracking: Option<&String>) {
    for (pointer, label) in [("/carrier", carrier), ("/tracking", tracking)] {
        let fits = |label: &String| {
            !label.trim().is_empty() && label.len() <= LABEL_BYTES_MAX && !label.chars().any(char::is_control)
        };
        v.check(label.is_none_or(fits), pointer, "length", "1 to 80 bytes without control characters.");
    }
}

/// Whose goods are sent: named, or plain from the lines, or the only ones it can be.
fn whose(request: &Ship, stored: &StoredOrder, own: &BTreeSet<MerchantId>) -> Result<MerchantId, Failure> {
    let named = request.lines.iter().filter_map(|(sku, _)| stored.content.lines.iter().find(|line| line.sku == *sku));
    let of_lines: BTreeSet<MerchantId> = named.map(|line| line.merchant).collect();
    let candidates: Vec<MerchantId> = match request.merchant {
        Some(merchant) => vec![merchant],
        None if !of_lines.is_empty() => of_lines.iter().copied().collect(),
        None => own.iter().copied().collect(),
    };
    let mut v = Validation::new();
    let one = match candidates.as_slice() {
        [merchant] if own.contains(merchant) => Some(*merchant),
        _ => None,
    };
    v.check(one.is_some(), "/merchant", "required", "A shipment holds goods of one merchant: say whose.");
    labels(&mut v, request.carrier.as_ref(), request.tracking.as_ref());
    v.finish()?;
    one.ok_or_else(|| Code::ValidationFailed.into())
}

pub(crate) async fn ship(orders: Orders, call: Call, request: Ship) -> Result<OrderView, Failure> {
    check_key(&request.key)?;
    let stored = load(&orders, request.order).await?;
    let own = staff_of(&call.principal, &stored)?;
    let merchant = whose(&request, &stored, &own)?;
    let context = &orders.context;
    let (who, now) = (call.principal.who(), context.clock().now());
    let print = fingerprint(
        "ship",
        &(request.order, &request.lines, merchant, request.location, &request.carrier, &request.tracking),
    );
    let shipment = ShipmentId::new(now.unix_ms(), context.entropy().bytes());
    let asked = Asked { who: &who, key: &request.key, fingerprint: &print };
    let (request, stored, asked) = (&request, &stored, &asked);
    let begun = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                if !runs::fresh(&mut tx, stored.id, asked).await? {
                    return Ok(Vec::new());
                }
                let moving = Moving::paid(&mut tx, stored).await?.funded()?;
                prepare(context, &mut tx, moving, request, merchant, shipment, asked).await
            })
        })
        .await?;
    runs::lead(&orders.sagas, &call.context, begun).await?;
    seen(&orders, &call, request.order).await
}

/// Sets the units aside, so that nobody else sends or calls them off, and begins the saga of the shipment.
async fn prepare(
    context: &Context,
    tx: &mut Tx<'_, '_>,
    mut moving: Moving<'_>,
    request: &Ship,
    merchant: MerchantId,
    shipment: ShipmentId,
    asked: &Asked<'_>,
) -> Result<Vec<uuid::Uuid>, TransactionError<Failure>> {
    let (order, now) = (request.order, context.clock().now());
    let room = |line: &Line| if line.merchant == merchant { line.open() } else { 0 };
    let picked = fulfilment::pick(&moving.lines, &request.lines, room).map_err(TransactionError::Refused)?;
    let (units, skus) = counted(&moving.lines, &picked);
    let part = store::units::part(tx, order, merchant).await?;
    let take = part.at_shipment.then(|| price(&moving, merchant, &picked, part.total)).transpose();
    let take = take.map_err(TransactionError::Refused)?;
    moving.change(&units, |units, count| units.preparing += count);
    let stored = StoredShipment {
        id: shipment,
        merchant,
        state: ShipmentState::Preparing,
        units: units.clone(),
        taken: Vec::new(),
        carrier: request.carrier.clone(),
        tracking: request.tracking.clone(),
        shipped_at: None,
        delivered_at: None,
    };
    store::units::insert_shipment(tx, order, &stored, now).await?;
    let of_merchant = || moving.lines.iter().filter(|line| line.merchant == merchant);
    let own: u32 = units.iter().map(|(_, count)| *count).sum();
    let last = of_merchant().all(|line| line.open() == 0)
        && of_merchant().map(|line| line.units.preparing).sum::<u32>() == own;
    let kind = if take.is_some() { Kind::ShipAndCapture } else { Kind::Ship };
    let of = Work::of(Subject::Shipment(shipment), merchant);
    let work = Work { units, skus, location: request.location, take, last, ..of };
    let id = uuid::Uuid::from_u128(shipment.as_u128());
    let begun = runs::begin(tx, order, asked, vec![(id, Run::begin(kind, now), work)]).await?;
    moving.write(context, tx).await?;
    Ok(begun)
}

/// What is taken for a parcel: what its units cost, and with the first of a merchant what shipping costs.
fn price(moving: &Moving<'_>, merchant: MerchantId, picked: &[Picked], total: i64) -> Result<Money, Failure> {
    let units: i64 = worth(&moving.lines, picked, Line::price)?.iter().map(|(_, amount)| *amount).sum();
    let of_merchant = || moving.lines.iter().filter(|line| line.merchant == merchant);
    let first = of_merchant().all(|line| line.units.preparing == 0 && line.units.shipped == 0);
    let goods: i64 = of_merchant().map(|line| line.total.amount()).sum();
    let shipping = if first { (total - goods).max(0) } else { 0 };
    Money::new(units.saturating_add(shipping), moving.stored.content.currency).map_err(|_| Failure::internal())
}

/// Changes one shipment of an order whose work the asker does, under the order's lock.
async fn change(
    orders: &Orders,
    call: &Call,
    stored: &StoredOrder,
    id: ShipmentId,
    how: impl Fn(&mut Moving<'_>, &mut StoredShipment, bodega_domain::Timestamp) -> Result<bool, Failure> + Sync,
) -> Result<OrderView, Failure> {
    let own = &staff_of(&call.principal, stored)?;
    let (context, how) = (&orders.context, &how);
    context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let mut moving = Moving::paid(&mut tx, stored).await?;
                let shipments = store::units::shipments(&mut *tx, &[stored.id]).await?;
                let found = shipments.into_iter().map(|(_, shipment)| shipment);
                let found = found.into_iter().find(|s| s.id == id && own.contains(&s.merchant));
                let Some(mut shipment) = found else {
                    let failure = Failure::new(Code::NotFound, "This order has no such shipment.");
                    return Err(TransactionError::Refused(failure));
                };
                if how(&mut moving, &mut shipment, context.clock().now()).map_err(TransactionError::Refused)? {
                    store::units::put_shipment(&mut tx, &shipment).await?;
                    moving.write(context, &mut tx).await?;
                }
                Ok(())
            })
        })
        .await?;
    seen(orders, call, stored.id).await
}

pub(crate) async fn track(orders: Orders, call: Call, request: Track) -> Result<OrderView, Failure> {
    let mut v = Validation::new();
    labels(&mut v, request.carrier.as_ref(), request.tracking.as_ref());
    v.finish()?;
    let stored = load(&orders, request.order).await?;
    let who = call.principal.who();
    change(&orders, &call, &stored, request.shipment, |moving, shipment, _| {
        if shipment.state == ShipmentState::Failed {
            return Err(conflict(request.order, "This shipment did not come about."));
        }
        let same = shipment.carrier == request.carrier && shipment.tracking == request.tracking;
        shipment.carrier.clone_from(&request.carrier);
        shipment.tracking.clone_from(&request.tracking);
        if !same {
            moving.note("tracking_changed", &who, serde_json::json!({ "shipment": shipment.id }));
        }
        Ok(!same)
    })
    .await
}

pub(crate) async fn deliver(orders: Orders, call: Call, request: Deliver) -> Result<OrderView, Failure> {
    let stored = load(&orders, request.order).await?;
    let (context, who) = (orders.context.clone(), call.principal.who());
    change(&orders, &call, &stored, request.shipment, |moving, shipment, now| match shipment.state {
        ShipmentState::Delivered => Ok(false),
        ShipmentState::Preparing | ShipmentState::Failed => {
            Err(conflict(request.order, "This shipment has not left, so it cannot have arrived."))
        }
        ShipmentState::Shipped => {
            shipment.state = ShipmentState::Delivered;
            shipment.delivered_at = Some(now);
            moving.change(&shipment.units, |units, count| units.delivered += count);
            moving.note("delivered", &who, serde_json::json!({ "shipment": shipment.id }));
            let event = Delivered { order: request.order, shipment: shipment.id };
            moving.events.push(context.event(request.order, &event));
            Ok(true)
        }
    })
    .await
}

/// What the database said, where a handler reads outside a transaction.
pub(super) fn failed(error: sqlx::Error) -> Failure {
    DatabaseError::from(error).into()
}
