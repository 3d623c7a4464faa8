//! What merchants are told of their stock: one mail with all that came to its reorder point, ran out or is back, a few minutes
//! after the first of it.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use bodega_domain::{
    Currency, Failure,
    catalog::SkuNo,
    id::MailId,
    limits::CART_LINES_MAX,
    message::{
        catalog::PriceLines,
        identity::StaffOf,
        inventory::{StockAlerts, StockLevel},
    },
};
use bodega_platform::{Applied, Context, EventTx, Received, telemetry::metrics};
use futures::future::join_all;
use maud::html;

use crate::{
    compose::{self, Letter},
    send::{GIVEN_UP_AFTER_DAYS, LEASE_MAX, LEASE_S, Outcome, Post, again},
    store::stock::{self, StockMail, Word},
};

/// Seconds from the first word to the mail: a sale takes many articles low, and one mail is enough then.
const TOLD_AFTER_S: i64 = 300;
/// Articles in one mail; the others follow in the next.
const WORDS_MAX: usize = CART_LINES_MAX;

pub(crate) fn heard(context: Context, mut tx: EventTx<'_>, events: Vec<Arc<Received<StockAlerts>>>) -> Applied<'_> {
    Box::pin(async move {
        let now = context.clock().now();
        let alerts: Vec<_> = events.iter().flat_map(|event| &event.data.alerts).collect();
        stock::note(&mut tx, &alerts, now.plus_s(TOLD_AFTER_S), now).await?;
        Ok(())
    })
}

/// Tells merchants whose time has come.
pub(crate) async fn tell(context: &Context, post: Option<&Post>) -> Result<(), sqlx::Error> {
    let now = context.clock().now();
    let due = stock::lease(context.postgres().pool(), now, now.plus_s(LEASE_S), LEASE_MAX).await?;
    for done in join_all(due.iter().map(|mail| see_to(context, post, mail))).await {
        done?;
    }
    Ok(())
}

async fn see_to(context: &Context, post: Option<&Post>, mail: &StockMail) -> Result<(), sqlx::Error> {
    let (pool, now) = (context.postgres().pool(), context.clock().now());
    let limit = i64::try_from(WORDS_MAX).unwrap_or(i64::MAX);
    let words = stock::untold(pool, mail.merchant, limit).await?;
    let outcome = match post {
        Some(post) if !words.is_empty() => send(context, post, mail, &words).await,
        Some(_) => Outcome::Skipped("not_true_any_more"),
        None => Outcome::Skipped("mail_off"),
    };
    let old = now.ms_since(mail.since) >= GIVEN_UP_AFTER_DAYS * 86_400_000;
    let state = match &outcome {
        Outcome::Sent => "sent",
        Outcome::Skipped(_) => "skipped",
        Outcome::Again(_) if !old => "due",
        Outcome::Again(why) | Outcome::Never(why) => {
            tracing::error!(merchant = %mail.merchant, reason = why, "a mail about stock is given up");
            "given_up"
        }
    };
    metrics::counter("bodega_mails_total", &[("kind", "stock"), ("state", state)]).add(1);
    if state == "due" {
        stock::later(pool, mail.merchant, again(now, mail.attempts)).await
    } else {
        stock::told(pool, mail.merchant, &words, now.plus_s(TOLD_AFTER_S)).await
    }
}

async fn send(context: &Context, post: &Post, mail: &StockMail, words: &[Word]) -> Outcome {
    let (bus, asked) = (context.bus(), context.request_context());
    let names = PriceLines { sku_nos: words.iter().map(|word| word.sku_no).collect(), currency: Currency::EUR };
    let staff = StaffOf { merchant: mail.merchant };
    let (staff, names) = tokio::join!(bus.request(&staff, &asked), bus.request(&names, &asked));
    let staff = match staff {
        Ok(staff) => staff,
        Err(error) => return Outcome::Again(Failure::from(error).code.to_string()),
    };
    // Without names the numbers are still right.
    let names = names.map(|known| known.skus).unwrap_or_default();
    let names: HashMap<SkuNo, String> =
        names.into_iter().map(|sku| (sku.sku_no, format!("{} ({})", sku.title, sku.sku))).collect();
    let desk = context.config().deployment.desk_url.trim_end_matches('/');
    let letter = letter(words, &names, desk);
    let mut outcome = Outcome::Skipped("nobody");
    for colleague in staff.into_iter().filter(|colleague| colleague.stock_mails) {
        let id = MailId::new(context.clock().now().unix_ms(), context.entropy().bytes());
        let sent = post.deliver(id, &colleague.email, letter.clone()).await;
        // One who was told is enough: the others are not told twice because of somebody's full mailbox.
        outcome = match (outcome, sent) {
            (Outcome::Sent, _) | (_, Outcome::Sent) => Outcome::Sent,
            (Outcome::Again(why), _) => Outcome::Again(why),
            (_, sent) => sent,
        };
    }
    outcome
}

fn letter(words: &[Word], names: &HashMap<SkuNo, String>, desk: &str) -> Letter {
    let of = |level: StockLevel| words.iter().filter(move |word| word.level == level).collect::<Vec<_>>();
    let (out, low, back) = (of(StockLevel::Out), of(StockLevel::Low), of(StockLevel::Enough));
    let heading = match (out.len(), low.len()) {
        (0, 0) => "There is enough again".to_owned(),
        (0, low) => format!("{low} of your articles {} low", if low == 1 { "is" } else { "are" }),
        (out, _) => format!("{out} of your articles {} sold out", if out == 1 { "is" } else { "are" }),
    };
    let name = |word: &Word| names.get(&word.sku_no).cloned().unwrap_or_else(|| format!("SKU number {}", word.sku_no));
    let free =
        |word: &Word| if word.available == 1 { "1 is free".to_owned() } else { format!("{} are free", word.available) };
    let parts = [("Sold out", out), ("Low", low), ("Enough again", back)];
    let (address, settings) = (format!("{desk}/merchant/stock/low"), format!("{desk}/merchant/settings"));
    let mut text = format!("{heading}.\n\n");
    for (title, words) in parts.iter().filter(|(_, words)| !words.is_empty()) {
        let _ = writeln!(text, "{title}:");
        for word in words {
            let _ = writeln!(text, "  {}: {}", name(word), free(word));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "What has to be ordered anew: {address}");
    let _ = writeln!(text, "If you do not want these mails: {settings}");
    let html = compose::frame(
        &heading,
        &html! {
            @for (title, words) in parts.iter().filter(|(_, words)| !words.is_empty()) {
                h2 style="font-size:1.1rem" { (title) }
                ul { @for word in words { li dir="auto" { (name(word)) ": " (free(word)) } } }
            }
            p { a href=(address) style="color:#7a3b00" { "What has to be ordered anew" } }
            p style="font-size:.9rem" { a href=(settings) style="color:#7a3b00" { "I do not want these mails" } }
        },
    );
    Letter { subject: heading, text, html }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_what_has_no_name_has_its_number() {
        let word = |sku_no, level, available| Word { sku_no, level, available };
        let names = HashMap::from([(1, "Bread <white> (BREAD)".to_owned())]);
        let words = [word(1, StockLevel::Out, 0), word(2, StockLevel::Low, 1), word(3, StockLevel::Enough, 40)];
        let told = letter(&words, &names, "http://desk.example");
        assert_eq!(told.subject, "1 of your articles is sold out");
        let lines: Vec<&str> = told.text.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(
            lines,
            ["  Bread <white> (BREAD): 0 are free", "  SKU number 2: 1 is free", "  SKU number 3: 40 are free"]
        );
        assert!(told.html.contains("Bread &lt;white&gt;") && !told.html.contains("<white>"));
        assert!(told.text.contains("http://desk.example/merchant/settings"), "there is a way out");
        assert_eq!(letter(&words[2..], &names, "").subject, "There is enough again");
    }
}
