//! What happens to an order after it was placed, by the rules of the order service.

use bodega_domain::{
    Code, Failure, Timestamp,
    fulfilment::{self, Line, Picked, pick},
    id::{ReturnId, ShipmentId},
    message::order::{CANCEL_REASONS, Cancel, RETURN_REASONS, Return},
    order::{Fulfilment, OrderStatus, OrderView, ReturnState, ReturnView, ShipmentState, ShipmentView},
};

use super::{NOON_MS, goods};

fn lines(order: &OrderView) -> Vec<Line> {
    let lines = order.lines.iter().zip(0..);
    lines
        .map(|(line, n)| Line {
            n,
            sku_no: line.sku_no,
            sku: line.sku.clone(),
            merchant: line.merchant,
            quantity: line.quantity,
            total: line.total,
            refunded: bodega_domain::Money::zero(line.total.currency()),
            units: line.units,
        })
        .collect()
}

fn derive(order: &mut OrderView) {
    let units = || order.lines.iter().map(|line| (line.quantity, &line.units));
    let (sent, back) = (fulfilment::fulfilment(units()), fulfilment::returns(units()));
    (order.status, order.fulfilment, order.returns) = (fulfilment::status(order.status, sent), sent, back);
}

fn known(list: &[&str], reason: Option<&String>) -> Result<(), Failure> {
    let known = reason.is_none_or(|reason| list.contains(&reason.as_str()));
    if known {
        Ok(())
    } else {
        Err(Failure::from(Code::ValidationFailed).field("/reason", "unknown", "Not of the list."))
    }
}

fn conflict() -> Failure {
    Failure::new(Code::OrderStateConflict, "This order cannot be changed like this now.")
}

pub fn ship(order: &mut OrderView, sku: &str, pieces: u32) {
    order.lines.iter_mut().find(|line| line.sku == sku).unwrap().units.shipped += pieces;
    order.shipments.push(ShipmentView {
        id: ShipmentId::from_u128(order.shipments.len() as u128),
        merchant: goods::MERCHANT,
        lines: vec![(sku.into(), pieces)],
        state: ShipmentState::Shipped,
        carrier: Some("Corner <Post>".into()),
        tracking: Some("CP 42".into()),
        shipped_at: Some(Timestamp::from_unix_ms(NOON_MS)),
        delivered_at: None,
    });
    derive(order);
}

pub fn cancel(order: &mut OrderView, wish: &Cancel) -> Result<(), Failure> {
    known(&CANCEL_REASONS, wish.reason.as_ref())?;
    if wish.lines.is_empty() {
        if order.fulfilment != Fulfilment::None {
            return Err(conflict());
        }
        order.status = OrderStatus::Cancelled;
        return Ok(());
    }
    if !matches!(order.status, OrderStatus::Paid | OrderStatus::InFulfilment) {
        return Err(conflict());
    }
    for Picked { index, units } in pick(&lines(order), &wish.lines, Line::open)? {
        order.lines[index].units.cancelled += units;
    }
    if order.lines.iter().all(|line| line.units.cancelled == line.quantity) {
        order.status = OrderStatus::Cancelled;
    } else {
        derive(order);
    }
    Ok(())
}

pub fn give_back(order: &mut OrderView, wish: &Return, now: Timestamp) -> Result<(), Failure> {
    known(&RETURN_REASONS, wish.reason.as_ref())?;
    if order.fulfilment == Fulfilment::None {
        return Err(conflict());
    }
    for Picked { index, units } in pick(&lines(order), &wish.lines, Line::returnable)? {
        order.lines[index].units.returning += units;
    }
    order.return_requests.push(ReturnView {
        id: ReturnId::from_u128(order.return_requests.len() as u128),
        merchant: goods::MERCHANT,
        lines: wish.lines.clone(),
        state: ReturnState::Requested,
        reason: wish.reason.clone(),
        requested_at: now,
        refund: None,
    });
    derive(order);
    Ok(())
}
