//! Goods that come back: the list of returns, and on an order's page the decision and what is there.

use std::{collections::BTreeMap, sync::Arc};

use bodega_domain::{
    Code, Currency, Failure, Money,
    id::{OrderId, ReturnId},
    message::order::{DecideReturn, ReceiveReturn, Received, ReturnVerdict, Returns},
    order::{OrderView, ReturnState, ReturnView},
};
use maud::{Markup, html};

use super::{
    form::{Form, wrong},
    layout::Page,
    pieces::{self, goods},
    table::{chips, facts, pager, table},
    visit::{Done, Visit},
    words::{badge, plain, price, time},
};

const RETURNS_PER_PAGE: u32 = 30;

const STATES: [ReturnState; 5] = [
    ReturnState::Requested,
    ReturnState::Approved,
    ReturnState::Refused,
    ReturnState::Receiving,
    ReturnState::Received,
];

pub(crate) async fn list(visit: Arc<Visit>) -> Result<Page, Failure> {
    let state = match visit.query("state") {
        None => None,
        Some(asked) => Some(
            STATES
                .into_iter()
                .find(|state| state.as_str() == asked)
                .ok_or_else(|| Failure::new(Code::BadRequest, "There is no such state of returns."))?,
        ),
    };
    let page = visit.ask(Returns { state, cursor: visit.cursor(), limit: Some(RETURNS_PER_PAGE) }).await?;
    let rows = page
        .items
        .iter()
        .map(|one| {
            vec![
                html! { a href=(visit.at(format_args!("/orders/{}#returns", one.order))) { (one.number) } },
                goods(&one.view.lines),
                badge(one.view.state.as_str()),
                html! { (reason(&one.view)) },
                time(one.view.requested_at),
                refund(&one.view),
                html! { code { (one.view.merchant) } },
            ]
        })
        .collect();
    let heads = ["Order", "Goods", "State", "Why", "Asked", "Goes back", "Merchant"];
    // Cells beyond the heads are not shown; merchants know whose goods they are.
    let heads = if visit.is_admin() { &heads[..] } else { &heads[..6] };
    let filter = state.map(|state| format!("state={}", state.as_str())).unwrap_or_default();
    let (address, states) = (visit.at("/returns"), STATES.map(ReturnState::as_str));
    let body = html! {
        (chips("Returns by state", &address, "state", &states, state.map(ReturnState::as_str)))
        (table("Newest first", heads, rows, "No returns here."))
        (pager(&address, &filter, visit.cursor().is_some(), page.next_cursor.as_deref()))
    };
    Ok(Page::new("Returns", body))
}

fn reason(asked: &ReturnView) -> String {
    asked.reason.as_deref().map_or_else(|| "not said".to_owned(), plain)
}

fn refund(asked: &ReturnView) -> Markup {
    html! { @if let Some(refund) = asked.refund { span.num { (refund) } } @else { "–" } }
}

/// The returns of an order, each with what can be done about it.
pub(super) fn section(visit: &Visit, order: &OrderView) -> Markup {
    html! {
        @if !order.return_requests.is_empty() {
            section aria-labelledby="returns" {
                h2 id="returns" { "Returns" }
                @for asked in &order.return_requests { (card(visit, order, asked)) }
            }
        }
    }
}

fn card(visit: &Visit, order: &OrderView, asked: &ReturnView) -> Markup {
    html! {
        article.card {
            h3 { (goods(&asked.lines)) " " (badge(asked.state.as_str())) }
            (facts(vec![
                ("Why", html! { (reason(asked)) }),
                ("Asked", time(asked.requested_at)),
                ("Goes back", refund(asked)),
            ]))
            @match asked.state {
                ReturnState::Requested => (decide_form(visit, order.id, asked)),
                ReturnState::Approved => { (receive_form(visit, order, asked)) (decide_form(visit, order.id, asked)) }
                ReturnState::Refused | ReturnState::Receiving | ReturnState::Received => {}
            }
        }
    }
}

/// An approval may be taken back as long as nothing has come.
fn decide_form(visit: &Visit, order: OrderId, asked: &ReturnView) -> Markup {
    let which = html! { span.vh { " return " (asked.id) } };
    html! {
        form.choices method="post" action=(visit.at(format_args!("/orders/{order}/returns/{}/decision", asked.id))) {
            @if asked.state == ReturnState::Requested {
                button.button type="submit" name="verdict" value="approve" { "Approve" (which) }
                button.button.quiet type="submit" name="verdict" value="refuse" { "Refuse" (which) }
            } @else {
                button.button.quiet type="submit" name="verdict" value="refuse" { "Refuse after all" (which) }
            }
        }
    }
}

/// Where staff may say what goes back.
pub(super) fn refund_field(id: &str, currency: Currency) -> Markup {
    html! {
        div.field {
            label for=(id) { "What goes back, " (currency) ", empty for what the pieces cost" }
            input id=(id) name="refund" inputmode="decimal" autocomplete="off";
            input type="hidden" name="currency" value=(currency);
        }
    }
}

fn receive_form(visit: &Visit, order: &OrderView, asked: &ReturnView) -> Markup {
    let form = asked.id.to_string();
    let currency = order.totals.total.currency();
    html! {
        form.sheet method="post" action=(visit.at(format_args!("/orders/{}/returns/{}/receipt", order.id, asked.id))) {
            h4 { "The goods are here" }
            input type="hidden" name="key" value=(visit.key());
            @for (sku, count) in &asked.lines {
                fieldset {
                    legend { (count) " × " code { (sku) } }
                    div.prices {
                        (pieces::field(&form, "restock", sku, &html! { "On the shelf" }, *count, *count))
                        (pieces::field(&form, "write_off", sku, &html! { "Written off" }, 0, *count))
                    }
                }
            }
            (refund_field(&format!("refund-{form}"), currency))
            p.fine { "Together no more than was asked for; what did not come counts as not sent back. This cannot be taken back." }
            button.button type="submit" { "Take them in" }
        }
    }
}

pub(crate) async fn decide(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, id): (OrderId, ReturnId) = (visit.part("order")?, visit.part("return")?);
    let (verdict, said) = match visit.form.text("verdict") {
        "approve" => (ReturnVerdict::Approve, "The return is approved: the buyer may send the goods."),
        "refuse" => (ReturnVerdict::Refuse, "The return is refused: the buyer keeps the goods."),
        _ => return Err(wrong("verdict", "One of the buttons.")),
    };
    visit.ask(DecideReturn { order, r#return: id, verdict }).await?;
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said: said.to_owned() })
}

pub(crate) async fn receive(visit: Arc<Visit>) -> Result<Done, Failure> {
    let (order, id): (OrderId, ReturnId) = (visit.part("order")?, visit.part("return")?);
    let form = &visit.form;
    let lines = received(form)?;
    let (key, refund) = (form.key()?, amount(form)?);
    let now = visit.ask(ReceiveReturn { order, r#return: id, key, lines, location: None, refund }).await?;
    let back = now.return_requests.iter().find(|asked| asked.id == id);
    let said = match back.map(|back| (back.state, back.refund)) {
        Some((ReturnState::Received, Some(refund))) => format!("The goods are booked in; {refund} goes back."),
        _ => "The goods are being booked in. Look again in a moment.".to_owned(),
    };
    Ok(Done { to: visit.at(format_args!("/orders/{order}")), said })
}

/// What came, by article. To the order service no line would be everything.
fn received(form: &Form) -> Result<Vec<Received>, Failure> {
    let mut by_sku: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (sku, count) in form.pieces("restock")? {
        by_sku.entry(sku).or_default().0 = count;
    }
    for (sku, count) in form.pieces("write_off")? {
        by_sku.entry(sku).or_default().1 = count;
    }
    if by_sku.is_empty() {
        return Err(wrong("restock", "Say how many pieces came. If none did, refuse the return."));
    }
    Ok(by_sku.into_iter().map(|(sku, (restock, write_off))| Received { sku, restock, write_off }).collect())
}

/// What goes back, where the form says so; the currency is the form's own.
pub(super) fn amount(form: &Form) -> Result<Option<Money>, Failure> {
    let Some(text) = form.given("refund") else { return Ok(None) };
    let currency: Currency = form.parsed("currency", "A currency such as EUR.")?;
    let money = price(&text, currency).and_then(|minor| Money::new(minor, currency).ok());
    money.map(Some).ok_or_else(|| wrong("refund", "An amount is a number such as 3.50."))
}
