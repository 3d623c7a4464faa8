//! Money that goes back, or is not taken after all: refunds, what is called off, what came too late.

use bodega_domain::{
    Code, Failure, Timestamp,
    id::{IntentId, MerchantId, RefundId},
    ledger::MerchantShare,
    message::payment::{CalledOff, RefundAnswer},
    money::Money,
};
use bodega_platform::{Context, Tx};

use super::Work;
use crate::{
    intent::{Intent, LATE_PAYMENT, Late, RefundAsk, parcels::Made},
    limits::LATE_HELD_HOURS,
    store::{self, records::KnownRefund},
};

/// What is left of a merchant's sale: what it got, without what went back, or is on its way back, out of it alone.
fn left_of(merchant: MerchantId, shares: &[MerchantShare], known: &[(String, KnownRefund)]) -> Result<i64, Failure> {
    let mut shares = shares.iter().filter(|share| share.merchant == merchant).peekable();
    if shares.peek().is_none() {
        let detail = "This merchant sold nothing of this order, or none of its money was taken.";
        return Err(Failure::from(Code::ValidationFailed).field("/merchant", "unknown", detail));
    }
    let own = known.iter().filter(|(_, refund)| refund.merchant == Some(merchant));
    Ok(shares.map(MerchantShare::total).sum::<i64>() - own.map(|(_, refund)| refund.amount.amount()).sum::<i64>())
}

impl Work {
    pub(super) fn refund(
        &mut self,
        intent: &mut Intent,
        ask: &RefundAsk,
        now: Timestamp,
    ) -> Result<RefundAnswer, Failure> {
        let known = self.refunds.entry(intent.id).or_default();
        // What has failed in this very batch gives its key and its amount free.
        known.retain(|(_, refund)| !self.changes.refunds_answered.contains(&(refund.id, intent.id, false)));
        if let Some((_, refund)) = known.iter().find(|(key, _)| *key == ask.key) {
            let same = refund.asked == ask.amount.map(|amount| amount.amount()) && refund.merchant == ask.merchant;
            let answer = RefundAnswer { refund: refund.id, amount: refund.amount };
            return if same { Ok(answer) } else { Err(Code::IdempotencyKeyReused.into()) };
        }
        let shares = self.shares.get(&intent.id).map(Vec::as_slice).unwrap_or_default();
        // Of what is taken parcel by parcel only what was asked for can go back.
        let asked = self.made.get(&intent.id).filter(|_| !intent.parcels.at_shipment.is_empty()).map(Made::asked);
        let shares = asked.as_deref().unwrap_or(shares);
        let left = ask.merchant.map(|merchant| left_of(merchant, shares, known)).transpose()?;
        if ask.amount.is_none() && intent.amount.amount() == 0 {
            // A gift is given back by giving back nothing.
            return Ok(RefundAnswer { refund: ask.id, amount: intent.amount });
        }
        let over = intent.facts.captured == intent.refund_claimed || left == Some(0);
        if ask.amount.is_none() && intent.facts.captured > 0 && over {
            // All of it is on its way already, or went back without us: at the provider's own pages.
            let nothing = RefundAnswer { refund: ask.id, amount: Money::zero(intent.amount.currency()) };
            let own = known.iter().rfind(|(_, refund)| ask.merchant.is_none() || refund.merchant == ask.merchant);
            return Ok(own.map_or(nothing, |(_, last)| RefundAnswer { refund: last.id, amount: last.amount }));
        }
        let amount = intent.refund(ask, left, now, &mut self.changes)?;
        let asked = ask.amount.map(|amount| amount.amount());
        let refund = KnownRefund { id: ask.id, asked, amount, merchant: ask.merchant, done: false };
        known.push((ask.key.clone(), refund));
        Ok(RefundAnswer { refund: ask.id, amount })
    }

    /// What of the money of these goods was not taken yet is given up, the rest goes back.
    pub(super) fn call_off(
        &mut self,
        intent: &mut Intent,
        part: Option<CalledOff>,
        ask: &RefundAsk,
        now: Timestamp,
    ) -> Result<RefundAnswer, Failure> {
        let zero = Money::zero(intent.amount.currency());
        let Some(off) = part else {
            if !intent.parcels.at_shipment.is_empty() {
                let made = self.made.entry(intent.id).or_default();
                intent.forgo_all(&ask.key, made, now, &mut self.changes);
                if intent.facts.captured == 0 {
                    return Ok(RefundAnswer { refund: ask.id, amount: zero });
                }
            }
            return self.refund(intent, ask, now);
        };
        let made = self.made.entry(intent.id).or_default();
        let done = made.given_up_under(&ask.key);
        let of_cost = if done > 0 { done.min(off.amount.amount()) } else { intent.could_forgo(off, made) };
        let back = Money::new(off.amount.amount() - of_cost, intent.amount.currency()).unwrap_or(zero);
        // Before anything is given up: what cannot go back leaves everything as it is.
        let answer = if back.amount() > 0 {
            self.refund(intent, &RefundAsk { amount: Some(back), ..ask.clone() }, now)?
        } else {
            RefundAnswer { refund: ask.id, amount: zero }
        };
        if done == 0 {
            let made = self.made.entry(intent.id).or_default();
            intent.forgo(off, &ask.key, made, now, &mut self.changes);
        }
        Ok(answer)
    }

    /// Late money goes back in the transaction that learned of it, unless its merchants want it to wait.
    pub(super) async fn see_to_late_money(
        &mut self,
        tx: &mut Tx<'_, '_>,
        context: &Context,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let late: Vec<_> = self.intents.values().map(|intent| (intent.id, intent.late_money(now))).collect();
        let fresh = |(id, late): &(IntentId, Late)| {
            let whole = self.intents.get(id).is_some_and(|intent| intent.could_pay(intent.amount));
            (matches!(late, Late::Fresh(_)) && whole).then_some(*id)
        };
        let fresh: Vec<IntentId> = late.iter().filter_map(fresh).collect();
        let waiting = store::policies::that_wait(tx, &fresh).await?;
        for (id, late) in late {
            let Some(intent) = self.intents.get_mut(&id) else { continue };
            let before = intent.clone();
            let amount = match late {
                Late::None | Late::Waiting => continue,
                Late::Fresh(_) if waiting.contains(&id) => {
                    intent.late_held_until = Some(now.plus_min(LATE_HELD_HOURS * 60));
                    intent.settle(&before, &mut self.changes);
                    continue;
                }
                Late::Over => {
                    intent.late_held_until = None;
                    intent.settle(&before, &mut self.changes);
                    continue;
                }
                Late::Fresh(amount) | Late::Due(amount) => amount,
            };
            intent.late_held_until = None;
            let ask = RefundAsk {
                id: RefundId::new(now.unix_ms(), context.entropy().bytes()),
                amount: Some(amount),
                merchant: None,
                key: LATE_PAYMENT.to_owned(),
                reason: LATE_PAYMENT.to_owned(),
            };
            if intent.refund(&ask, None, now, &mut self.changes).is_ok() {
                intent.late_returned = true;
                intent.settle(&before, &mut self.changes);
            }
        }
        Ok(())
    }
}
