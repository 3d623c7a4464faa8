//! How a service begins, and the loops that the platform runs for it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bodega_domain::{
    event::{Event, EventData as _},
    message::identity,
};
use futures::{FutureExt as _, StreamExt as _};

use super::{Context, Service, StartError, Wiring, context::Inner, wiring::Loop};
use crate::{
    bus::server::{self, Host, Route},
    failpoint::Failpoints,
    outbox, postgres,
    tasks::Tasks,
};

/// Milliseconds between two looks for a database that is not there yet.
const START_PAUSE_MS: u64 = 500;
/// Milliseconds to wait before a loop that ended or panicked is begun anew.
const LOOP_PAUSE_MS: u64 = 1_000;
/// Seconds between two questions for revocations, which also arrive by themselves.
const REVOCATIONS_EVERY_S: u64 = 5;

pub(super) async fn start(service: Service, context: Context) -> Result<(), StartError> {
    let inner = &*context.0;
    let context = match service.migrations {
        None => context,
        Some(migrations) => {
            wait_for_database(&context).await?;
            let count = postgres::pending_migrations(&inner.config, service.name, migrations).await?;
            if count > 0 {
                return Err(StartError::Pending { service: service.name, count });
            }
            let failpoints = Failpoints::from_environment(&inner.postgres).await;
            Context(Arc::new(Inner { failpoints, ..inner.clone() }))
        }
    };
    let inner = context.0.clone();
    let mut wiring = (service.start)(context).await?;
    if service.migrations.is_some() {
        add_outbox_routes(&mut wiring, service.name);
        inner.tasks.background(outbox::run_publisher(
            inner.postgres.clone(),
            inner.bus.clone(),
            inner.clock,
            inner.tasks.clone(),
        ));
    }
    let host = Arc::new(Host {
        service: service.name,
        authenticator: inner.authenticator.clone(),
        rate: server::RateLimiter::default(),
        clock: inner.clock,
        entropy: inner.entropy,
        tasks: inner.tasks.clone(),
    });
    if !wiring.routes.is_empty() {
        // Dropping the registration would end it, so it lives as long as the process takes requests.
        let micro = server::register(&inner.bus, host, wiring.routes).await?;
        inner.bus.settle().await;
        let stopping = inner.tasks.stopping();
        inner.tasks.background(async move {
            stopping.cancelled().await;
            drop(micro);
        });
    }
    let shell = outbox::Shell {
        postgres: inner.postgres.clone(),
        bus: inner.bus.clone(),
        clock: inner.clock,
        entropy: inner.entropy,
        tasks: inner.tasks.clone(),
    };
    for consumer in wiring.consumers {
        tracing::debug!(service = service.name, consumer = consumer.name(), "consuming");
        inner.tasks.background(consumer.run(shell.clone()));
    }
    for (name, body) in wiring.loops {
        inner.tasks.background(keep_running(service.name, name, inner.tasks.clone(), body));
    }
    Ok(())
}

fn add_outbox_routes(wiring: &mut Wiring, service: &str) {
    let context = wiring.context.clone();
    wiring.routes.push(Route::on(format!("{service}.v1.outbox_page"), move |_, ask: outbox::OutboxPage| {
        let context = context.clone();
        async move { outbox::page(context.postgres(), ask).await }
    }));
    let context = wiring.context.clone();
    wiring.routes.push(Route::on(format!("{service}.v1.outbox_republish"), move |_, ask: outbox::Republish| {
        let context = context.clone();
        async move { outbox::republish(context.postgres(), context.bus(), *context.clock(), ask).await }
    }));
}

/// Waits for a database that is away; one that is there and refuses is an error.
async fn wait_for_database(context: &Context) -> Result<(), StartError> {
    let mut told = false;
    while let Err(error) = context.postgres().ready().await {
        if !error.is_transient() {
            return Err(StartError::Refused { service: context.service(), source: error });
        }
        if !told {
            tracing::warn!(service = context.service(), %error, "waiting for the database");
            told = true;
        }
        if context.tasks().pause(Duration::from_millis(START_PAUSE_MS)).await {
            break;
        }
    }
    Ok(())
}

async fn keep_running(service: &'static str, name: &'static str, tasks: Tasks, body: Loop) {
    let stopping = tasks.stopping();
    while !stopping.is_cancelled() {
        let outcome = AssertUnwindSafe(async { body().await }).catch_unwind().await;
        if stopping.is_cancelled() {
            return;
        }
        match outcome {
            Ok(()) => tracing::debug!(service, task = name, "a loop ended; it is begun anew"),
            Err(_) => tracing::error!(service, task = name, "a loop panicked; it is begun anew"),
        }
        tasks.pause(Duration::from_millis(LOOP_PAUSE_MS)).await;
    }
}

/// Keeps the deny list: each revocation is told as it happens, and asked for in case that was missed.
pub(super) async fn follow_revocations(context: Context) {
    let revocations = context.revocations();
    let mut position = 0;
    let stopping = context.tasks().stopping();
    let mut told = None;
    let mut asking = tokio::time::interval(Duration::from_secs(REVOCATIONS_EVERY_S));
    loop {
        if told.is_none() {
            told = context.bus().client().subscribe(identity::SessionRevoked::SUBJECT).await.ok();
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            Some(message) = async { told.as_mut()?.next().await } => {
                let now = context.clock().now();
                if let Ok(event) = serde_json::from_slice::<Event>(&message.payload)
                    && let Ok(data) = serde_json::from_value::<identity::SessionRevoked>(event.data)
                {
                    revocations.revoke(data.session, data.until, now);
                }
            }
            _ = asking.tick() => {
                let ask = identity::Revoked { after: position };
                if let Ok(page) = context.bus().request(&ask, &context.request_context()).await {
                    position = revocations.note_page(&page, context.clock().now()).unwrap_or(position);
                }
            }
        }
    }
}
