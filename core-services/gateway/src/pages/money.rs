//! Merchants' statements: a month at a time, as a page and as a table to keep. Admins see what is owed to whom.

use std::{collections::BTreeMap, sync::Arc};

use bodega_domain::{
    Currency, Failure,
    id::MerchantId,
    limits::LIST_LIMIT_MAX,
    message::{
        self,
        payment::{
            Balance, Balances, Reconcile, Reconciliation, Reconciliations, Statement, StatementAccounts, StatementLine,
            StatementOf,
        },
    },
    money::Money,
};
use maud::{Markup, html};

use super::{
    layout::Page,
    table::{escape, facts, pager, table},
    visit::{Done, Visit},
    words::{amount, badge, plain, time},
};

const ROWS_PER_PAGE: u32 = 40;
/// Lines of a file: what a spreadsheet still opens at once, and so many that a month of a large shop fits.
const FILE_LINES_MAX: usize = 200_000;
/// Columns of the file; amounts with as many decimals as the currency has.
const COLUMNS: [&str; 9] = [
    "booked_at",
    "order",
    "reason",
    "currency",
    "to_merchant",
    "held_back",
    "tax",
    "marketplace_fee",
    "owed_afterwards",
];

/// What is asked for by the address.
fn asked(visit: &Visit) -> Result<StatementOf, Failure> {
    let merchant = visit
        .query("merchant")
        .map(|text| text.parse().map_err(|_| super::form::wrong("merchant", "The id of a merchant.")));
    let currency = visit
        .query("currency")
        .map(|text| text.parse().map_err(|_| super::form::wrong("currency", "A currency, such as EUR.")));
    Ok(StatementOf {
        merchant: merchant.transpose()?,
        month: visit.query("month").map(str::to_owned),
        currency: currency.transpose()?,
        cursor: visit.cursor(),
        limit: Some(ROWS_PER_PAGE),
    })
}

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let mut ask = asked(&visit)?;
    if visit.is_admin() && ask.merchant.is_none() {
        return owed(&visit).await;
    }
    let own: Vec<MerchantId> = visit.principal.merchants().collect();
    ask.merchant = ask.merchant.or(own.first().copied());
    let statement = visit.ask(ask).await?;
    let body = html! {
        @if own.len() > 1 { (merchants(&visit, &own, statement.merchant)) }
        @if visit.is_admin() { p { a href=(visit.at("/money")) { "All merchants" } } }
        p { "What the marketplace owes " @if visit.is_admin() { "merchant " code { (statement.merchant) } } @else { "you" } ", and by what that came about." }
        (choose(&visit, &statement))
        @match statement.currency {
            Some(currency) => { (of_currency(&visit, &statement, currency)) }
            None => { p.empty { "No money was booked until the end of this month." } }
        }
    };
    Ok(Page::new("Money", body))
}

/// A link for each of the merchants that somebody acts for.
fn merchants(visit: &Visit, own: &[MerchantId], here: MerchantId) -> Markup {
    html! {
        nav.chips aria-label="Merchants" {
            ul { @for merchant in own {
                li { a href=(visit.at(format_args!("/money?merchant={merchant}"))) aria-current=[(*merchant == here).then_some("page")] { "Merchant " (merchant) } }
            } }
        }
    }
}

fn choose(visit: &Visit, statement: &Statement) -> Markup {
    let currencies: Vec<Currency> = statement.accounts.iter().map(|of| of.closing.payable.currency()).collect();
    html! {
        form.sheet method="get" action=(visit.at("/money")) {
            input type="hidden" name="merchant" value=(statement.merchant);
            div.field {
                label for="month" { "Month, in UTC" }
                input id="month" name="month" type="month" required min="2000-01" max="2199-12" pattern="[0-9]{4}-[0-9]{2}" value=(statement.month);
            }
            @if currencies.len() > 1 {
                div.field {
                    label for="currency" { "Currency" }
                    select id="currency" name="currency" {
                        @for currency in &currencies {
                            option value=(currency) selected[Some(*currency) == statement.currency] { (currency) }
                        }
                    }
                }
            }
            button.button type="submit" { "Show" }
        }
    }
}

fn of_currency(visit: &Visit, statement: &Statement, currency: Currency) -> Markup {
    let accounts = statement.accounts.iter().find(|of| of.closing.payable.currency() == currency);
    let filter = format!("merchant={}&month={}&currency={currency}", statement.merchant, escape(&statement.month));
    let at = visit.at("/money");
    let rows = statement.lines.iter().map(|line| row(visit, line)).collect();
    let whose = if visit.is_admin() { "To the merchant" } else { "To you" };
    let heads = ["When", "What", "Order", whose, "Held back", "Tax", "Fee", "Owed afterwards"];
    html! {
        @if let Some(accounts) = accounts { (sums(accounts)) }
        (table(&format!("{}, {currency}, oldest first", statement.month), &heads, rows, "Nothing was booked in this month."))
        (pager(&at, &filter, visit.cursor().is_some(), statement.next_cursor.as_deref()))
        @if !statement.lines.is_empty() {
            p { a.button.quiet href={ (visit.at("/money/statement.csv")) "?" (filter) } { "Download the month as a table" } }
        }
    }
}

fn sums(accounts: &StatementAccounts) -> Markup {
    let StatementAccounts { opening, closing } = accounts;
    let change = |opening: Money, closing: Money| closing.amount() - opening.amount();
    let of_month =
        |opening: Money, closing: Money| html! { span.num { (signed(change(opening, closing), closing.currency())) } };
    facts(vec![
        ("Owed when the month began", html! { span.num { (opening.payable) } }),
        ("Owed at its end", html! { strong.num { (closing.payable) } }),
        ("Held back during disputes", html! { span.num { (closing.held) } }),
        ("Tax of this month", of_month(opening.tax, closing.tax)),
        ("Fees of this month", of_month(opening.fee, closing.fee)),
    ])
}

fn row(visit: &Visit, line: &StatementLine) -> Vec<Markup> {
    let cell = |money: Money| html! { span.num { @if money.amount() == 0 { "–" } @else { (signed(money.amount(), money.currency())) } } };
    vec![
        time(line.at),
        html! { (what(&line.reason)) },
        html! { @if let Some(order) = line.order { a href=(visit.at(format_args!("/orders/{order}"))) { code { (order) } } } @else { "–" } },
        cell(line.change.payable),
        cell(line.change.held),
        cell(line.change.tax),
        cell(line.change.fee),
        html! { span.num { (line.payable) } },
    ]
}

/// With its sign, so that what is taken away is seen at once.
fn signed(minor: i64, currency: Currency) -> String {
    let sign = if minor > 0 { "+" } else { "" };
    format!("{sign}{} {currency}", amount(minor, currency))
}

fn what(reason: &str) -> String {
    match reason {
        "capture" => "Sold".to_owned(),
        "applied" => "Sold, by money that came late".to_owned(),
        "refund" | "part_refund" => "Given back".to_owned(),
        "dispute" => "Disputed by the shopper's bank".to_owned(),
        other => plain(other),
    }
}

/// For admins: what is owed to each merchant, and a link to its statement.
async fn owed(visit: &Visit) -> Result<Page, Failure> {
    let runs = Reconciliations { cursor: visit.cursor() };
    let (balances, runs) = tokio::join!(visit.ask(Balances::default()), visit.ask(runs));
    let balances = balances?;
    let (merchants, own): (Vec<Balance>, Vec<Balance>) = balances.into_iter().partition(|of| of.merchant.is_some());
    let mut by_merchant: BTreeMap<(MerchantId, Currency), BTreeMap<String, i64>> = BTreeMap::new();
    for balance in &merchants {
        let Some(merchant) = balance.merchant else { continue };
        let of = by_merchant.entry((merchant, balance.balance.currency())).or_default();
        // The ledger counts debits; what is owed is a credit.
        of.insert(balance.account.clone(), -balance.balance.amount());
    }
    let rows = by_merchant.iter().map(|((merchant, currency), of)| owed_row(visit, *merchant, *currency, of)).collect();
    let own = own.iter().map(|of| vec![html! { (plain(&of.account)) }, html! { span.num { (of.balance) } }]).collect();
    let body = html! {
        (table("What is owed to merchants", &["Merchant", "Owed", "Held back", "Tax", "Fees"], rows, "No money was taken yet."))
        (table("Accounts of the marketplace, debits less credits", &["Account", "Balance"], own, "No money has moved yet."))
        section aria-labelledby="reports" {
            h2 id="reports" { "Beside the providers' reports" }
            p {
                "Each night all payments are laid beside what the providers say they settled. Whatever differs is under "
                a href=(visit.at("")) { "Payments to look at" } ", with what to do about it, until it differs no longer."
            }
            form method="post" action=(visit.at("/money/reconcile")) {
                button.button type="submit" { "Lay them beside each other now" }
            }
            @match runs {
                Ok(runs) => { (reconciliations(visit, &runs)) }
                Err(failure) => { (super::home::unread(&failure)) }
            }
        }
    };
    Ok(Page::new("Money", body))
}

fn reconciliations(visit: &Visit, runs: &message::Page<Reconciliation>) -> Markup {
    let rows = runs
        .items
        .iter()
        .map(|run| {
            vec![
                time(run.asked_at),
                html! { code { (run.who) } },
                html! { @if let Some(at) = run.finished_at { (time(at)) } @else { (badge("running")) } },
                html! { span.num { (run.lines) } },
                html! { span.num { (run.payments) } },
                html! { span.num { (run.differences) } },
                html! { @if let Some(trouble) = &run.trouble { span { (trouble) } } @else { "–" } },
            ]
        })
        .collect();
    let heads = ["Asked for", "By", "Finished", "Lines read", "Payments", "Of these differ", "Trouble"];
    html! {
        (table("Newest first", &heads, rows, "None yet: the first is in the night."))
        (pager(&visit.at("/money"), "", visit.cursor().is_some(), runs.next_cursor.as_deref()))
    }
}

pub(crate) async fn reconcile(visit: Arc<Visit>) -> Result<Done, Failure> {
    visit.ask(Reconcile {}).await?;
    let said = "It has begun. Load this page again to see how far it is.".to_owned();
    Ok(Done { to: visit.at("/money"), said })
}

fn owed_row(visit: &Visit, merchant: MerchantId, currency: Currency, of: &BTreeMap<String, i64>) -> Vec<Markup> {
    let cell = |account: &str| {
        let held = of.get(account).copied().unwrap_or(0);
        html! { span.num { (amount(held, currency)) " " (currency) } }
    };
    let address = visit.at(format_args!("/money?merchant={merchant}&currency={currency}"));
    vec![
        html! { a href=(address) { code { (merchant) } } },
        cell("merchant_payable"),
        cell("merchant_held"),
        cell("tax_payable"),
        cell("platform_fee"),
    ]
}

/// The whole month as a file that a spreadsheet opens.
pub(crate) async fn download(visit: Arc<Visit>) -> Result<Vec<u8>, Failure> {
    let mut ask = StatementOf { cursor: None, limit: Some(LIST_LIMIT_MAX), ..asked(&visit)? };
    ask.merchant = ask.merchant.or(visit.principal.merchants().next());
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(COLUMNS).map_err(|_| Failure::internal())?;
    let mut written = 0;
    loop {
        let statement = visit.ask(ask.clone()).await?;
        for line in &statement.lines {
            file.write_record(record(line)).map_err(|_| Failure::internal())?;
        }
        written += statement.lines.len();
        // Later pages are of the month and the currency that the first one was of.
        (ask.month, ask.currency, ask.cursor) = (Some(statement.month), statement.currency, statement.next_cursor);
        if ask.cursor.is_none() {
            break;
        }
        if written >= FILE_LINES_MAX {
            let text =
                "A month of more than 200,000 lines is no table any more: read it through the API, page by page.";
            return Err(Failure::new(bodega_domain::Code::PayloadTooLarge, text));
        }
    }
    file.into_inner().map_err(|_| Failure::internal())
}

fn record(line: &StatementLine) -> [String; 9] {
    let cell = |money: Money| amount(money.amount(), money.currency());
    [
        line.at.to_string(),
        line.order.map(|order| order.to_string()).unwrap_or_default(),
        line.reason.clone(),
        line.payable.currency().to_string(),
        cell(line.change.payable),
        cell(line.change.held),
        cell(line.change.tax),
        cell(line.change.fee),
        cell(line.payable),
    ]
}
