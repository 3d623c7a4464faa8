//! `payment.v1.{capture_parcel,call_off}`: goods leave, or never will. Takes their money where it waits for that; gives up what
//! waits and gives back what was taken.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    failure::Validation,
    id::RefundId,
    message::payment::{CallOff, CaptureParcel, ParcelMoney, RefundAnswer},
};
use bodega_platform::Call;

use super::name;
use crate::{
    State,
    engine::{Command, Reply},
    intent::RefundAsk,
};

pub(crate) async fn capture_parcel(
    state: Arc<State>,
    _call: Call,
    request: CaptureParcel,
) -> Result<ParcelMoney, Failure> {
    let mut validation = Validation::new();
    name(&mut validation, "/key", &request.key);
    validation.finish()?;
    match state.command(Command::CaptureParcel(request)).await? {
        Reply::Parcel(money) => Ok(money),
        Reply::State(_) | Reply::Refund(_) | Reply::Done => Err(Failure::internal()),
    }
}

pub(crate) async fn call_off(state: Arc<State>, _call: Call, request: CallOff) -> Result<RefundAnswer, Failure> {
    let mut validation = Validation::new();
    name(&mut validation, "/key", &request.key);
    name(&mut validation, "/reason", &request.reason);
    let fits = request.part.is_none_or(|part| part.amount.amount() > 0);
    validation.check(fits, "/part/amount", "out_of_range", "It costs something.");
    validation.finish()?;
    let ask = RefundAsk {
        id: RefundId::new(state.context.clock().now().unix_ms(), state.context.entropy().bytes()),
        amount: request.part.map(|part| part.amount),
        merchant: request.part.map(|part| part.merchant),
        key: request.key,
        reason: request.reason,
    };
    match state.command(Command::CallOff(request.order, request.part, ask)).await? {
        Reply::Refund(answer) => Ok(answer),
        Reply::State(_) | Reply::Parcel(_) | Reply::Done => Err(Failure::internal()),
    }
}
