//! What a service answers, consumes and runs.

use std::{future::Future, pin::Pin, sync::Arc};

use bodega_domain::{Failure, event::EventData, message::Request};

use super::Context;
use crate::{
    bus::{Call, server::Route},
    outbox::{Applied, Consumer, EventTx, Received},
};

pub(super) type Loop = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What a service answers, consumes and runs.
pub struct Wiring {
    pub(super) context: Context,
    pub(super) routes: Vec<Route>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) loops: Vec<(&'static str, Loop)>,
}

impl Wiring {
    /// Nothing yet.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { context: context.clone(), routes: Vec::new(), consumers: Vec::new(), loops: Vec::new() }
    }

    /// Answers a request: `async fn(state, Call, R) -> Result<R::Answer, Failure>`. Its subject must be in the
    /// operation table, which is checked before the handler runs.
    #[must_use]
    pub fn on<R, S, F, Fut>(mut self, state: S, handler: F) -> Self
    where
        R: Request,
        S: Clone + Send + Sync + 'static,
        F: Fn(S, Call, R) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R::Answer, Failure>> + Send + 'static,
    {
        self.routes.push(Route::of(state, handler));
        self
    }

    /// Applies events: `fn(state, EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t>`. `name` names the durable
    /// consumer `<service>_<name>`; it must never change.
    #[must_use]
    pub fn consume<D, S, F>(mut self, name: &'static str, state: S, apply: F) -> Self
    where
        D: EventData + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
        F: for<'t> Fn(S, EventTx<'t>, Vec<Arc<Received<D>>>) -> Applied<'t> + Send + Sync + 'static,
    {
        self.consumers.push(Consumer::new(name, move |tx, events| apply(state.clone(), tx, events)));
        self
    }

    /// Runs a loop until the stop; when it ends or panics before, it is begun anew after a second.
    #[must_use]
    pub fn background<F, Fut>(mut self, name: &'static str, body: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.loops.push((name, Box::new(move || Box::pin(body()))));
        self
    }
}
