//! `order.v1.{sagas,nudge_saga}`: sagas that are under way, and a person who brings a parked one on.

use bodega_domain::{
    Code, Failure,
    message::{
        Page,
        order::{Nudge, NudgeSaga, SagaView, Sagas},
    },
    saga::table::Word,
};
use bodega_platform::Call;
use uuid::Uuid;

use super::{cursor_at, position_of, ship::failed};
use crate::{
    Orders,
    runs::{self, Heard},
    store::{self, runs::StoredRun},
};

/// Items of a page.
const PAGE_MAX: i64 = 50;

pub(crate) async fn list(orders: Orders, _call: Call, request: Sagas) -> Result<Page<SagaView>, Failure> {
    let after = request.cursor.as_deref().map(position_of).transpose()?;
    let pool = orders.context.postgres().pool();
    let mut found = store::runs::open(pool, request.parked, after, PAGE_MAX + 1).await.map_err(failed)?;
    let page = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
    let more = found.len() > page;
    found.truncate(page);
    let last = found.last().map(|run| cursor_at(run.begun_at, run.id.simple()));
    Ok(Page { items: found.into_iter().map(view).collect(), next_cursor: last.filter(|_| more) })
}

fn view(run: StoredRun) -> SagaView {
    SagaView {
        id: run.id.simple().to_string(),
        order: run.order,
        saga: run.run.kind.as_str().to_owned(),
        step: run.run.step().to_owned(),
        way: if run.run.is_parked() { "parked" } else { run.run.way.as_str() }.to_owned(),
        reason: run.reason.map(|reason| format!("{}: {}", reason.code, reason.detail)),
        attempts: u32::try_from(run.attempts).unwrap_or(0),
        since: run.run.since,
    }
}

pub(crate) async fn nudge(orders: Orders, call: Call, request: NudgeSaga) -> Result<SagaView, Failure> {
    let id: Uuid = request.saga.parse().map_err(|_| Failure::from(Code::NotFound))?;
    let context = &orders.context;
    let pool = context.postgres().pool();
    let run = store::runs::read(pool, id).await.map_err(failed)?.ok_or(Code::NotFound)?;
    if !run.run.is_parked() {
        // A button that was pressed twice: it goes on already.
        return if run.run.is_over() { Err(runs::conflict(run.order, "This saga has ended.")) } else { Ok(view(run)) };
    }
    let (word, what) = match request.nudge {
        Nudge::Retry => (Word::Retry, "saga_retried"),
        Nudge::Compensate => (Word::Compensate, "saga_compensated"),
    };
    if run.run.hear(word, context.clock().now()).is_err() {
        let detail = "What was done before this step cannot be taken back. Put its cause right, then try again.";
        return Err(runs::conflict(run.order, detail));
    }
    let heard = Heard { by: Some((call.principal.who(), what)), ..Heard::word(word) };
    runs::hear(&orders.sagas, &run, &heard).await?;
    // What it comes to is told by the view; a refusal is the saga's own affair.
    let _ = runs::lead(&orders.sagas, &call.context, vec![id]).await;
    store::runs::read(pool, id).await.map_err(failed)?.map(view).ok_or_else(|| Code::NotFound.into())
}
