//! The ledger: journals of transfers. A transfer debits one account and credits another by the same amount, so that the
//! books balance by construction; rows are only ever added.
//!
//! | what happened | debit | credit |
//! | --- | --- | --- |
//! | money taken that the order asked for | `provider_clearing` | `merchant_payable`, `tax_payable`, `platform_fee` |
//! | money taken that nobody asked for | `provider_clearing` | `customer_unapplied` |
//! | it is asked for after all | `customer_unapplied` | `merchant_payable`, `tax_payable`, `platform_fee` |
//! | money given back | what it was credited to | `provider_clearing` |
//! | … out of one merchant's sale | that merchant's accounts | `provider_clearing` |
//! | a dispute | `dispute_receivable` | `provider_clearing` |
//! | … and the payout waits | `merchant_payable` | `merchant_held` |
//! | the provider's fee | `provider_fees` | `provider_clearing` |

use std::collections::BTreeMap;

use crate::{
    id::MerchantId,
    money::{Currency, Money, MoneyError},
};

mod giving;

pub use giving::Giving;

/// An account of the ledger. Those of merchants are kept apart by merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What the provider holds for us.
    ProviderClearing,
    /// What the provider kept for its work.
    ProviderFees,
    /// What we owe a merchant.
    MerchantPayable,
    /// What we owe a merchant and hold back during a dispute.
    MerchantHeld,
    /// What a merchant owes the tax office.
    TaxPayable,
    /// What the marketplace earns from a merchant's sale.
    PlatformFee,
    /// Money of shoppers that belongs to no order.
    CustomerUnapplied,
    /// What banks took back and a dispute may return.
    DisputeReceivable,
}

impl Account {
    /// Every account.
    pub const ALL: [Account; 8] = [
        Account::ProviderClearing,
        Account::ProviderFees,
        Account::MerchantPayable,
        Account::MerchantHeld,
        Account::TaxPayable,
        Account::PlatformFee,
        Account::CustomerUnapplied,
        Account::DisputeReceivable,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Account::ProviderClearing => "provider_clearing",
            Account::ProviderFees => "provider_fees",
            Account::MerchantPayable => "merchant_payable",
            Account::MerchantHeld => "merchant_held",
            Account::TaxPayable => "tax_payable",
            Account::PlatformFee => "platform_fee",
            Account::CustomerUnapplied => "customer_unapplied",
            Account::DisputeReceivable => "dispute_receivable",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.as_str() == text)
    }

    /// Whether there is one of it for each merchant.
    #[must_use]
    pub const fn is_by_merchant(self) -> bool {
        matches!(self, Account::MerchantPayable | Account::MerchantHeld | Account::TaxPayable | Account::PlatformFee)
    }
}

/// Why a journal was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Money taken that the order asked for.
    Capture,
    /// Money taken that nobody asked for.
    LatePayment,
    /// Late money that became an order's after all.
    Applied,
    /// Money given back, by all in proportion.
    Refund,
    /// Money given back out of one merchant's sale.
    PartRefund,
    /// The shopper's bank took it back.
    Dispute,
    /// What the provider kept.
    ProviderFee,
}

impl Reason {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Capture => "capture",
            Reason::LatePayment => "late_payment",
            Reason::Applied => "applied",
            Reason::Refund => "refund",
            Reason::PartRefund => "part_refund",
            Reason::Dispute => "dispute",
            Reason::ProviderFee => "provider_fee",
        }
    }
}

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Account that is debited.
    pub debit: Account,
    /// Account that is credited.
    pub credit: Account,
    /// How much, > 0.
    pub amount: Money,
    /// Whose sale it is about.
    pub merchant: Option<MerchantId>,
    /// Why.
    pub reason: Reason,
}

/// A merchant's share of an intent, as agreed when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantShare {
    /// Whose.
    pub merchant: MerchantId,
    /// What the merchant gets, minor units ≥ 0.
    pub payable: i64,
    /// Tax on it, ≥ 0.
    pub tax: i64,
    /// What the marketplace keeps, ≥ 0.
    pub fee: i64,
}

impl MerchantShare {
    /// From a net amount and its tax; the marketplace keeps `fee_bp` basis points of the net, rounded half up.
    ///
    /// # Errors
    /// Mixed currencies, a negative part, or out of range.
    pub fn new(merchant: MerchantId, net: Money, tax: Money, fee_bp: u32) -> Result<Self, MoneyError> {
        if net.currency() != tax.currency() {
            return Err(MoneyError::CurrencyMismatch);
        }
        if net.amount() < 0 || tax.amount() < 0 {
            return Err(MoneyError::OutOfRange);
        }
        let fee = net.basis_points(fee_bp.min(10_000))?.amount();
        Ok(Self { merchant, payable: net.amount() - fee, tax: tax.amount(), fee })
    }

    /// All of it, minor units.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.payable + self.tax + self.fee
    }

    /// What is left of it without a part that was split off.
    #[must_use]
    pub const fn without(self, part: Self) -> Self {
        let Self { merchant, payable, tax, fee } = self;
        Self { merchant, payable: payable - part.payable, tax: tax - part.tax, fee: fee - part.fee }
    }

    /// Splits `amount` minor units off, of everything in proportion, so that a part carries its tax and its fee. Of all of it
    /// nothing is left; more than there is cannot be split off.
    #[must_use]
    pub fn split_off(&mut self, amount: i64, currency: Currency) -> Self {
        let amount = amount.clamp(0, self.total());
        let parts = Money::new(amount, currency).unwrap_or(Money::zero(currency));
        let parts = parts.split(&[self.payable, self.tax, self.fee]);
        let of = |n: usize| parts.get(n).copied().map_or(0, Money::amount);
        let part = Self { merchant: self.merchant, payable: of(0), tax: of(1), fee: of(2) };
        *self = self.without(part);
        part
    }

    fn parts(self) -> [(Account, i64); 3] {
        [(Account::MerchantPayable, self.payable), (Account::TaxPayable, self.tax), (Account::PlatformFee, self.fee)]
    }
}

/// What the books say of one intent's money, in minor units: the cumulative amounts that transfers were written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// Taken.
    pub captured: i64,
    /// Of that, credited to the order: merchants, tax and fee.
    pub applied: i64,
    /// Given back.
    pub refunded: i64,
    /// Of that, out of what was credited to the order.
    pub applied_refunded: i64,
    /// Taken back by banks.
    pub disputed: i64,
}

impl Booked {
    /// What belongs to no order and was not given back.
    #[must_use]
    pub const fn unapplied(self) -> i64 {
        self.captured - self.applied - (self.refunded - self.applied_refunded)
    }
}

/// What is known of an intent's money now, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Taken so far.
    pub captured: i64,
    /// Given back so far, ≤ captured.
    pub refunded: i64,
    /// Asked for by the order so far.
    pub asked: i64,
    /// Disputed so far.
    pub disputed: i64,
}

/// What merchants' accounts hold of one intent: credits minus debits, minor units.
pub type Held = BTreeMap<(Account, MerchantId), i64>;

/// Writes what is new: the transfers that bring the books from `booked` to `known`, and what is booked then.
///
/// Money that was taken is the order's as far as the order asked for it; the rest is unapplied. What is given back comes
/// out of unapplied money first, then out of the sale of the merchant whose refund it is, then out of every account in
/// proportion to what it `held`. `giving` may be left empty when no refund moved. Nothing new, no transfers.
#[must_use]
pub fn book(
    shares: &[MerchantShare],
    currency: Currency,
    booked: Booked,
    known: Known,
    held: Held,
    giving: &Giving,
) -> (Vec<Transfer>, Booked) {
    let mut writer = Writer { currency, held, transfers: Vec::new() };
    let mut next = booked;
    let total: i64 = shares.iter().flat_map(|share| share.parts()).map(|(_, amount)| amount).sum();
    let asked = known.asked.min(total);

    let taken = (known.captured - booked.captured).max(0);
    let applied = taken.min((asked - booked.applied).max(0));
    writer.credit_shares(Account::ProviderClearing, shares, next.applied, applied, Reason::Capture);
    writer.push(Account::ProviderClearing, Account::CustomerUnapplied, taken - applied, None, Reason::LatePayment);
    next.captured += taken;
    next.applied += applied;

    let returned = (known.refunded.min(next.captured) - booked.refunded).max(0);
    let nobodys = returned.min(next.unapplied());
    writer.push(Account::CustomerUnapplied, Account::ProviderClearing, nobodys, None, Reason::Refund);
    next.refunded += returned;
    next.applied_refunded += returned - nobodys;
    writer.give_back(giving, next, returned - nobodys);

    let wanted = (asked - next.applied).max(0).min(next.unapplied());
    writer.credit_shares(Account::CustomerUnapplied, shares, next.applied, wanted, Reason::Applied);
    next.applied += wanted;

    let disputed = (known.disputed - booked.disputed).max(0);
    if disputed > 0 {
        writer.push(Account::DisputeReceivable, Account::ProviderClearing, disputed, None, Reason::Dispute);
        writer.hold_payouts();
        next.disputed += disputed;
    }
    (writer.transfers, next)
}

/// An account of [`Held`].
type Entry<'a> = (&'a (Account, MerchantId), &'a i64);

struct Writer {
    currency: Currency,
    held: Held,
    transfers: Vec<Transfer>,
}

impl Writer {
    fn push(&mut self, debit: Account, credit: Account, amount: i64, merchant: Option<MerchantId>, reason: Reason) {
        if amount < 1 {
            return;
        }
        let Ok(amount) = Money::new(amount, self.currency) else { return };
        if let Some(merchant) = merchant {
            for (account, change) in [(debit, -amount.amount()), (credit, amount.amount())] {
                if account.is_by_merchant() {
                    *self.held.entry((account, merchant)).or_default() += change;
                }
            }
        }
        self.transfers.push(Transfer { debit, credit, amount, merchant, reason });
    }

    /// Fills the shares one after the other, the first `before` units being filled already.
    fn credit_shares(&mut self, from: Account, shares: &[MerchantShare], before: i64, amount: i64, reason: Reason) {
        let (mut skip, mut left) = (before, amount);
        for share in shares {
            for (account, size) in share.parts() {
                let skipped = skip.min(size);
                skip -= skipped;
                let part = (size - skipped).min(left);
                left -= part;
                self.push(from, account, part, Some(share.merchant), reason);
            }
        }
    }

    /// Brings what each merchant gave alone to what it owes, and what all gave together to the rest. What was given for
    /// somebody else comes back first.
    fn give_back(&mut self, giving: &Giving, booked: Booked, amount: i64) {
        let owed = giving.owed(booked.refunded - booked.applied_refunded, booked.applied_refunded);
        let rest = amount - owed.values().sum::<i64>();
        for (merchant, owed) in &owed {
            let own = giving.alone.iter().filter(|((_, of), _)| of == merchant);
            self.take_back(own, -owed, Reason::PartRefund);
        }
        self.take_back(giving.together.iter(), -rest, Reason::Refund);
        for (merchant, owed) in owed {
            let there = self.give(owed, |of| of == merchant, Reason::PartRefund);
            // What a merchant does not hold it owes: another one never pays for it.
            let (debit, credit) = (Account::MerchantPayable, Account::ProviderClearing);
            self.push(debit, credit, owed - there, Some(merchant), Reason::PartRefund);
        }
        self.give(rest, |_| true, Reason::Refund);
    }

    /// Takes from these merchants' accounts, in proportion to what they hold, as much as they do. Gives how much.
    fn give(&mut self, amount: i64, of: impl Fn(MerchantId) -> bool, reason: Reason) -> i64 {
        let holders = self.held.iter().filter(|((_, merchant), held)| **held > 0 && of(*merchant));
        let there = amount.min(holders.clone().map(|(_, held)| held).sum());
        for ((account, merchant), part) in self.split(there, holders) {
            self.push(account, Account::ProviderClearing, part, Some(merchant), reason);
        }
        there
    }

    /// Returns to accounts what they gave for somebody else, in proportion to what they gave.
    fn take_back<'a>(&mut self, gave: impl Iterator<Item = Entry<'a>>, amount: i64, reason: Reason) {
        for ((account, merchant), part) in self.split(amount, gave) {
            self.push(Account::ProviderClearing, account, part, Some(merchant), reason);
        }
    }

    fn split<'a>(&self, amount: i64, among: impl Iterator<Item = Entry<'a>>) -> Vec<((Account, MerchantId), i64)> {
        let (accounts, weights): (Vec<_>, Vec<_>) = among.unzip();
        let Ok(whole) = Money::new(amount, self.currency) else { return Vec::new() };
        accounts.into_iter().copied().zip(whole.split(&weights).into_iter().map(Money::amount)).collect()
    }

    fn hold_payouts(&mut self) {
        let payable = |key: &(Account, MerchantId), held: i64| key.0 == Account::MerchantPayable && held > 0;
        let payables: Vec<_> =
            self.held.iter().filter(|(key, held)| payable(key, **held)).map(|(key, held)| (key.1, *held)).collect();
        for (merchant, held) in payables {
            self.push(Account::MerchantPayable, Account::MerchantHeld, held, Some(merchant), Reason::Dispute);
        }
    }
}

/// Balance of every account that these transfers touch, by merchant and currency: debits minus credits, minor units.
#[must_use]
pub fn balances<'a>(
    transfers: impl IntoIterator<Item = &'a Transfer>,
) -> BTreeMap<(Account, Option<MerchantId>, Currency), i64> {
    let mut balances = BTreeMap::new();
    for transfer in transfers {
        for (account, change) in
            [(transfer.debit, transfer.amount.amount()), (transfer.credit, -transfer.amount.amount())]
        {
            let merchant = transfer.merchant.filter(|_| account.is_by_merchant());
            *balances.entry((account, merchant, transfer.amount.currency())).or_insert(0) += change;
        }
    }
    balances
}

/// What merchants' accounts hold after these transfers.
#[must_use]
pub fn held<'a>(transfers: impl IntoIterator<Item = &'a Transfer>) -> Held {
    balances(transfers)
        .into_iter()
        .filter_map(|((account, merchant, _), balance)| Some(((account, merchant?), -balance)))
        .collect()
}

#[cfg(test)]
mod tests;
