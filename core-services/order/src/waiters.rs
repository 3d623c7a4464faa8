//! Askers that wait for the first word about their order. A word that another process hears is found by looking at the
//! rows of all of them at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bodega_domain::{id::OrderId, order::OrderStatus};
use bodega_platform::Context;
use tokio::sync::Notify;

use crate::store::{self, read::StoredOrder};

/// Milliseconds between two looks at the orders whose word another process may have heard.
const LOOK_EVERY_MS: u64 = 250;

/// An order as an asker saw it last: what is otherwise now is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) order: OrderId,
    pub(crate) payment_revision: i64,
    pub(crate) status: OrderStatus,
}

impl From<&StoredOrder> for Seen {
    fn from(order: &StoredOrder) -> Self {
        Self { order: order.id, payment_revision: order.payment_revision, status: order.status }
    }
}

struct Waiting {
    bell: Weak<Notify>,
    seen: Seen,
}

/// Who waits in this process.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<OrderId, Waiting>>);

impl Waiters {
    fn map(&self) -> MutexGuard<'_, HashMap<OrderId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bell that rings at each change of the order since it was seen so. Held by the asker; dropped with it.
    pub(crate) fn listen(&self, seen: Seen) -> Arc<Notify> {
        let mut map = self.map();
        if let Some(bell) = note(&mut map, seen) {
            return bell;
        }
        let bell = Arc::new(Notify::new());
        map.insert(seen.order, Waiting { bell: Arc::downgrade(&bell), seen });
        bell
    }

    /// An asker has looked again.
    pub(crate) fn saw(&self, seen: Seen) {
        note(&mut self.map(), seen);
    }

    /// Rings for whoever waits for this order.
    pub(crate) fn ring(&self, order: OrderId) {
        let bell = self.map().get(&order).and_then(|waiting| waiting.bell.upgrade());
        if let Some(bell) = bell {
            bell.notify_waiters();
        }
    }

    /// What is waited for, without those whose askers have gone.
    fn waiting(&self) -> Vec<Seen> {
        let mut map = self.map();
        map.retain(|_, waiting| waiting.bell.strong_count() > 0);
        map.values().map(|waiting| waiting.seen).collect()
    }
}

/// Notes how an order that somebody waits for was seen. Others, who saw it otherwise, look too.
fn note(map: &mut HashMap<OrderId, Waiting>, seen: Seen) -> Option<Arc<Notify>> {
    let waiting = map.get_mut(&seen.order)?;
    let bell = waiting.bell.upgrade()?;
    if waiting.seen != seen {
        waiting.seen = seen;
        bell.notify_waiters();
    }
    Some(bell)
}

/// Looks for words that other processes heard, until the process stops: one query for all who wait.
pub(crate) async fn look(context: Context, waiters: Arc<Waiters>) {
    while !context.tasks().pause(Duration::from_millis(LOOK_EVERY_MS)).await {
        let waiting = waiters.waiting();
        if waiting.is_empty() {
            continue;
        }
        match store::read::changed_since(context.postgres().pool(), &waiting).await {
            Ok(changed) => changed.into_iter().for_each(|order| waiters.ring(order)),
            Err(error) => tracing::warn!(%error, "orders that are waited for could not be looked at"),
        }
    }
}
