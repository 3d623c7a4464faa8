//! `payment.v1.refund`: gives money back. The claim is committed, then the provider is asked until it answers.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    failure::Validation,
    id::RefundId,
    message::payment::{Refund, RefundAnswer},
};
use bodega_platform::Call;

use super::name;
use crate::{
    State,
    engine::{Command, Reply},
    intent::RefundAsk,
};

pub(crate) async fn refund(state: Arc<State>, _call: Call, request: Refund) -> Result<RefundAnswer, Failure> {
    let mut validation = Validation::new();
    name(&mut validation, "/key", &request.key);
    name(&mut validation, "/reason", &request.reason);
    validation.finish()?;
    let ask = RefundAsk {
        id: RefundId::new(state.context.clock().now().unix_ms(), state.context.entropy().bytes()),
        amount: request.amount,
        merchant: request.merchant,
        key: request.key,
        reason: request.reason,
    };
    match state.command(Command::Refund(request.order, ask)).await? {
        Reply::Refund(answer) => Ok(answer),
        Reply::State(_) | Reply::Parcel(_) | Reply::Done => Err(Failure::internal()),
    }
}
