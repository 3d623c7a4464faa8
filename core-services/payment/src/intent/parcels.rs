//! Money that is taken as goods leave: whose, how much of it still waits, and what each parcel takes of it.
//!
//! ```text
//! amount ≥ asked for + waiting + forgone      asked for = at posting + parcels
//! ```

use bodega_domain::{
    Failure, Timestamp,
    failure::Validation,
    id::{IntentId, MerchantId},
    ledger::MerchantShare,
    message::payment::{CalledOff, CaptureParcel, ParcelMoney},
    money::Money,
    order::AtShipment,
};

use super::Intent;
use crate::{
    changes::Changes,
    job::{Job, JobKind},
    limits::CAPTURES_MAX,
};

/// Key of what was asked for before any goods left.
const AT_POSTING: &str = "posting";

/// What of an intent is taken at shipment, and what the provider says of its authorisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parcels {
    /// Merchants whose money waits for their goods to leave, with what of it waits; none when all of it is taken at once.
    pub(crate) at_shipment: Vec<AtShipment>,
    /// Minor units that were asked for before any goods left.
    pub(crate) at_posting: i64,
    /// Minor units that still wait.
    pub(crate) waiting: i64,
    /// Minor units that are not wanted any more, because their goods never leave.
    pub(crate) forgone: i64,
    /// The provider was told that nothing more is taken.
    pub(crate) released: bool,
    /// The authorisation can be taken in several parts.
    pub(crate) in_parts: bool,
    /// Until when it can be taken, where the provider says so.
    pub(crate) capture_before: Option<Timestamp>,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartState {
    /// It is asked for, or taken.
    Asked,
    /// The provider did not hand it over.
    Refused,
    /// It is not wanted any more.
    Forgone,
}

impl PartState {
    const ALL: [(PartState, &'static str); 3] =
        [(PartState::Asked, "asked"), (PartState::Refused, "refused"), (PartState::Forgone, "forgone")];

    /// As stored.
    pub(crate) const fn as_str(self) -> &'static str {
        let [(_, asked), (_, refused), (_, forgone)] = Self::ALL;
        match self {
            PartState::Asked => asked,
            PartState::Refused => refused,
            PartState::Forgone => forgone,
        }
    }

    /// Reads what was stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(state, _)| state)
    }
}

/// A row of `capture_part`: what a merchant gets of an amount that was asked for, or has given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) key: String,
    pub(crate) share: MerchantShare,
    pub(crate) state: PartState,
}

/// A new part of an intent, at its place among that intent's parts.
#[derive(Clone, Debug)]
pub(crate) struct NewPart {
    pub(crate) intent: IntentId,
    pub(crate) n: usize,
    pub(crate) part: Part,
    /// What is left of the authorisation is released with it.
    pub(crate) last: bool,
}

/// What an intent with money at shipment is made of, under its lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    /// What each merchant gets of all of it.
    pub(crate) shares: Vec<MerchantShare>,
    /// What of that was asked for or given up so far, in that order.
    pub(crate) parts: Vec<Part>,
}

impl Made {
    /// What of a merchant's share nobody has asked for or given up yet.
    fn rest_of(&self, merchant: MerchantId) -> MerchantShare {
        let none = MerchantShare { merchant, payable: 0, tax: 0, fee: 0 };
        let whole = self.shares.iter().find(|share| share.merchant == merchant).copied().unwrap_or(none);
        let counts = |part: &&Part| part.share.merchant == merchant && part.state != PartState::Refused;
        self.parts.iter().filter(counts).fold(whole, |rest, part| rest.without(part.share))
    }

    /// Notes that nothing beyond so much was handed over: what was asked for beyond it is refused.
    pub(crate) fn refuse(&mut self, taken: i64) {
        let mut reach = 0;
        for part in self.parts.iter_mut().filter(|part| part.state == PartState::Asked) {
            reach += part.share.total();
            if reach > taken {
                part.state = PartState::Refused;
            }
        }
    }

    /// What has been given up under this key.
    pub(crate) fn given_up_under(&self, key: &str) -> i64 {
        let own = |part: &&Part| part.key == key && part.state == PartState::Forgone;
        self.parts.iter().filter(own).map(|part| part.share.total()).sum()
    }

    fn forgone_of(&self, merchant: MerchantId) -> i64 {
        let own = |part: &&Part| part.share.merchant == merchant && part.state == PartState::Forgone;
        self.parts.iter().filter(own).map(|part| part.share.total()).sum()
    }

    /// What was asked for, in that order: whom the books credit as it comes in.
    pub(crate) fn asked(&self) -> Vec<MerchantShare> {
        self.parts.iter().filter(|part| part.state == PartState::Asked).map(|part| part.share).collect()
    }

    fn push(&mut self, intent: &Intent, key: &str, share: MerchantShare, state: PartState, changes: &mut Changes) {
        if share.total() == 0 {
            return;
        }
        let part = Part { key: key.to_owned(), share, state };
        changes.parts_new.push(NewPart { intent: intent.id, n: self.parts.len(), part: part.clone(), last: false });
        self.parts.push(part);
    }

    /// What became of the parts with this key, once so much was taken in all; `None` when there are none.
    fn known(&self, key: &str, taken: i64) -> Option<ParcelMoney> {
        let own = |part: &Part| part.key == key && part.state != PartState::Forgone;
        let last = self.parts.iter().rposition(own)?;
        let before = self.parts.iter().take(last + 1);
        if before.clone().any(|part| own(part) && part.state == PartState::Refused) {
            return Some(ParcelMoney::Refused);
        }
        let asked = before.filter(|part| part.state == PartState::Asked);
        let reach: i64 = asked.map(|part| part.share.total()).sum();
        Some(if taken >= reach { ParcelMoney::Taken } else { ParcelMoney::Pending })
    }

    /// Amounts that were asked for so far.
    fn captures(&self) -> usize {
        let keys: std::collections::BTreeSet<&str> = self.parts.iter().map(|part| part.key.as_str()).collect();
        keys.len()
    }
}

impl Intent {
    /// What of the amount is still wanted, minor units.
    pub(super) fn wanted(&self) -> i64 {
        // Who has given up all of it has called it off: that is told by other facts.
        Some(self.amount.amount() - self.parcels.forgone).filter(|left| *left > 0).unwrap_or(self.amount.amount())
    }

    /// Whether the order has asked for its money: some of it may wait for goods to leave, or not be wanted any more.
    pub(super) fn is_asked_for(&self) -> bool {
        self.capture_claimed + self.parcels.waiting + self.parcels.forgone >= self.amount.amount()
    }

    /// Asks for what is taken before any goods leave; what these merchants get waits. A provider that takes an authorisation
    /// only as a whole takes all of it now, unless all of it waits. Gives how much is asked for.
    pub(super) fn put_off(&mut self, merchants: &[MerchantId], made: &mut Made, changes: &mut Changes) -> i64 {
        let whole = self.amount.amount();
        let waits = |share: &&MerchantShare| merchants.contains(&share.merchant);
        let waiting: i64 = made.shares.iter().filter(waits).map(MerchantShare::total).sum();
        if waiting == 0 || self.facts.captured > 0 || (waiting < whole && !self.parcels.in_parts) {
            return whole;
        }
        let zero = Money::zero(self.amount.currency());
        let part = |merchant: &MerchantId| AtShipment { merchant: *merchant, waiting: zero, forgone: zero };
        self.parcels.at_shipment = merchants.iter().map(part).collect();
        self.parcels.at_posting = whole - waiting;
        for share in made.shares.clone().into_iter().filter(|share| !merchants.contains(&share.merchant)) {
            made.push(self, AT_POSTING, share, PartState::Asked, changes);
        }
        self.recount(made);
        whole - waiting
    }

    /// Counts anew what waits and what is not wanted any more.
    pub(crate) fn recount(&mut self, made: &Made) {
        let money = |amount: i64| Money::new(amount, self.amount.currency()).unwrap_or(self.amount);
        for part in &mut self.parcels.at_shipment {
            part.waiting = money(made.rest_of(part.merchant).total());
            part.forgone = money(made.forgone_of(part.merchant));
        }
        self.parcels.waiting = self.parcels.at_shipment.iter().map(|part| part.waiting.amount()).sum();
        self.parcels.forgone = self.parcels.at_shipment.iter().map(|part| part.forgone.amount()).sum();
    }

    fn waits_for(&self, merchant: MerchantId) -> bool {
        self.parcels.at_shipment.iter().any(|part| part.merchant == merchant)
    }

    /// Takes a parcel's money.
    ///
    /// # Errors
    /// `validation_failed` for another currency.
    pub(crate) fn capture_parcel(
        &mut self,
        ask: &CaptureParcel,
        made: &mut Made,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<ParcelMoney, Failure> {
        let currency = self.amount.currency();
        let mut v = Validation::new();
        let same = ask.amount.currency() == currency && ask.amount.amount() >= 0;
        v.check(same, "/amount", "out_of_range", "At least nothing, in the currency of the payment.");
        v.finish()?;
        if let Some(known) = made.known(&ask.key, self.facts.captured) {
            return Ok(known);
        }
        // What can be taken once only, or not often any more, is taken as a whole.
        let at_once = !self.parcels.in_parts || made.captures() + 1 >= CAPTURES_MAX;
        let whose = |part: &&AtShipment| at_once || part.merchant == ask.merchant;
        let mut parts = Vec::new();
        for merchant in self.parcels.at_shipment.iter().filter(whose).map(|part| part.merchant) {
            let mut rest = made.rest_of(merchant);
            let all = at_once || ask.last;
            let amount = if all { rest.total() } else { ask.amount.amount().min(rest.total()) };
            parts.push(rest.split_off(amount, currency));
        }
        let amount: i64 = parts.iter().map(MerchantShare::total).sum();
        let lost = self.closing || self.facts.cancelled || self.facts.mismatch || self.facts.disputed > 0;
        if amount == 0 || lost {
            return Ok(if lost { ParcelMoney::Refused } else { ParcelMoney::Taken });
        }
        let under_way = self.capture_claimed > self.facts.captured;
        for part in parts {
            made.push(self, &ask.key, part, PartState::Asked, changes);
        }
        self.capture_claimed += amount;
        self.recount(made);
        if self.parcels.waiting == 0 {
            // Kept with the part, so that each repetition of the call says the same.
            self.parcels.released = true;
            let own = |new: &&mut NewPart| new.intent == self.id && new.part.key == ask.key;
            changes.parts_new.iter_mut().filter(own).for_each(|new| new.last = true);
        }
        if !under_way {
            changes.jobs_new.push(Job::of_intent(JobKind::Capture, self, now));
        }
        Ok(ParcelMoney::Pending)
    }

    /// How much of what these goods cost still waits: the rest was taken and has to go back.
    pub(crate) fn could_forgo(&self, off: CalledOff, made: &Made) -> i64 {
        if self.waits_for(off.merchant) { off.amount.amount().min(made.rest_of(off.merchant).total()) } else { 0 }
    }

    /// Gives up what waits for these goods.
    pub(crate) fn forgo(&mut self, off: CalledOff, key: &str, made: &mut Made, now: Timestamp, changes: &mut Changes) {
        if !self.waits_for(off.merchant) {
            return;
        }
        let mut rest = made.rest_of(off.merchant);
        let amount = if off.last { rest.total() } else { off.amount.amount().min(rest.total()) };
        made.push(self, key, rest.split_off(amount, self.amount.currency()), PartState::Forgone, changes);
        self.recount(made);
        self.let_go(now, changes);
    }

    /// Gives up all that waits: the order has ended.
    pub(crate) fn forgo_all(&mut self, key: &str, made: &mut Made, now: Timestamp, changes: &mut Changes) {
        for merchant in self.parcels.at_shipment.iter().map(|part| part.merchant).collect::<Vec<_>>() {
            made.push(self, key, made.rest_of(merchant), PartState::Forgone, changes);
        }
        self.recount(made);
        self.close(now, changes);
        self.let_go(now, changes);
    }

    /// Releases at the provider what nobody wants any more, once nothing of it is being taken.
    pub(super) fn let_go(&mut self, now: Timestamp, changes: &mut Changes) {
        let Parcels { waiting, forgone, released, .. } = self.parcels;
        let taken = self.facts.captured;
        if waiting > 0 || forgone == 0 || released || taken == 0 || taken < self.capture_claimed || self.facts.cancelled
        {
            return;
        }
        self.parcels.released = true;
        changes.jobs_new.push(Job::of_intent(JobKind::Release, self, now));
    }

    /// What was asked for and will not come is asked for no more. Gives whether the order's payment has failed with it; a
    /// parcel's money waits again, and whoever has the parts at hand counts them anew.
    pub(super) fn ask_no_more(&mut self, changes: &mut Changes) -> bool {
        let kept = self.facts.captured.max(self.booked.applied);
        let missing = self.capture_claimed - kept;
        self.capture_claimed = kept;
        if !self.parcels.at_shipment.is_empty() {
            changes.parts_refused.push((self.id, kept));
        }
        let failed = self.parcels.at_shipment.is_empty() || kept < self.parcels.at_posting;
        if failed {
            let Parcels { in_parts, capture_before, .. } = self.parcels;
            self.parcels = Parcels { in_parts, capture_before, ..Parcels::default() };
        } else {
            self.parcels.waiting += missing;
            // The refused part would have released the rest with it.
            self.parcels.released = false;
        }
        failed
    }
}
