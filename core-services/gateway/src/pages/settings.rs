//! When merchants want money taken and what becomes of money that comes too late, and what they allow of their stock.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::MerchantId,
    limits::TEXT_LINE_BYTES_MAX,
    message::{
        catalog::MerchantOf,
        identity::{Account, Update},
        inventory,
        payment::{CaptureAt, LateMoney, Policies, Policy, SetPolicy},
    },
};
use maud::{Markup, html};

use super::{
    form::wrong,
    layout::Page,
    table::{pager, table},
    visit::{Done, Visit},
    words::time,
};

const fn words(choice: LateMoney) -> &'static str {
    match choice {
        LateMoney::Refund => "goes back at once",
        LateMoney::Hold24h => "waits for 24 hours",
    }
}

const fn taken(choice: CaptureAt) -> &'static str {
    match choice {
        CaptureAt::Posting => "at once",
        CaptureAt::Shipment => "as the goods leave",
    }
}

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let (policies, stock, account) = tokio::join!(
        visit.ask(Policies { merchant: None, cursor: visit.cursor() }),
        visit.ask(inventory::Policies { merchant: None, cursor: visit.query("stock").map(str::to_owned) }),
        visit.ask(Account {}),
    );
    let (policies, stock) = (policies?, stock?);
    let body = html! {
        section aria-labelledby="late" {
            h2 id="late" { "Money" }
            p {
                "Money is taken as soon as the goods of an order are put aside, or parcel by parcel as they leave. Until then a bank only \
                 keeps it, for about a week: the order says until when. It begins with the next payment. A card that can be charged \
                 once only is charged in full with the first parcel, and in an order that also has goods of merchants who do not \
                 wait, at once."
            }
            p {
                "A bank may take a payment after its order has run out or was called off. It goes back at once, in full, unless its                  merchant lets it wait: then somebody has 24 hours to make the order again with it, and afterwards it goes back. An                  order of several merchants waits when all of them want that."
            }
            @if visit.is_admin() { (by_name(&visit)) }
            @for policy in &policies.items { (card(&visit, policy)) }
            @if policies.items.is_empty() { p.empty { "No merchant has changed it: everywhere money is taken at once, and goes back at once when it comes too late." } }
            (pager(&visit.at("/settings"), "", visit.cursor().is_some(), policies.next_cursor.as_deref()))
        }
        section aria-labelledby="unproven" {
            h2 id="unproven" { "Stock held by orders that could not be paid" }
            p {
                "A refused card does not end an order: its goods stay put aside for some minutes while the shopper tries another one. \
                 With a share set, such orders hold no more than that of what is on hand of an article; the oldest keep theirs, the \
                 others end at once. Without one they may hold all of it."
            }
            @if visit.is_admin() { (share_by_name(&visit)) }
            @for policy in &stock.items { (share_card(&visit, policy)) }
            @if stock.items.is_empty() { p.empty { "No merchant has set a share." } }
            @if let Some(next) = &stock.next_cursor {
                p { a href={ (visit.at("/settings?stock=")) (super::table::escape(next)) } { "More merchants" } }
            }
        }
        @if let Some(wanted) = account.ok().and_then(|account| account.stock_mails) { (stock_mails(&visit, wanted)) }
    };
    Ok(Page::new("Settings", body))
}

/// Each person chooses for the own mailbox.
fn stock_mails(visit: &Visit, wanted: bool) -> Markup {
    html! {
        section aria-labelledby="stock-mails" {
            h2 id="stock-mails" { "E-mails about stock" }
            p {
                "Some minutes after articles have come to the units at which they are to be ordered anew, or have run out, or are back, "
                "one e-mail tells of all of them. This is about your own mailbox; your colleagues choose for theirs."
            }
            form.sheet method="post" action=(visit.at("/settings/stock-mails")) {
                div.field {
                    label for="wanted" { "Send me e-mails about low stock" }
                    select id="wanted" name="wanted" {
                        option value="true" selected[wanted] { "Yes" }
                        option value="false" selected[!wanted] { "No" }
                    }
                }
                button.button type="submit" { "Save" span.vh { " the choice about e-mails" } }
            }
        }
    }
}

pub(crate) async fn change_stock_mails(visit: Arc<Visit>) -> Result<Done, Failure> {
    let wanted = visit.form.parsed("wanted", "Yes or no.")?;
    visit.ask(Update { stock_mails: Some(wanted), ..Update::default() }).await?;
    let said =
        if wanted { "Saved: you get e-mails about low stock." } else { "Saved: no more e-mails about low stock." };
    Ok(Done { to: visit.at("/settings"), said: said.to_owned() })
}

fn share(id: &str, now: Option<u8>) -> Markup {
    html! {
        div.field {
            label for=(id) { "Share in percent, empty for all" }
            input id=(id) name="share" type="number" min="0" max="100" step="1" value=[now];
        }
    }
}

fn slug_field(id: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { "Merchant's short name" }
            input id=(id) name="slug" required maxlength=(TEXT_LINE_BYTES_MAX) autocapitalize="none" spellcheck="false";
        }
    }
}

fn share_by_name(visit: &Visit) -> Markup {
    html! {
        form.sheet method="post" action=(visit.at("/settings/stock")) {
            (slug_field("slug-of-share"))
            (share("share-of-any", None))
            button.button type="submit" { "Save" span.vh { " the share" } }
        }
    }
}

fn share_card(visit: &Visit, policy: &inventory::Policy) -> Markup {
    let words = |share: Option<u8>| share.map_or_else(|| "all of it".to_owned(), |percent| format!("{percent} %"));
    let changes = policy
        .changes
        .iter()
        .map(|change| {
            vec![html! { (words(change.unproven_share_max)) }, time(change.at), html! { code { (change.who) } }]
        })
        .collect();
    html! {
        article.card {
            h3 { "Merchant " code { (policy.merchant) } }
            form.sheet method="post" action=(visit.at("/settings/stock")) {
                input type="hidden" name="merchant" value=(policy.merchant);
                (share(&format!("share-{}", policy.merchant), policy.unproven_share_max))
                button.button type="submit" { "Save" span.vh { " the share of " (policy.merchant) } }
            }
            (table("Last changes, newest first", &["Share", "When", "Who"], changes, "Never changed: they may hold all of it."))
        }
    }
}

pub(crate) async fn change_share(visit: Arc<Visit>) -> Result<Done, Failure> {
    let unproven_share_max = match visit.form.text("share").trim() {
        "" => None,
        _ => Some(visit.form.parsed("share", "A whole number from 0 to 100, or nothing.")?),
    };
    let policy = visit.ask(inventory::SetPolicy { merchant: merchant(&visit).await?, unproven_share_max }).await?;
    let said = match policy.unproven_share_max {
        Some(percent) => format!("Saved: such orders hold {percent} % at most."),
        None => "Saved: such orders may hold all of it.".to_owned(),
    };
    Ok(Done { to: visit.at("/settings"), said })
}

fn choices(id: &str, capture: CaptureAt, now: LateMoney) -> Markup {
    let taking = format!("taking-{id}");
    html! {
        div.field {
            label for=(taking) { "Money is taken" }
            select id=(taking) name="capture" {
                @for &(choice, name) in CaptureAt::ALL { option value=(name) selected[choice == capture] { (taken(choice)) } }
            }
        }
        div.field {
            label for=(id) { "Late money" }
            select id=(id) name="late_money" {
                @for &(choice, name) in LateMoney::ALL { option value=(name) selected[choice == now] { (words(choice)) } }
            }
        }
    }
}

/// Admins choose for any merchant, known by the short name of its address.
fn by_name(visit: &Visit) -> Markup {
    html! {
        form.sheet method="post" action=(visit.at("/settings")) {
            (slug_field("slug"))
            (choices("late-of-any", CaptureAt::default(), LateMoney::default()))
            button.button type="submit" { "Save" }
        }
    }
}

fn card(visit: &Visit, policy: &Policy) -> Markup {
    let id = format!("late-{}", policy.merchant);
    let changes = policy
        .changes
        .iter()
        .map(|change| {
            let (capture, late) = (html! { (taken(change.capture)) }, html! { (words(change.late_money)) });
            vec![capture, late, time(change.at), html! { code { (change.who) } }]
        })
        .collect();
    html! {
        article.card {
            h3 { "Merchant " code { (policy.merchant) } }
            form.sheet method="post" action=(visit.at("/settings")) {
                input type="hidden" name="merchant" value=(policy.merchant);
                (choices(&id, policy.capture, policy.late_money))
                button.button type="submit" { "Save" span.vh { " for " (policy.merchant) } }
            }
            (table("Last changes, newest first", &["Taken", "Late money", "When", "Who"], changes, "Never changed: taken at once, and late money goes back at once."))
        }
    }
}

pub(crate) async fn change(visit: Arc<Visit>) -> Result<Done, Failure> {
    let late_money = Some(visit.form.parsed("late_money", "One of the choices of the list.")?);
    let capture = Some(visit.form.parsed("capture", "One of the choices of the list.")?);
    let policy = visit.ask(SetPolicy { merchant: merchant(&visit).await?, late_money, capture }).await?;
    let said = format!("Saved: money is taken {}; late money {}.", taken(policy.capture), words(policy.late_money));
    Ok(Done { to: visit.at("/settings"), said })
}

async fn merchant(visit: &Visit) -> Result<MerchantId, Failure> {
    let slug = visit.form.text("slug").trim();
    if slug.is_empty() {
        return visit.form.parsed("merchant", "The id of a merchant.");
    }
    let found = visit.ask(MerchantOf { slug: slug.to_owned() }).await;
    Ok(found
        .map_err(
            |failure| {
                if failure.code.http_status() == 404 { wrong("slug", "There is no such merchant.") } else { failure }
            },
        )?
        .id)
}
