//! What has to be right when nothing happens any more.

use bodega_domain::{
    message::{inventory::HoldState, order::AbandonVerdict},
    saga::Step,
};

use super::{SHOPPERS, World, order_id};
use crate::world::provider::Stage;

impl World {
    /// After every event, however bad it was.
    pub(super) fn check_always(&self) -> Result<(), String> {
        if let Some(kind) = self.exception {
            // No outage here is long enough for a person to be needed.
            return Err(format!("a person was called: {kind}"));
        }
        self.inventory.check()?;
        for (order, row) in self.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            let (hold, charge) = (self.inventory.state(order_id(order)), self.charges[order]);
            let refunding = self.intents[order].as_ref().is_some_and(|intent| intent.refund_claimed > 0);
            let taken = charge.captures > charge.refunds;
            let wrong = match row.saga.step {
                _ if self.claims[order] != Some(AbandonVerdict::Exists) => Some("an order exists that was given up"),
                _ if taken && !refunding && hold != HoldState::Posted => Some("money was taken without posted stock"),
                Step::Opening | Step::Paying if hold != HoldState::Pending => Some("its stock is gone"),
                Step::Settled if !taken || refunding || hold != HoldState::Posted => {
                    Some("paid without money or stock")
                }
                _ => None,
            };
            if let Some(wrong) = wrong {
                return Err(format!("order {order}: {wrong}: {row:?}, hold {hold:?}, {charge:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn check_end(&self) -> Result<(), String> {
        for order in 0..SHOPPERS {
            self.check_order(order).map_err(|what| format!("order {order}: {what}"))?;
        }
        Ok(())
    }

    fn check_order(&self, order: usize) -> Result<(), String> {
        let (id, total) = (order_id(order), self.plan.shoppers[order].total);
        let (hold, charge) = (self.inventory.state(id), self.charges[order]);
        let row = self.rows[order];
        let fail = |what: &str| Err(format!("{what}: {row:?}, hold {hold:?}, {charge:?}, {:?}", self.intents[order]));

        // One effect for each key.
        let keys: Vec<_> = self.keys.keys().filter(|(of, _)| *of == order).collect();
        if keys.len() > 1 || keys.len() != usize::from(row.is_some()) {
            return fail("keys and orders are not one to one");
        }
        let attempts = self.attempt_keys.iter().filter(|(of, _)| *of == order).count();
        if usize::from(charge.attempt) > attempts || charge.captures > 1 || charge.refunds > 1 {
            return fail("a key has had two effects");
        }
        let held: i64 = self.inventory.lines.iter().filter(|line| line.order == id).map(|line| line.quantity).sum();
        let wanted: i64 = self.plan.shoppers[order].lines.iter().map(|line| i64::from(line.quantity)).sum();
        if held != 0 && held != wanted {
            return fail("an order is held by half or twice");
        }

        // Money.
        if let Some(intent) = &self.intents[order] {
            let facts = &intent.facts;
            if facts.captured > facts.authorised || facts.refunded > facts.captured || facts.authorised > total {
                return fail("amounts are out of order");
            }
            if intent.jobs.contains(&true) || self.told[order] != intent.revision {
                return fail("payment has something left to do");
            }
            let known = facts.captured - facts.refunded;
            if known != charge.kept(total) {
                return fail("payment does not know what the provider has");
            }
        } else if charge.stage != Stage::Nothing {
            return fail("the provider was asked for nobody");
        }

        // Where it has come to.
        match row.map(|row| row.saga.step) {
            None if matches!(hold, HoldState::None | HoldState::Voided) && charge.captures == 0 => Ok(()),
            None => fail("a hold has no owner"),
            Some(Step::Settled) => {
                let paid = charge.kept(total) == total && hold == HoldState::Posted && held == wanted;
                if paid { Ok(()) } else { fail("paid without its money or its stock") }
            }
            Some(Step::Ended(_)) => {
                let over = !matches!(charge.stage, Stage::Processing | Stage::Authorised);
                let empty = hold == HoldState::Voided && charge.kept(total) == 0 && over;
                if empty { Ok(()) } else { fail("ended with stock, money or a payment that is open") }
            }
            Some(_) => fail("not at rest"),
        }
    }

    /// How it went: orders that were paid, that ended, and that were paid and given back.
    pub(crate) fn tally(&self) -> [usize; 3] {
        let at = |step: fn(Step) -> bool| self.rows.iter().flatten().filter(|row| step(row.saga.step)).count();
        let back = self.charges.iter().filter(|charge| charge.refunds > 0).count();
        [at(|step| step == Step::Settled), at(|step| matches!(step, Step::Ended(_))), back]
    }
}
