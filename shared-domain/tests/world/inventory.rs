//! Inventory: stock rows, holds and their lines, as one transaction leaves them.

use std::collections::BTreeMap;

use bodega_domain::{
    Timestamp,
    id::OrderId,
    message::inventory::{HoldAsk, HoldState, HoldVerdict},
    stock::{Allocation, HoldChange, StockRow, decide_holds},
};

/// The rows of the inventory service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) rows: Vec<StockRow>,
    /// An order without a hold is absent; one that is voided stays.
    pub(crate) holds: BTreeMap<OrderId, HoldState>,
    pub(crate) lines: Vec<Allocation>,
    /// From when to ask what became of the order of a pending hold.
    pub(crate) ask_at: BTreeMap<OrderId, Timestamp>,
}

impl Inventory {
    /// `inventory.v1.hold`.
    pub(crate) fn hold(&mut self, ask: &HoldAsk) -> HoldVerdict {
        let mut decision = decide_holds(&mut self.rows, &self.holds, std::slice::from_ref(ask));
        if !decision.allocations.is_empty() {
            self.holds.insert(ask.order, HoldState::Pending);
            self.ask_at.insert(ask.order, ask.ask_at);
            self.lines.append(&mut decision.allocations);
        }
        decision.verdicts.remove(0)
    }

    /// `inventory.v1.{post,void,unpost}`.
    pub(crate) fn change(&mut self, change: HoldChange, order: OrderId) -> HoldState {
        let state = self.state(order);
        let (next, pending, posted) = change.apply(state);
        if next == state {
            return state;
        }
        self.holds.insert(order, next);
        for line in self.lines.iter().filter(|line| line.order == order) {
            let here = |row: &&mut StockRow| (row.sku_no, row.location) == (line.sku_no, line.location);
            let row = self.rows.iter_mut().find(here).unwrap();
            row.pending += pending * line.quantity;
            row.posted += posted * line.quantity;
        }
        next
    }

    pub(crate) fn state(&self, order: OrderId) -> HoldState {
        self.holds.get(&order).copied().unwrap_or(HoldState::None)
    }

    /// What must hold after every transaction.
    pub(crate) fn check(&self) -> Result<(), String> {
        for row in &self.rows {
            if row.pending < 0 || row.posted < 0 || row.pending + row.posted > row.on_hand {
                return Err(format!("more is promised than there is: {row:?}"));
            }
            let sum = |state: HoldState| -> i64 {
                let here = self.lines.iter().filter(|l| (l.sku_no, l.location) == (row.sku_no, row.location));
                here.filter(|line| self.state(line.order) == state).map(|line| line.quantity).sum()
            };
            if (row.pending, row.posted) != (sum(HoldState::Pending), sum(HoldState::Posted)) {
                return Err(format!("the row is not the sum of its holds: {row:?}"));
            }
        }
        Ok(())
    }
}
