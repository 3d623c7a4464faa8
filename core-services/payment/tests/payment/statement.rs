//! A merchant's statement: a month at a time, and the same as the books.

use bodega_domain::{
    Code, Currency, Failure,
    id::MerchantId,
    message::payment::{Balances, Refund, Statement, StatementLine, StatementOf},
    money::Money,
};
use bodega_platform::sqlx;

use crate::support::{World, eur};

const SELLER: MerchantId = MerchantId::from_u128(2);
const OTHER: MerchantId = MerchantId::from_u128(1);

fn of(merchant: MerchantId) -> StatementOf {
    StatementOf { merchant: Some(merchant), ..StatementOf::default() }
}

fn of_month(month: &str) -> StatementOf {
    StatementOf { month: Some(month.to_owned()), ..of(SELLER) }
}

/// What the books hold for a merchant: credits minus debits.
async fn held(world: &World, merchant: MerchantId, account: &str) -> i64 {
    let balances = world.core.ask(Balances { merchant: Some(merchant) }).await.unwrap();
    balances.iter().filter(|of| of.account == account).map(|of| -of.balance.amount()).sum()
}

/// All lines, by pages of so many; each line follows from the one before it.
async fn all_lines(world: &World, ask: StatementOf, limit: u32) -> (Statement, Vec<StatementLine>) {
    let mut ask = StatementOf { limit: Some(limit), ..ask };
    let first = world.core.ask(ask.clone()).await.unwrap();
    let (mut lines, mut next) = (first.lines.clone(), first.next_cursor.clone());
    while next.is_some() {
        ask.cursor = next;
        let page = world.core.ask(ask.clone()).await.unwrap();
        assert!(!page.lines.is_empty(), "a page that is announced has something on it");
        lines.extend(page.lines);
        next = page.next_cursor;
    }
    let accounts = first.accounts.iter().find(|of| Some(of.closing.payable.currency()) == first.currency).unwrap();
    let mut owed = accounts.opening.payable.amount();
    for line in &lines {
        owed += line.change.payable.amount();
        assert_eq!(line.payable.amount(), owed, "{line:?}");
    }
    assert_eq!(owed, accounts.closing.payable.amount(), "the opening and all lines come to the closing");
    (first, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_what_the_books_say_on_one_page_or_on_many() {
    let world = World::open().await;
    let empty = world.core.ask(of(SELLER)).await.unwrap();
    assert_eq!((empty.accounts.len(), empty.currency, empty.lines.len()), (0, None, 0));

    let first = world.paid(1_000, "card_ok").await;
    world.paid(2_000, "card_ok").await;
    let back = Refund {
        order: first,
        amount: Some(eur(250)),
        merchant: Some(SELLER),
        key: "one".to_owned(),
        reason: "return".to_owned(),
    };
    world.core.ask(back).await.unwrap();
    world.until(first, "the money is back", |state| state.amounts.refunded.amount() == 250).await;
    world.until_idle().await;

    let (statement, lines) = all_lines(&world, of(SELLER), 100).await;
    assert_eq!(statement.currency, Some(Currency::EUR));
    let reasons: Vec<&str> = lines.iter().map(|line| line.reason.as_str()).collect();
    assert_eq!(reasons, ["capture", "capture", "part_refund"]);
    assert_eq!((lines[0].order, lines[2].order), (Some(first), Some(first)));
    assert!(lines[2].change.payable.amount() < 0 && lines[2].change.fee.amount() < 0, "{:?}", lines[2]);
    let closing = statement.accounts[0].closing;
    for (account, said) in [
        ("merchant_payable", closing.payable),
        ("merchant_held", closing.held),
        ("tax_payable", closing.tax),
        ("platform_fee", closing.fee),
    ] {
        assert_eq!(said.amount(), held(&world, SELLER, account).await, "{account}");
    }
    assert_eq!(all_lines(&world, of(SELLER), 1).await.1, lines, "page by page they are the same");

    let (_, theirs) = all_lines(&world, of(OTHER), 100).await;
    assert_eq!(theirs.len(), 2, "nothing of the refund that another one paid: {theirs:?}");
    assert!(theirs.iter().all(|line| line.change.tax.amount() > 0), "the tax is the first one's: {theirs:?}");
}

/// Books a sale as the ledger would have then: the first of these amounts is the merchant's, the second the fee.
async fn book(world: &World, at: &str, amounts: [i64; 2], currency: &str) {
    let pool = world.pool().await;
    for (amount, account) in amounts.into_iter().zip(["merchant_payable", "platform_fee"]) {
        // One journal a moment, as ids that follow from it.
        sqlx::query(
            "insert into transfer (id, journal, at, debit, credit, amount, currency, merchant, reason)
             values (gen_random_uuid(), md5($1)::uuid, $1::timestamptz, 'provider_clearing', $2, $3, $4, $5, 'capture')",
        )
        .bind(at)
        .bind(account)
        .bind(amount)
        .bind(currency)
        .bind(sqlx::types::Uuid::from_u128(SELLER.as_u128()))
        .execute(&pool)
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_booked_before_opens_the_next_month() {
    let world = World::open().await;
    book(&world, "2026-01-31T23:59:59.999Z", [900, 100], "EUR").await;
    book(&world, "2026-02-01T00:00:00Z", [1_800, 200], "EUR").await;
    book(&world, "2026-02-01T00:00:00Z", [7, 1], "JPY").await;

    let (january, lines) = all_lines(&world, of_month("2026-01"), 10).await;
    assert_eq!((lines.len(), january.accounts.len()), (1, 1), "yen came later: {:?}", january.accounts);
    assert_eq!(
        (january.from.to_string(), january.until.to_string()),
        ("2026-01-01T00:00:00Z".into(), "2026-02-01T00:00:00Z".into())
    );
    assert_eq!(january.accounts[0].closing.payable, eur(900));

    let (february, lines) = all_lines(&world, of_month("2026-02"), 10).await;
    assert_eq!((lines.len(), february.accounts.len()), (1, 2), "one currency at a time");
    let (opening, closing) = (february.accounts[0].opening, february.accounts[0].closing);
    assert_eq!((opening, closing.payable, closing.fee), (january.accounts[0].closing, eur(2_700), eur(300)));
    let yen: Currency = "JPY".parse().unwrap();
    let (in_yen, lines) = all_lines(&world, StatementOf { currency: Some(yen), ..of_month("2026-02") }, 10).await;
    assert_eq!((in_yen.currency, lines.len(), lines[0].payable), (Some(yen), 1, Money::new(7, yen).unwrap()));

    let (march, lines) = all_lines(&world, of_month("2026-03"), 10).await;
    assert_eq!((lines.len(), march.accounts[0].opening), (0, closing), "nothing happened, and it is still owed");
    let before = world.core.ask(of_month("2025-12")).await.unwrap();
    assert_eq!((before.accounts.len(), before.lines.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_month_no_cursor_and_nobody_s_is_refused() {
    let world = World::open().await;
    let refused = async |ask: StatementOf| -> Failure { world.core.ask(ask).await.unwrap_err() };
    for month in ["2026-13", "last", "", "2026-1", "99999-01"] {
        let failure = refused(of_month(month)).await;
        assert_eq!((failure.code, failure.fields[0].pointer.as_str()), (Code::ValidationFailed, "/month"), "{month}");
    }
    assert_eq!(refused(StatementOf::default()).await.fields[0].pointer, "/merchant");
    for cursor in ["elsewhere", "1~2~3", "9223372036854775807~x~y"] {
        let failure = refused(StatementOf { cursor: Some(cursor.to_owned()), ..of(SELLER) }).await;
        assert_eq!(failure.code, Code::BadRequest, "{cursor}");
    }
    let nobody = world.core.ask_as(None, of(SELLER)).await.unwrap_err();
    assert!(matches!(nobody.code.http_status(), 401 | 403), "{nobody:?}");
}
