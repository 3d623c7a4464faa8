//! The requests that this service answers, a file each.

pub(crate) mod attempt;
pub(crate) mod books;
pub(crate) mod cancel;
pub(crate) mod capture;
pub(crate) mod open;
pub(crate) mod parcel;
pub(crate) mod policies;
pub(crate) mod reconciliation;
pub(crate) mod refund;
pub(crate) mod state;
pub(crate) mod statement;
pub(crate) mod webhook;

use std::str::FromStr;

use bodega_domain::{Code, Failure, failure::Validation, id::OrderId, message::payment::IntentState};

use crate::{
    State,
    engine::{Command, Reply},
    limits::{MESSAGE_ORDERS_MAX, NAME_BYTES_MAX},
};

/// Submits a command for each order and gives the states of those that have an intent.
async fn states(
    state: &State,
    orders: Vec<OrderId>,
    command: fn(OrderId) -> Command,
) -> Result<Vec<IntentState>, Failure> {
    few_enough(orders.len(), "/orders")?;
    let asked = orders.into_iter().map(|order| state.command(command(order)));
    let replies = futures::future::join_all(asked).await.into_iter();
    // One order without an intent must not keep the others from theirs.
    let known = replies.filter(|reply| !matches!(reply, Err(failure) if failure.code == Code::OrderNotFound));
    known.map(|reply| state_of(reply?)).collect()
}

fn state_of(reply: Reply) -> Result<IntentState, Failure> {
    match reply {
        Reply::State(state) => Ok(*state),
        Reply::Refund(_) | Reply::Parcel(_) | Reply::Done => Err(Failure::internal()),
    }
}

fn few_enough(count: usize, pointer: &str) -> Result<(), Failure> {
    let mut validation = Validation::new();
    validation.check(count <= MESSAGE_ORDERS_MAX, pointer, "too_many", "Too many in one message.");
    validation.finish()
}

/// Where a list goes on.
fn position<T: FromStr>(cursor: Option<&str>) -> Result<Option<T>, Failure> {
    let position = cursor.map(str::parse).transpose();
    position.map_err(|_| Failure::new(Code::BadRequest, "The cursor is not one of ours."))
}

fn name(validation: &mut Validation, pointer: &str, text: &str) {
    validation.check(!text.is_empty(), pointer, "required", "It must not be empty.");
    validation.check(text.len() <= NAME_BYTES_MAX, pointer, "too_long", "At most 200 bytes.");
    printable(validation, pointer, text);
}

/// No table keeps every control character, and no key, name or address has any.
fn printable(validation: &mut Validation, pointer: &str, text: &str) {
    let holds = !text.chars().any(char::is_control);
    validation.check(holds, pointer, "control_character", "It must not hold control characters.");
}
