//! The books, step by step.

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
        let (transfers, next) = book(shares, EUR, booked, *known, held(&all), &Giving::default());
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
        let (again, same) = book(&shares, EUR, booked, last, held(&transfers), &Giving::default());
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
