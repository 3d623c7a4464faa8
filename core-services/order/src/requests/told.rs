//! `order.v1.{abandon,unproven,let_go,payment_changed}`: what inventory and payment ask of orders.

use bodega_domain::{
    Code, Failure,
    id::OrderId,
    message::{
        Done,
        order::{Abandon, AbandonVerdict, LetGo, PaymentChanged, UNPROVEN_MAX, Unproven},
    },
};
use bodega_platform::{Call, DatabaseError, TransactionError};

use crate::{
    Orders,
    drive::{self, Told},
    store::{
        self,
        place::{self, ClaimOutcome},
    },
};

/// Members of one message.
const BATCH_MAX: usize = 512;

/// The order exists, or a tombstone under its id makes sure that it never will.
pub(crate) async fn abandon(orders: Orders, _call: Call, request: Abandon) -> Result<Vec<AbandonVerdict>, Failure> {
    if request.orders.len() > BATCH_MAX {
        return Err(Code::BadRequest.into());
    }
    let context = &orders.context;
    let ids = &request.orders;
    let claims = context
        .postgres()
        .transaction(|mut tx| {
            Box::pin(async move {
                let now = context.clock().now();
                place::insert_claims(&mut tx, ids, ClaimOutcome::Abandoned, now).await?;
                // After a conflict the other transaction has committed; a new statement sees what it wrote.
                Ok::<_, TransactionError<Failure>>(place::claims(&mut *tx, ids).await?)
            })
        })
        .await?;
    let verdict = |outcome: Option<&ClaimOutcome>| match outcome {
        Some(ClaimOutcome::Abandoned) => AbandonVerdict::Abandoned,
        _ => AbandonVerdict::Exists,
    };
    Ok(ids.iter().map(|id| verdict(claims.get(id))).collect())
}

/// Orders that hold stock although nobody has shown that they can be paid.
pub(crate) async fn unproven(orders: Orders, _call: Call, request: Unproven) -> Result<Vec<OrderId>, Failure> {
    if request.merchants.len() > UNPROVEN_MAX {
        return Err(Code::BadRequest.into());
    }
    let (pool, limit) = (orders.context.postgres().pool(), i64::try_from(UNPROVEN_MAX).unwrap_or(i64::MAX));
    Ok(store::saga::unproven(pool, &request.merchants, limit).await.map_err(DatabaseError::from)?)
}

/// Their sagas let go, one after the other; answered when they have decided.
pub(crate) async fn let_go(orders: Orders, call: Call, request: LetGo) -> Result<Done, Failure> {
    if request.orders.len() > UNPROVEN_MAX {
        return Err(Code::BadRequest.into());
    }
    let told = request.orders.into_iter().map(|order| (order, Told::LetGo)).collect();
    decide_and_go_on(&orders, &call, told).await
}

/// Facts of intents. Answered when they are committed; what follows goes on by itself.
pub(crate) async fn payment_changed(orders: Orders, call: Call, request: PaymentChanged) -> Result<Done, Failure> {
    if request.intents.len() > BATCH_MAX {
        return Err(Code::BadRequest.into());
    }
    let told = request.intents.into_iter().map(|intent| (intent.order, Told::Intent(Box::new(intent)))).collect();
    decide_and_go_on(&orders, &call, told).await
}

async fn decide_and_go_on(orders: &Orders, call: &Call, told: Vec<(OrderId, Told)>) -> Result<Done, Failure> {
    let (commands, committed) = drive::commit(&orders.sagas, told).await;
    if !commands.is_empty() {
        let (sagas, context) = (orders.sagas.clone(), call.context.clone());
        // The commands are committed with the sagas: if this task is lost, they are due again.
        drop(orders.context.tasks().request(async move {
            if let Err(failure) = drive::follow(&sagas, &context, commands).await {
                tracing::warn!(%failure, "sagas could not be driven on; they stay due");
            }
        }));
    }
    // What could not be committed is told again, with the others, to whom it is no news.
    committed.map(|()| Done {})
}
