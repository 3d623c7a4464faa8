//! The ledger: journals of transfers. A transfer debits one account and credits another by the same amount, so that the
//! books balance by construction; rows are only ever added.
//!
//! | what happened | debit | credit |
//! | --- | --- | --- |
//! | money taken that the order asked for | `provider_clearing` | `merchant_payable`, `tax_payable`, `platform_fee` |
//! | money taken that nobody asked for | `provider_clearing` | `customer_unapplied` |
//! | it is asked for after all | `customer_unapplied` | `merchant_payable`, `tax_payable`, `platform_fee` |
//! | money given back | what it was credited to | `provider_clearing` |
//! | a dispute | `dispute_receivable` | `provider_clearing` |
//! | … and the payout waits | `merchant_payable` | `merchant_held` |
//! | the provider's fee | `provider_fees` | `provider_clearing` |

use std::collections::BTreeMap;

use crate::{
    id::MerchantId,
    money::{Currency, Money, MoneyError},
};

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
    /// Money given back.
    Refund,
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
/// out of unapplied money first, then out of every account in proportion to what it `held`. Nothing new, no transfers.
#[must_use]
pub fn book(
    shares: &[MerchantShare],
    currency: Currency,
    booked: Booked,
    known: Known,
    held: Held,
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
    writer.give_back(returned - nobodys);
    next.refunded += returned;
    next.applied_refunded += returned - nobodys;

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

    /// Takes from every account of a merchant in proportion to what it holds.
    fn give_back(&mut self, amount: i64) {
        let holders: Vec<_> =
            self.held.iter().filter(|(_, held)| **held > 0).map(|(key, held)| (*key, *held)).collect();
        let Ok(whole) = Money::new(amount, self.currency) else { return };
        let weights: Vec<i64> = holders.iter().map(|(_, held)| *held).collect();
        for (((account, merchant), _), part) in holders.into_iter().zip(whole.split(&weights)) {
            self.push(account, Account::ProviderClearing, part.amount(), Some(merchant), Reason::Refund);
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EUR: Currency = Currency::EUR;

    fn share(merchant: u128, net: i64, tax: i64) -> MerchantShare {
        let money = |amount| Money::new(amount, EUR).unwrap();
        MerchantShare::new(MerchantId::from_u128(merchant), money(net), money(tax), 500).unwrap()
    }

    fn of(transfers: &[Transfer], account: Account) -> i64 {
        balances(transfers).iter().filter(|(key, _)| key.0 == account).map(|(_, balance)| balance).sum()
    }

    /// Books step by step and gives back all transfers.
    fn run(shares: &[MerchantShare], steps: &[Known]) -> (Vec<Transfer>, Booked) {
        let (mut all, mut booked) = (Vec::new(), Booked::default());
        for known in steps {
            let (transfers, next) = book(shares, EUR, booked, *known, held(&all));
            all.extend(transfers);
            booked = next;
        }
        (all, booked)
    }

    #[test]
    fn a_capture_goes_to_merchants_tax_and_fee() {
        let shares = [share(1, 1_000, 190), share(2, 500, 35)];
        let (transfers, _) = run(&shares, &[Known { captured: 1_725, asked: 1_725, ..Known::default() }]);
        let balances = balances(&transfers);
        let of = |account, merchant| balances[&(account, Some(MerchantId::from_u128(merchant)), EUR)];
        assert_eq!(of(Account::MerchantPayable, 1), -950);
        assert_eq!(of(Account::TaxPayable, 1), -190);
        assert_eq!(of(Account::PlatformFee, 1), -50);
        assert_eq!(of(Account::MerchantPayable, 2), -475);
        assert_eq!(balances[&(Account::ProviderClearing, None, EUR)], 1_725);
    }

    #[test]
    fn money_that_nobody_asked_for_is_unapplied_until_it_is_given_back_or_asked_for() {
        let shares = [share(1, 1_000, 0)];
        let late = Known { captured: 1_000, ..Known::default() };
        let (transfers, booked) = run(&shares, &[late]);
        assert_eq!((of(&transfers, Account::CustomerUnapplied), booked.unapplied()), (-1_000, 1_000));
        let (transfers, _) = run(&shares, &[late, Known { refunded: 1_000, ..late }]);
        assert!(balances(&transfers).values().all(|balance| *balance == 0));
        let (transfers, _) = run(&shares, &[late, Known { asked: 1_000, ..late }]);
        assert_eq!((of(&transfers, Account::CustomerUnapplied), of(&transfers, Account::MerchantPayable)), (0, -950));
    }

    #[test]
    fn a_dispute_holds_the_payout() {
        let shares = [share(1, 1_000, 100)];
        let paid = Known { captured: 1_100, asked: 1_100, ..Known::default() };
        let (transfers, _) = run(&shares, &[paid, Known { disputed: 1_100, ..paid }]);
        assert_eq!(of(&transfers, Account::MerchantPayable), 0);
        assert_eq!(of(&transfers, Account::MerchantHeld), -950);
        assert_eq!(of(&transfers, Account::ProviderClearing), 0);
        assert_eq!(of(&transfers, Account::DisputeReceivable), 1_100);
    }

    #[test]
    fn account_names_are_read_back() {
        for account in Account::ALL {
            assert_eq!(Account::parse(account.as_str()), Some(account));
        }
    }

    fn shares() -> impl Strategy<Value = Vec<MerchantShare>> {
        proptest::collection::vec((0_i64..500, 0_i64..100), 1..4)
            .prop_map(|parts| (1_u128..).zip(parts).map(|(merchant, (net, tax))| share(merchant, net, tax)).collect())
    }

    /// Steps that grow, as facts do: refunded ≤ captured.
    fn steps() -> impl Strategy<Value = Vec<Known>> {
        proptest::collection::vec((0_i64..300, 0_i64..200, 0_i64..300, 0_i64..100), 1..10).prop_map(|raises| {
            let mut known = Known::default();
            raises
                .into_iter()
                .map(|(captured, refunded, asked, disputed)| {
                    known.captured += captured;
                    known.refunded = (known.refunded + refunded).min(known.captured);
                    known.asked += asked;
                    known.disputed += disputed;
                    known
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_books_balance_and_agree_with_what_is_known(shares in shares(), steps in steps()) {
            let (transfers, booked) = run(&shares, &steps);
            let last = steps[steps.len() - 1];
            prop_assert_eq!(balances(&transfers).values().sum::<i64>(), 0);
            prop_assert!(transfers.iter().all(|transfer| transfer.amount.amount() > 0));
            prop_assert_eq!(of(&transfers, Account::ProviderClearing), last.captured - last.refunded - last.disputed);
            prop_assert_eq!(of(&transfers, Account::CustomerUnapplied), -booked.unapplied());
            prop_assert!(booked.unapplied() >= 0);
            let held: i64 = held(&transfers).values().sum();
            prop_assert_eq!(held, booked.applied - booked.applied_refunded);
            prop_assert!(super::held(&transfers).values().all(|held| *held >= 0));
        }

        #[test]
        fn saying_it_again_books_nothing(shares in shares(), steps in steps()) {
            let (transfers, booked) = run(&shares, &steps);
            let last = steps[steps.len() - 1];
            let (again, same) = book(&shares, EUR, booked, last, held(&transfers));
            prop_assert!(again.is_empty(), "{again:?}");
            prop_assert_eq!(booked, same);
        }

        #[test]
        fn without_refunds_one_step_and_many_end_in_the_same_balances(shares in shares(), steps in steps()) {
            let steps: Vec<_> = steps.into_iter().map(|known| Known { refunded: 0, disputed: 0, ..known }).collect();
            let settled = |mut books: BTreeMap<_, i64>| { books.retain(|_, balance| *balance != 0); books };
            let many = settled(balances(&run(&shares, &steps).0));
            let one = settled(balances(&run(&shares, &steps[steps.len() - 1..]).0));
            prop_assert_eq!(many, one);
        }
    }
}
