//! Late money that has waited for its order to be made again goes back.

use std::time::Duration;

use bodega_domain::Failure;
use bodega_platform::{Batcher, Context, DatabaseError};

use crate::{
    engine::{Command, Target},
    intent::Lesson,
    limits::{LATE_EVERY_S, LATE_TAKE_MAX},
    store,
    work::Outcome,
};

/// Looks for such money until the stop.
pub(crate) async fn run(context: Context, commands: Batcher<Command, Outcome>) {
    loop {
        if let Err(error) = give_back(&context, &commands).await {
            tracing::warn!(%error, "late money that has waited long enough cannot be given back yet");
        }
        if context.tasks().pause(Duration::from_secs(LATE_EVERY_S)).await {
            return;
        }
    }
}

async fn give_back(context: &Context, commands: &Batcher<Command, Outcome>) -> Result<(), Failure> {
    let (pool, now) = (context.postgres().pool(), context.clock().now());
    let due = store::intents::held_long_enough(pool, now, LATE_TAKE_MAX).await.map_err(DatabaseError::from)?;
    for intent in due {
        // Nothing new was learned but the hour; whoever locks the intent sees that its time is over.
        let command = Command::Learn { target: Target::Intent(intent), lesson: Box::new(Lesson::default()), raw: None };
        commands.submit(command).await??;
    }
    Ok(())
}
