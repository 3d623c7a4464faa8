//! What merchants want done with money that comes too late.

use std::sync::Arc;

use bodega_domain::{
    Failure,
    id::MerchantId,
    limits::TEXT_LINE_BYTES_MAX,
    message::{
        catalog::MerchantOf,
        payment::{LateMoney, Policies, Policy, SetPolicy},
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

pub(crate) async fn show(visit: Arc<Visit>) -> Result<Page, Failure> {
    let policies = visit.ask(Policies { merchant: None, cursor: visit.cursor() }).await?;
    let body = html! {
        section aria-labelledby="late" {
            h2 id="late" { "Money that comes too late" }
            p {
                "A bank may take a payment after its order has run out or was called off. It goes back at once, in full, unless its                  merchant lets it wait: then somebody has 24 hours to make the order again with it, and afterwards it goes back. An                  order of several merchants waits when all of them want that."
            }
            @if visit.is_admin() { (by_name(&visit)) }
            @for policy in &policies.items { (card(&visit, policy)) }
            @if policies.items.is_empty() { p.empty { "No merchant has changed it: it goes back at once everywhere." } }
            (pager(&visit.at("/settings"), "", visit.cursor().is_some(), policies.next_cursor.as_deref()))
        }
    };
    Ok(Page::new("Settings", body))
}

fn choice(id: &str, now: LateMoney) -> Markup {
    html! {
        div.field {
            label for=(id) { "Late money" }
            select id=(id) name="late_money" {
                @for (choice, name) in LateMoney::ALL { option value=(name) selected[choice == now] { (words(choice)) } }
            }
        }
    }
}

/// Admins choose for any merchant, known by the short name of its address.
fn by_name(visit: &Visit) -> Markup {
    html! {
        form.sheet method="post" action=(visit.at("/settings")) {
            div.field {
                label for="slug" { "Merchant's short name" }
                input id="slug" name="slug" required maxlength=(TEXT_LINE_BYTES_MAX) autocapitalize="none" spellcheck="false";
            }
            (choice("late-of-any", LateMoney::default()))
            button.button type="submit" { "Save" }
        }
    }
}

fn card(visit: &Visit, policy: &Policy) -> Markup {
    let id = format!("late-{}", policy.merchant);
    let changes = policy
        .changes
        .iter()
        .map(|change| vec![html! { (words(change.late_money)) }, time(change.at), html! { code { (change.who) } }])
        .collect();
    html! {
        article.card {
            h3 { "Merchant " code { (policy.merchant) } }
            form.sheet method="post" action=(visit.at("/settings")) {
                input type="hidden" name="merchant" value=(policy.merchant);
                (choice(&id, policy.late_money))
                button.button type="submit" { "Save" span.vh { " for " (policy.merchant) } }
            }
            (table("Last changes, newest first", &["Late money", "When", "Who"], changes, "Never changed: it goes back at once."))
        }
    }
}

pub(crate) async fn change(visit: Arc<Visit>) -> Result<Done, Failure> {
    let late_money = visit.form.parsed("late_money", "One of the choices of the list.")?;
    let policy = visit.ask(SetPolicy { merchant: merchant(&visit).await?, late_money }).await?;
    Ok(Done { to: visit.at("/settings"), said: format!("Saved: late money {}.", words(policy.late_money)) })
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
