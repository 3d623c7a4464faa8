//! Who pays for what goes back, whatever is heard first.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    ledger::{Account, Booked, Known, MerchantShare, Reason, Transfer, balances, book, held},
    money::{Currency, Money},
};

const EUR: Currency = Currency::EUR;

fn merchant(n: u128) -> MerchantId {
    MerchantId::from_u128(n)
}

fn share(n: u128, net: i64, tax: i64) -> MerchantShare {
    let money = |amount| Money::new(amount, EUR).unwrap();
    MerchantShare::new(merchant(n), money(net), money(tax), 500).unwrap()
}

/// An intent's books, and the refunds that were asked of it.
struct Books {
    shares: Vec<MerchantShare>,
    transfers: Vec<Transfer>,
    booked: Booked,
    known: Known,
}

impl Books {
    /// All of it was taken, and so much of it asked for.
    fn paid(shares: &[MerchantShare], asked: i64) -> Self {
        let captured = shares.iter().map(|share| share.payable + share.tax + share.fee).sum();
        let known = Known { captured, asked, ..Known::default() };
        let mut books =
            Self { shares: shares.to_vec(), transfers: Vec::new(), booked: Booked::default(), known: Known::default() };
        books.hear(known, &[]);
        books
    }

    /// Books what is known now, with the refunds as they are believed to have happened. Gives the new transfers.
    fn hear(&mut self, known: Known, refunds: &[(Option<u128>, i64)]) -> Vec<Transfer> {
        let refunds = refunds.iter().map(|(of, amount)| (of.map(merchant), *amount)).collect();
        let giving = Giving { refunds, alone: self.gave(Reason::PartRefund), together: self.gave(Reason::Refund) };
        let (new, booked) = book(&self.shares, EUR, self.booked, known, held(&self.transfers), &giving);
        self.transfers.extend(&new);
        (self.booked, self.known) = (booked, known);
        new
    }

    fn refunded(&mut self, refunded: i64, refunds: &[(Option<u128>, i64)]) -> Vec<Transfer> {
        self.hear(Known { refunded, ..self.known }, refunds)
    }

    fn gave(&self, reason: Reason) -> Held {
        let held = held(self.transfers.iter().filter(|transfer| transfer.reason == reason));
        held.into_iter().map(|(account, held)| (account, -held)).collect()
    }

    fn alone(&self, n: u128) -> i64 {
        self.gave(Reason::PartRefund).iter().filter(|((_, of), _)| *of == merchant(n)).map(|(_, gave)| gave).sum()
    }

    fn holds(&self, n: u128) -> i64 {
        held(&self.transfers).iter().filter(|((_, of), _)| *of == merchant(n)).map(|(_, held)| held).sum()
    }
}

#[test]
fn a_refund_of_one_sale_is_paid_by_its_merchant_alone() {
    let mut books = Books::paid(&[share(1, 1_000, 190), share(2, 500, 35)], 1_725);
    let back = books.refunded(107, &[(Some(2), 107)]);
    assert!(back.iter().all(|transfer| transfer.merchant == Some(merchant(2))), "{back:?}");
    let of = |account| back.iter().filter(|t| t.debit == account).map(|t| t.amount.amount()).sum::<i64>();
    assert_eq!([Account::MerchantPayable, Account::TaxPayable, Account::PlatformFee].map(of), [95, 7, 5]);
    // What is given back at the provider's own pages is everybody's.
    let back = books.refunded(207, &[(Some(2), 107)]);
    assert!(back.iter().any(|transfer| transfer.merchant == Some(merchant(1))), "{back:?}");
    assert!(back.iter().all(|transfer| transfer.reason == Reason::Refund), "{back:?}");
}

#[test]
fn who_gives_more_than_there_is_owes_it_and_nobody_else_pays() {
    let mut books = Books::paid(&[share(1, 100, 0), share(2, 100, 0)], 200);
    books.refunded(150, &[(Some(1), 150)]);
    assert_eq!((books.holds(1), books.holds(2)), (-50, 100));
}

#[test]
fn what_was_believed_of_a_refund_that_failed_comes_back_from_whom_it_was() {
    let mut books = Books::paid(&[share(1, 100, 10), share(2, 100, 10)], 220);
    let before = held(&books.transfers);
    // Both are asked for; the first word is about the second one, and nobody can tell.
    books.refunded(50, &[(Some(1), 50), (Some(2), 50)]);
    assert_eq!((books.alone(1), books.alone(2)), (50, 0));
    books.refunded(50, &[(Some(2), 50)]);
    assert_eq!((books.alone(1), books.alone(2)), (0, 50));
    let after = held(&books.transfers);
    assert!(before.iter().filter(|((_, of), _)| *of == merchant(1)).all(|(account, held)| after[account] == *held));
    // The same with one that is everybody's.
    books.refunded(80, &[(Some(2), 50), (None, 30), (Some(1), 30)]);
    assert_eq!((books.alone(1), books.alone(2)), (0, 50));
    books.refunded(80, &[(Some(2), 50), (Some(1), 30)]);
    assert_eq!((books.alone(1), books.alone(2), books.holds(2)), (30, 50, 60));
}

#[test]
fn money_that_was_nobody_s_is_laid_beside_no_merchant_s_refund() {
    let mut books = Books::paid(&[share(1, 100, 0), share(2, 100, 0)], 160);
    // What the order did not ask for goes back.
    let back = books.refunded(40, &[(None, 40)]);
    assert!(back.iter().all(|transfer| transfer.debit == Account::CustomerUnapplied), "{back:?}");
    books.refunded(70, &[(None, 40), (Some(1), 30)]);
    assert_eq!((books.alone(1), books.alone(2), books.holds(1), books.holds(2)), (30, 0, 70, 60));
}

/// A refund: out of whose sale, how much, and whether the provider does it.
type Row = (Option<u128>, i64, bool);

/// What is heard, in any order.
#[derive(Clone, Copy, Debug)]
enum Word {
    /// We ask for a refund.
    Asked(usize),
    /// A webhook tells the sum, with this one in it.
    Seen(usize),
    /// The provider answers for it.
    Answered(usize),
    /// Somebody gave money back at the provider's own pages.
    Elsewhere(i64),
}

fn history() -> impl Strategy<Value = (Vec<Row>, Vec<Word>)> {
    let row = (proptest::option::weighted(0.8, 1_u128..4), 1_i64..90, proptest::bool::weighted(0.7));
    let rows = proptest::collection::vec(row, 1..6);
    (rows, proptest::collection::vec(1_i64..60, 0..3)).prop_flat_map(|(rows, elsewhere)| {
        let of = |i| [Word::Asked(i), Word::Seen(i), Word::Answered(i)];
        let words: Vec<Word> = (0..rows.len()).flat_map(of).chain(elsewhere.into_iter().map(Word::Elsewhere)).collect();
        (Just(rows), Just(words).prop_shuffle())
    })
}

proptest! {
    /// In whichever order the provider does what several merchants ask, whatever it refuses, and however it is heard of:
    /// every step books exactly what went back, and in the end each merchant has given its own alone.
    #[test]
    fn in_the_end_each_merchant_has_given_its_own((rows, words) in history()) {
        let mut books = Books::paid(&[share(1, 80, 10), share(2, 500, 0), share(3, 500, 10)], 1_100);
        let (mut asked, mut seen, mut answered) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut elsewhere = 0;
        for word in words {
            match word {
                Word::Elsewhere(amount) => elsewhere += amount,
                Word::Asked(i) | Word::Seen(i) | Word::Answered(i) => {
                    // Nothing is heard of what was not asked for, and an answer shows the sum too.
                    if !asked.contains(&i) {
                        asked.push(i);
                    }
                    if rows[i].2 && !matches!(word, Word::Asked(_)) {
                        seen.insert(i);
                    }
                    if matches!(word, Word::Answered(_)) {
                        answered.insert(i);
                    }
                }
            }
            let mut believed: Vec<usize> = asked.clone();
            believed.retain(|i| rows[*i].2 || !answered.contains(i));
            believed.sort_by_key(|i| !answered.contains(i));
            let refunds: Vec<_> = believed.iter().map(|i| (rows[*i].0, rows[*i].1)).collect();
            let refunded = elsewhere + seen.iter().map(|i| rows[*i].1).sum::<i64>();
            books.refunded(refunded, &refunds);
            let gave: i64 = [Reason::Refund, Reason::PartRefund].iter().flat_map(|r| books.gave(*r)).map(|(_, g)| g).sum();
            prop_assert_eq!(gave, refunded);
            prop_assert_eq!(balances(&books.transfers).values().sum::<i64>(), 0);
            for reason in [Reason::Refund, Reason::PartRefund] {
                prop_assert!(books.gave(reason).values().all(|gave| *gave >= 0));
            }
            for n in 1..4 {
                let own: i64 = refunds.iter().filter(|(of, _)| *of == Some(n)).map(|(_, amount)| amount).sum();
                prop_assert!(books.alone(n) <= own, "{n} gave for another");
            }
            prop_assert_eq!(books.refunded(refunded, &refunds), vec![], "heard again");
        }
        for n in 1..4 {
            let own: i64 = rows.iter().filter(|(of, _, done)| *of == Some(n) && *done).map(|(_, amount, _)| amount).sum();
            prop_assert_eq!(books.alone(n), own);
        }
    }
}
