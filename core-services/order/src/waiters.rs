//! Askers that wait for the first word about their order. A word that another process hears is found by looking again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bodega_domain::id::OrderId;
use tokio::sync::Notify;

/// Who waits in this process.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<OrderId, Weak<Notify>>>);

impl Waiters {
    /// A bell that rings at each change of the order. Held by the asker; dropped with it.
    pub(crate) fn listen(&self, order: OrderId) -> Arc<Notify> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = map.get(&order).and_then(Weak::upgrade) {
            return bell;
        }
        map.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::new(Notify::new());
        map.insert(order, Arc::downgrade(&bell));
        bell
    }

    /// Rings for whoever waits for this order.
    pub(crate) fn ring(&self, order: OrderId) {
        let bell = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&order).and_then(Weak::upgrade);
        if let Some(bell) = bell {
            bell.notify_waiters();
        }
    }
}
